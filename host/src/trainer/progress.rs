//! How far a training is, and which of its models is the best so far.

use crate::error::Error;

/// How far a training is.
pub(super) struct Progress {
    /// The step that the training went on from.
    pub(super) first: u64,
    pub(super) step: u64,
    /// Whether each model's numbers are still numbers.
    pub(super) alive: Vec<bool>,
    /// The last validation loss of each model, and the step after which it was measured.
    pub(super) val_losses: Vec<f64>,
    pub(super) validated: Option<u64>,
    /// The step and the model that could take another step then.
    pub(super) probed: Option<(u64, usize)>,
    /// How the only model diverged: what is due after the launch is done before the run fails.
    pub(super) failure: Option<Error>,
    /// Whether Ctrl-C came before the end of the last launch. It may come at any time: that it is looked for once a launch
    /// keeps all that follows from it in step.
    pub(super) interrupted: bool,
}

impl Progress {
    pub(super) fn is_validated(&self) -> bool {
        self.validated == Some(self.step)
    }

    pub(super) fn any_alive(&self) -> bool {
        self.alive.contains(&true)
    }

    pub(super) fn best(&self) -> usize {
        let candidates = (0..self.alive.len()).filter(|&model| self.alive[model]);
        let rank =
            |model: &usize| if self.val_losses[*model].is_nan() { f64::INFINITY } else { self.val_losses[*model] };
        candidates.min_by(|a, b| rank(a).total_cmp(&rank(b))).unwrap_or(0)
    }
}
