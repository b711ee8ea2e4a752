//! The progress of a training, and which of its runs is the best so far.

/// The progress of a training.
pub(super) struct Progress {
    /// The step that the training went on from.
    pub(super) first: u64,
    /// The number of the last step.
    pub(super) step: u64,
    /// Whether the values of each run are still finite.
    pub(super) alive: Vec<bool>,
    /// The last validation loss of each run.
    pub(super) val_losses: Vec<f64>,
    /// The step after which they were measured.
    pub(super) validated: Option<u64>,
    /// The step and the run whose trial step was finite.
    pub(super) tried: Option<(u64, usize)>,
    /// Whether a stop was asked for before the end of the last launch. The flag may be set at any time. It is read once a launch,
    /// so that everything that follows from it happens after the same step.
    pub(super) stopped: bool,
}

impl Progress {
    pub(super) fn new(step: u64, runs: usize) -> Self {
        let (alive, val_losses) = (vec![true; runs], vec![f64::NAN; runs]);
        Self { first: step, step, alive, val_losses, validated: None, tried: None, stopped: false }
    }

    pub(super) fn is_validated(&self) -> bool {
        self.validated == Some(self.step)
    }

    pub(super) fn any_alive(&self) -> bool {
        self.alive.contains(&true)
    }

    /// Whether a multiple of `every` steps is reached; never for 0.
    pub(super) fn is_due(&self, every: u64) -> bool {
        every > 0 && self.step.is_multiple_of(every)
    }

    /// Returns how many steps are left until a multiple of `every`.
    pub(super) fn until_due(&self, every: u64) -> u64 {
        if every == 0 { u64::MAX } else { every - self.step % every }
    }

    /// Returns the run with the least validation loss, or the first that is alive.
    pub(super) fn best(&self) -> usize {
        let alive = (0..self.alive.len()).filter(|&run| self.alive[run]);
        let loss = |run: usize| if self.val_losses[run].is_nan() { f64::INFINITY } else { self.val_losses[run] };
        alive.min_by(|&a, &b| loss(a).total_cmp(&loss(b))).unwrap_or(0)
    }
}
