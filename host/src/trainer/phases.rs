//! The phases of a training, each of which computes something and pushes the events that come of it.

use std::mem;
use std::sync::LazyLock;
use std::time::Instant;

use super::{Checkpoint, Diverged, Event, Finished, Phase, Schedule, Steps, Trainer, Validation};
use crate::device::{State, StepLog};
use crate::error::{Error, Result};

impl Trainer {
    /// Runs the next phase.
    pub(super) fn advance(&mut self) -> Result<()> {
        self.phase = match self.phase {
            Phase::Start => {
                self.progress.stopped = self.stop.is_stopped();
                Phase::Launch
            }
            Phase::Launch if self.goes_on() => Phase::Validate { is_due: self.launch()? },
            Phase::Launch => {
                if self.progress.stopped {
                    self.push(Event::Stopped { step: self.progress.step });
                }
                Phase::ValidateLast
            }
            Phase::Validate { is_due } => {
                if is_due {
                    self.validate()?;
                }
                Phase::Checkpoint
            }
            Phase::Checkpoint => {
                if self.progress.is_due(self.schedule.checkpoint_every) {
                    self.checkpoint()?;
                }
                Phase::Launch
            }
            Phase::ValidateLast => {
                // Either the training was stopped before its first launch, or nothing was left to train.
                let is_wanted = self.progress.stopped || self.schedule.compares;
                if is_wanted && self.progress.any_alive() && !self.progress.is_validated() {
                    self.validate()?;
                }
                Phase::Finish
            }
            Phase::Finish => {
                self.finish_runs()?;
                Phase::Done
            }
            Phase::Done => Phase::Done,
        };
        Ok(())
    }

    fn push(&mut self, event: Event) {
        self.events.push_back(Ok(event));
    }

    /// Whether another launch follows.
    fn goes_on(&self) -> bool {
        let progress = &self.progress;
        progress.step < self.schedule.stop_after && progress.any_alive() && !progress.stopped
    }

    /// Trains until the next step at which something is due. Returns whether that step is to be validated.
    fn launch(&mut self) -> Result<bool> {
        let Schedule { stop_after, val_every, checkpoint_every, compares, .. } = self.schedule;
        let first = self.progress.step;
        let len = self.max_launch.min(stop_after - first);
        let len = len.min(self.progress.until_due(val_every)).min(self.progress.until_due(checkpoint_every));
        let start = now();
        let logs = self.models.train(len as usize)?;
        let ms = (now() - start) / len as f64;
        self.progress.step += len;
        self.progress.stopped = self.stop.is_stopped();
        let first_defect = |logs: &Vec<StepLog>| logs.iter().enumerate().find_map(|(i, log)| Some((i, defect(log)?)));
        let defects: Vec<Option<(usize, String)>> = logs.iter().map(first_defect).collect();
        let alive = defects.iter().zip(&self.progress.alive).filter(|&(_, &alive)| alive);
        let finite = alive.map(|(defect, _)| defect.as_ref().map_or(len as usize, |&(i, _)| i)).max().unwrap_or(0);
        for (run, defect) in defects.into_iter().enumerate() {
            if let Some((i, reason)) = defect {
                self.diverged(run, first + i as u64 + 1, format!("the {reason}"));
            }
        }
        let is_last = self.progress.stopped || self.progress.step == stop_after;
        let is_due = self.progress.is_due(val_every) || self.progress.stopped || (compares && is_last);
        let is_validated = is_due && self.progress.any_alive();
        self.events.push_front(Ok(Event::Steps(Steps { first, logs, ms, finite, is_last, is_validated })));
        Ok(is_validated)
    }

    /// Validates every run.
    fn validate(&mut self) -> Result<()> {
        let step = self.progress.step;
        for (run, loss) in self.evaluate()?.into_iter().enumerate() {
            if !is_finite(loss) {
                self.diverged(run, step, format!("the validation loss is {loss:e}"));
            }
            self.progress.val_losses[run] = if self.progress.alive[run] { loss } else { f64::NAN };
        }
        self.progress.validated = Some(step);
        self.push(Event::Validation(Validation { step, losses: self.progress.val_losses.clone() }));
        Ok(())
    }

    /// Makes a checkpoint of the best run, if there is one.
    fn checkpoint(&mut self) -> Result<()> {
        if let Some((run, state)) = self.best()? {
            let val_loss = self.progress.val_losses[run];
            self.push(Event::Checkpoint(Checkpoint { run: self.runs[run].clone(), val_loss, state }));
        }
        Ok(())
    }

    /// Ends the training, with an error if its only run has diverged.
    fn finish_runs(&mut self) -> Result<()> {
        let best = self.best()?;
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let (best, state) = best.map_or_else(|| self.models.model(0).download().map(|state| (0, state)), Ok)?;
        let val_losses = self.progress.val_losses.clone();
        let (steps, is_validated) = (self.progress.step - self.progress.first, self.progress.is_validated());
        self.push(Event::Finished(Finished { best, state, val_losses, steps, is_validated }));
        Ok(())
    }

    /// Returns the best run and its state. No reported loss covers the last update, so the next step is tried first. A run that
    /// would diverge there is dropped.
    fn best(&mut self) -> Result<Option<(usize, State)>> {
        while self.progress.any_alive() {
            let run = self.progress.best();
            let device = self.models.model(run);
            let state = device.download()?;
            let arrays = [&state.weights, &state.m, &state.v].into_iter();
            let is_tried =
                self.progress.step == self.progress.first || self.progress.tried == Some((self.progress.step, run));
            let reason = match arrays.flat_map(|array| &array.values).find(|value| !value.is_finite()) {
                Some(value) => Some(format!("a value of the model is {value}")),
                None if is_tried => None,
                None => defect(&device.trial_step(&state)?).map(|reason| format!("the next step's {reason}")),
            };
            let Some(reason) = reason else {
                self.progress.tried = Some((self.progress.step, run));
                return Ok(Some((run, state)));
            };
            self.diverged(run, state.step, reason);
        }
        Ok(None)
    }

    /// Drops a run that has diverged. The training goes on with the others, or fails if there are none.
    fn diverged(&mut self, run: usize, step: u64, reason: String) {
        self.progress.val_losses[run] = f64::NAN;
        if !mem::replace(&mut self.progress.alive[run], false) {
            return;
        }
        if self.schedule.compares {
            self.push(Event::Diverged(Diverged { run: self.runs[run].clone(), step, reason }));
        } else {
            self.failure = Some(Error::Diverged { step, reason, saves: false });
        }
    }
}

/// Describes the value of a step that is not finite, if there is one.
fn defect(log: &StepLog) -> Option<String> {
    let mut values = [("loss", log.loss), ("gradient norm", log.grad_norm)].into_iter();
    values.find(|&(_, value)| !is_finite(value)).map(|(name, value)| format!("{name} is {value:e}"))
}

/// Whether a value is finite in single precision, which the kernels and the checkpoints use. The reference could go on beyond it.
fn is_finite(value: f64) -> bool {
    (value as f32).is_finite()
}

/// Returns the milliseconds since the first call. The standard library has no clock for a browser, where time stands still.
fn now() -> f64 {
    static START: LazyLock<Option<Instant>> = LazyLock::new(|| (!cfg!(target_family = "wasm")).then(Instant::now));
    START.map_or(0.0, |start| start.elapsed().as_secs_f64() * 1e3)
}
