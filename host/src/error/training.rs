//! Failures of a training or a sampling.

use std::borrow::Cow;
use std::io;

/// A training or a sampling that cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// A training whose values have become NaN or infinite.
    #[error("training diverged at step {step}: {reason}")]
    Diverged {
        /// The step, from 1.
        step: u64,
        /// The value that is not finite.
        reason: String,
        /// Whether an earlier checkpoint may have been saved.
        saves: bool,
    },
    /// A set of models all of which have diverged.
    #[error("every model diverged")]
    AllDiverged,
    /// A sample whose log-probabilities are not finite.
    #[error("cannot draw sample {sample}: the log-probability of a token is {logprob}")]
    Sample {
        /// The sample, from 1.
        sample: u64,
        /// The log-probability.
        logprob: f64,
    },
    /// A system that refuses to deliver signals.
    #[error("cannot watch for Ctrl-C")]
    Signals {
        /// The cause.
        source: io::Error,
    },
}

impl TrainingError {
    pub(super) fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Diverged { saves: true, .. } => {
                "lower `--learning-rate`, or start from other weights; what was saved before is still there"
            }
            Self::Diverged { .. } | Self::AllDiverged | Self::Sample { .. } => {
                "lower `--learning-rate`, or start from other weights"
            }
            Self::Signals { .. } => return None,
        };
        Some(hint.into())
    }
}
