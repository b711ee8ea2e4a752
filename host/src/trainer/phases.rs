//! The phases of a training, each of which computes something and pushes its events.

use std::mem;
use std::time::Instant;

use super::{Checkpoint, Event, Finished, Phase, Schedule, Steps, Trainer, Validation};
use crate::device::{State, StepLog};
use crate::error::{Error, Result};

impl Trainer {
    /// Runs the next phase.
    pub(super) fn advance(&mut self) -> Result<()> {
        if self.phase == Phase::Launch && self.step == self.first {
            self.stopped = self.stop.is_stopped();
        }
        let goes_on = self.step < self.schedule.stop_after && self.any_alive() && !self.stopped;
        self.phase = match self.phase {
            Phase::Launch if goes_on => self.launch()?,
            Phase::Launch => {
                if self.stopped {
                    self.push(Event::Stopped { step: self.step });
                }
                Phase::Finish
            }
            Phase::Validate => {
                self.validate()?;
                Phase::Checkpoint
            }
            Phase::Checkpoint => self.checkpoint()?,
            Phase::Finish => self.finish_runs()?,
            Phase::Done => Phase::Done,
        };
        Ok(())
    }

    fn push(&mut self, event: Event) {
        self.events.push_back(Ok(event));
    }

    pub(super) fn any_alive(&self) -> bool {
        self.alive.contains(&true)
    }

    /// Returns whether the step is a multiple of `every`, and false if `every` is 0.
    fn is_due(&self, every: u64) -> bool {
        every > 0 && self.step.is_multiple_of(every)
    }

    /// Trains until the next step at which something is due.
    fn launch(&mut self) -> Result<Phase> {
        let Schedule { stop_after, val_every, checkpoint_every, compares, .. } = self.schedule;
        let first = self.step;
        let until_due = |every: u64| if every == 0 { u64::MAX } else { every - first % every };
        let len = self.max_launch.min(stop_after - first).min(until_due(val_every)).min(until_due(checkpoint_every));
        // The standard library has no clock for a browser, so the time is always 0 there.
        let start = (!cfg!(target_family = "wasm")).then(Instant::now);
        let logs = self.models.train(len as usize)?;
        let ms = start.map_or(0.0, |start| start.elapsed().as_secs_f64() * 1e3 / len as f64);
        self.step += len;
        self.stopped = self.stop.is_stopped();
        let mut finite = 0;
        for (run, logs) in logs.iter().enumerate() {
            let defect = logs.iter().enumerate().find_map(|(i, log)| Some((i, defect(log)?)));
            if self.alive[run] {
                finite = finite.max(defect.as_ref().map_or(logs.len(), |&(i, _)| i));
            }
            if let Some((i, reason)) = defect {
                self.diverged(run, first + i as u64 + 1, format!("the {reason}"));
            }
        }
        let is_last = self.stopped || self.step == stop_after;
        let is_due = self.is_due(val_every) || self.stopped || (compares && is_last);
        let is_validated = is_due && self.any_alive();
        self.events.push_front(Ok(Event::Steps(Steps { first, logs, ms, finite, is_last, is_validated })));
        Ok(if is_validated { Phase::Validate } else { Phase::Checkpoint })
    }

    /// Validates every run.
    fn validate(&mut self) -> Result<()> {
        let step = self.step;
        for (run, loss) in self.evaluate()?.into_iter().enumerate() {
            if !is_finite(loss) {
                self.diverged(run, step, format!("the validation loss is {loss:e}"));
            }
            self.val_losses[run] = if self.alive[run] { loss } else { f64::NAN };
        }
        self.validated = Some(step);
        self.push(Event::Validation(Validation { step, losses: self.val_losses.clone() }));
        Ok(())
    }

    /// Makes a checkpoint of the best run, if one is due and a run is alive.
    fn checkpoint(&mut self) -> Result<Phase> {
        if self.is_due(self.schedule.checkpoint_every)
            && let Some((run, state)) = self.best()?
        {
            let (val_loss, is_validated) = (self.val_losses[run], self.validated == Some(self.step));
            let run = self.runs[run].clone();
            self.push(Event::Checkpoint(Checkpoint { run, val_loss, is_validated, state }));
        }
        Ok(Phase::Launch)
    }

    /// Ends the training, with an error if its only run has diverged.
    fn finish_runs(&mut self) -> Result<Phase> {
        // Either the training was stopped before its first launch, or nothing was left to train.
        if (self.stopped || self.schedule.compares) && self.any_alive() && self.validated != Some(self.step) {
            self.validate()?;
        }
        let best = self.best()?;
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let (best, state) = best.map_or_else(|| self.models.model(0).download().map(|state| (0, state)), Ok)?;
        let (val_losses, steps) = (self.val_losses.clone(), self.step - self.first);
        let is_validated = self.validated == Some(self.step);
        self.push(Event::Finished(Finished { best, state, val_losses, steps, is_validated }));
        Ok(Phase::Done)
    }

    /// Returns the best run and its state. No reported loss covers the last update, so the next step is tried first. A
    /// run that would diverge there is dropped.
    fn best(&mut self) -> Result<Option<(usize, State)>> {
        while self.any_alive() {
            let run = self.best_run();
            let device = self.models.model(run);
            let state = device.download()?;
            let arrays = [&state.weights, &state.m, &state.v].into_iter();
            let reason = match arrays.flat_map(|array| &array.values).find(|value| !value.is_finite()) {
                Some(value) => Some(format!("a value of the model is {value}")),
                None if self.step == self.first => None,
                None => defect(&device.trial_step(&state)?).map(|reason| format!("the next step's {reason}")),
            };
            let Some(reason) = reason else { return Ok(Some((run, state))) };
            self.diverged(run, state.step, reason);
        }
        Ok(None)
    }

    /// Drops a run that has diverged. The training goes on with the others, or fails if there are none.
    fn diverged(&mut self, run: usize, step: u64, reason: String) {
        self.val_losses[run] = f64::NAN;
        if !mem::replace(&mut self.alive[run], false) {
            return;
        }
        if self.schedule.compares {
            self.push(Event::Diverged { run: self.runs[run].clone(), step, reason });
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

/// Returns whether a value is finite in single precision, which the kernels and checkpoints use.
fn is_finite(value: f64) -> bool {
    (value as f32).is_finite()
}
