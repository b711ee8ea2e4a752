//! Failures of a training or a sampling.

use std::io;

/// A training or a sampling that cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// A training whose values have become NaN or infinite at a step, counted from 1. `saves` tells whether it has
    /// saved before.
    #[error("training diverged at step {step}: {reason}")]
    Diverged { step: u64, reason: String, saves: bool },
    /// A set of models all of which have diverged.
    #[error("every model diverged")]
    AllDiverged,
    /// A sample, counted from 1, whose log-probabilities are not finite.
    #[error("cannot draw sample {sample}: the log-probability of a token is {logprob}")]
    Sample { sample: u64, logprob: f64 },
    /// A system that refuses to deliver signals.
    #[error("cannot watch for Ctrl-C")]
    Signals { source: io::Error },
}

impl TrainingError {
    pub(super) fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Diverged { saves: true, .. } => {
                "lower `--learning-rate`, or start from other weights; what was saved before is still there"
            }
            Self::Diverged { .. } | Self::AllDiverged | Self::Sample { .. } => {
                "lower `--learning-rate`, or start from other weights"
            }
            Self::Signals { .. } => return None,
        })
    }
}
