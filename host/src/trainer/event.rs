//! The events of a training.

use crate::device::{State, StepLog};
use crate::run::{Best, Run};
use crate::summary::Summary;

/// An event of a training. Events come in the order in which they happen.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The steps of a launch.
    Steps(Steps),
    /// The divergence of one of several runs, which drops out.
    Diverged {
        /// The run.
        run: Run,
        /// The step, from 1.
        step: u64,
        /// The value that is not finite.
        reason: String,
    },
    /// The validation losses after a step.
    Validation(Validation),
    /// The best run after a step that is due for a checkpoint.
    Checkpoint(Checkpoint),
    /// The run whose validation loss is less than all before, of every run.
    Best(Checkpoint),
    /// A stop that was asked for by a [`StopHandle`](super::StopHandle).
    Stopped {
        /// The number of the last step.
        step: u64,
    },
    /// The end of a training whose validation losses have no longer become better, see [`Schedule::stop_early`].
    ///
    /// [`Schedule::stop_early`]: super::Schedule::stop_early
    StoppedEarly {
        /// The number of the last step.
        step: u64,
    },
    /// The last event.
    Finished(Finished),
}

/// The steps of a launch. A device takes many steps at once. When this event comes, the model has taken all of them.
#[derive(Clone, Debug)]
pub struct Steps {
    /// The number of steps before these.
    pub first: u64,
    /// The loss and the gradient norm of each step, `logs[run][step]`.
    pub logs: Vec<Vec<StepLog>>,
    /// The milliseconds that a step took.
    pub ms: f64,
    /// The seconds from the start of the first launch to the end of this one, with the validations between them.
    pub seconds: f64,
    /// The number of tokens that a run has trained on since step 0, before these steps and after each of them.
    pub tokens: Vec<u64>,
    /// The number of these steps that at least one run took with finite values.
    pub finite: usize,
    /// Whether the schedule or a stop ends the training with these steps.
    pub is_last: bool,
    /// Whether an [`Event::Validation`] of the last of these steps follows.
    pub is_validated: bool,
}

impl Steps {
    /// Returns the number of the last of these steps.
    pub fn end(&self) -> u64 {
        self.first + self.logs.first().map_or(0, |logs| logs.len() as u64)
    }

    /// Returns the seconds from the start of the first launch to the end of the step with this index.
    pub fn seconds_after(&self, index: usize) -> f64 {
        let later = self.end() - self.first - 1 - index as u64;
        self.seconds - self.ms * 1e-3 * later as f64
    }

    /// Returns the number of tokens that the runs trained on in a second of this launch, or NaN without a clock.
    pub fn tokens_per_second(&self) -> f64 {
        let [Some(&before), Some(&after)] = [self.tokens.first(), self.tokens.last()] else { return f64::NAN };
        let seconds = self.ms * 1e-3 * (self.end() - self.first) as f64;
        (after - before) as f64 * self.logs.len() as f64 / seconds
    }

    /// Returns the number of each finite step, from 1, and its loss, the mean over the runs.
    pub fn losses(&self) -> impl Iterator<Item = (u64, f64)> {
        (self.first + 1..).zip(0..self.finite).map(|(step, i)| {
            let losses = self.logs.iter().map(|logs| logs[i].loss);
            (step, Summary::of(losses).map_or(f64::NAN, |summary| summary.mean))
        })
    }
}

/// The validation losses after a step.
#[derive(Clone, Debug)]
pub struct Validation {
    /// The number of the step, from 1.
    pub step: u64,
    /// The mean loss of each run in nats per token, NaN for a run that diverged.
    pub losses: Vec<f64>,
}

impl Validation {
    /// Returns the mean over the runs that have not diverged, or NaN if all have.
    pub fn loss(&self) -> f64 {
        Summary::of(self.losses.iter().copied()).map_or(f64::NAN, |summary| summary.mean)
    }
}

/// A run after a step, with the state that a resumed run goes on from.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The run.
    pub run: Run,
    /// The run's best validation.
    pub best: Best,
    /// The run's last validation loss, or NaN if it has none.
    pub val_loss: f64,
    /// Whether the validation loss is that after this step.
    pub is_validated: bool,
    /// The run's weights, moments and step.
    pub state: State,
}

/// The end of a training.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The index of the run with the least last validation loss, or of the first that has not diverged.
    pub best: usize,
    /// The state of the best run.
    pub state: State,
    /// The best validation of each run.
    pub bests: Vec<Best>,
    /// The last validation loss of each run, NaN for a run that was never validated or that diverged.
    pub val_losses: Vec<f64>,
    /// The number of steps that this trainer has taken.
    pub steps: u64,
    /// Whether the validation losses are those after the last step.
    pub is_validated: bool,
    /// Whether a stop left no time for the last validation and for the trial of the next step, so that the best run is
    /// that of an earlier validation, or just the first.
    pub is_hurried: bool,
}
