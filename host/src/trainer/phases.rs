//! The phases of a training, each of which computes something and pushes its events.

use std::mem;
use std::time::Instant;

use super::{Checkpoint, Event, Finished, Phase, Schedule, Steps, Trainer, Validation};
use crate::device::{State, StepLog};
use crate::error::{Error, Result};
use crate::stop::StopHandle;

/// The longest time in seconds that a stopped training may take for a last step, its validation and the trial of
/// another.
const MAX_SECONDS_AFTER_STOP: f64 = 0.5;

impl Trainer {
    /// Runs the next phase.
    pub(super) fn advance(&mut self) -> Result<()> {
        if self.phase == Phase::Launch && self.step == self.first {
            self.see_stop();
        }
        let is_over = self.step >= self.schedule.stop_after || !self.any_alive();
        let goes_on = !is_over && !self.stopped && !self.no_longer_better();
        self.phase = match self.phase {
            Phase::Launch if goes_on => self.launch()?,
            Phase::Launch => {
                if self.stopped {
                    self.push(Event::Stopped { step: self.step });
                } else if !is_over {
                    self.push(Event::StoppedEarly { step: self.step });
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

    /// Reads the flag of the stop. Work that begins after this runs to its end.
    pub(super) fn see_stop(&mut self) {
        self.stopped = self.stop.is_stopped();
        if self.stopped {
            self.models.stopped_by(&StopHandle::default());
        }
    }

    /// Returns whether the training was stopped and has no time for a last step, its validation and the trial of another,
    /// or has taken no step that would show how long they take.
    fn is_hurried(&self) -> bool {
        let batch = self.runs[0].config.train.batch as f64;
        // A forward pass takes a third of the time of a step on the same document.
        let steps = 2.0 + self.schedule.val_docs.min(self.val_documents) as f64 / (3.0 * batch);
        self.stopped && self.step_seconds.is_none_or(|seconds| seconds * steps > MAX_SECONDS_AFTER_STOP)
    }

    fn push(&mut self, event: Event) {
        self.events.push_back(Ok(event));
    }

    pub(super) fn any_alive(&self) -> bool {
        self.alive.contains(&true)
    }

    /// Returns whether each run that is alive has had the number of validations without a better one that ends it.
    fn no_longer_better(&self) -> bool {
        let Schedule { stop_early, .. } = self.schedule;
        let mut alive = self.alive.iter().zip(&self.bests).filter(|(alive, _)| **alive);
        stop_early > 0 && alive.all(|(_, best)| best.since >= stop_early)
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
        let mut logs = self.train(len)?;
        // A last step is taken after a stop between two launches, so that its metrics have the validation loss.
        if logs.iter().all(Vec::is_empty) && !self.is_hurried() {
            logs = self.train(1)?;
        }
        // The models that a stop has ended may be a step apart.
        let alive = logs.iter().zip(&self.alive).filter(|(_, alive)| **alive);
        let len = alive.map(|(logs, _)| logs.len()).min().unwrap_or(0);
        for logs in &mut logs {
            logs.resize(len, StepLog { loss: f64::NAN, grad_norm: f64::NAN });
        }
        if len == 0 {
            return Ok(Phase::Launch);
        }
        self.step += len as u64;
        let ms = self.step_seconds.unwrap_or(0.0) * 1e3;
        let seconds = self.start.map_or(0.0, |start| start.elapsed().as_secs_f64());
        let tokens = (first..=self.step).map(|step| self.tokens.until(step)).collect();
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
        let is_due = (self.is_due(val_every) || self.stopped || (compares && is_last)) && !self.is_hurried();
        let is_validated = is_due && self.any_alive();
        let steps = Steps { first, logs, ms, seconds, tokens, finite, is_last, is_validated };
        self.events.push_front(Ok(Event::Steps(steps)));
        Ok(if is_validated { Phase::Validate } else { Phase::Checkpoint })
    }

    /// Takes `len` steps of every run, or fewer if a stop ends the launch, and measures a step's time.
    fn train(&mut self, len: u64) -> Result<Vec<Vec<StepLog>>> {
        // The standard library has no clock for a browser, so the time is always 0 there.
        let start = (!cfg!(target_family = "wasm")).then(Instant::now);
        self.start = self.start.or(start);
        let logs = self.models.train(len as usize, &self.alive)?;
        let seconds = start.map_or(0.0, |start| start.elapsed().as_secs_f64());
        self.see_stop();
        self.step_seconds = match logs.iter().map(Vec::len).max() {
            Some(taken @ 1..) => Some(seconds / taken as f64),
            // The step that a stop has ended would have taken longer.
            _ => self.step_seconds.map(|before| before.max(seconds)),
        };
        Ok(logs)
    }

    /// Validates every run. A validation that a stop ends is repeated, unless that would take long.
    fn validate(&mut self) -> Result<()> {
        let step = self.step;
        let losses = loop {
            match self.evaluate() {
                Err(Error::Stopped) => self.see_stop(),
                losses => break losses?,
            }
            if self.is_hurried() {
                return Ok(());
            }
        };
        for (run, loss) in losses.into_iter().enumerate() {
            if !is_finite(loss) {
                self.diverged(run, step, format!("the validation loss is {loss:e}"));
            }
            self.val_losses[run] = if self.alive[run] { loss } else { f64::NAN };
        }
        self.validated = Some(step);
        self.push(Event::Validation(Validation { step, losses: self.val_losses.clone() }));
        // A run that is stopped and resumed has the best validation of a run that never was, so the validation at the
        // stop does not count.
        let is_end = self.schedule.compares && step == self.schedule.stop_after;
        if self.is_due(self.schedule.val_every) || is_end { self.record_best() } else { Ok(()) }
    }

    /// Takes note of the last validation losses, and keeps the best model if it is better than all that were kept.
    fn record_best(&mut self) -> Result<()> {
        for run in (0..self.runs.len()).filter(|&run| self.alive[run]) {
            self.bests[run].record(self.val_losses[run], self.step);
        }
        // A run that would diverge at its next step makes way for the next best.
        while self.schedule.keep_best && self.any_alive() && self.val_losses[self.best_run()] < self.kept_loss {
            let run = self.best_run();
            if let Some(state) = self.kept_state(run)? {
                self.kept_loss = self.val_losses[run];
                let checkpoint = self.checkpoint_of(run, state);
                self.push(Event::Best(checkpoint));
            }
        }
        Ok(())
    }

    /// Returns a checkpoint of a run that has this state.
    fn checkpoint_of(&self, run: usize, state: State) -> Checkpoint {
        let is_validated = self.validated == Some(self.step);
        let (val_loss, best) = (self.val_losses[run], self.bests[run]);
        Checkpoint { run: self.runs[run].clone(), best, val_loss, is_validated, state }
    }

    /// Makes a checkpoint of the best run, if one is due and a run is alive.
    fn checkpoint(&mut self) -> Result<Phase> {
        if self.is_due(self.schedule.checkpoint_every)
            && let Some((run, state)) = self.best()?
        {
            let checkpoint = self.checkpoint_of(run, state);
            self.push(Event::Checkpoint(checkpoint));
        }
        Ok(Phase::Launch)
    }

    /// Ends the training, with an error if its only run has diverged.
    fn finish_runs(&mut self) -> Result<Phase> {
        // Either the training was stopped before its first launch, or nothing was left to train.
        let is_due = (self.stopped || self.schedule.compares) && !self.is_hurried();
        if is_due && self.any_alive() && self.validated != Some(self.step) {
            self.validate()?;
        }
        let best = self.best()?;
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let (best, state) = best.map_or_else(|| self.models.model(0).download().map(|state| (0, state)), Ok)?;
        let (val_losses, steps) = (self.val_losses.clone(), self.step - self.first);
        let (is_validated, is_hurried) = (self.validated == Some(self.step), self.is_hurried() && self.any_alive());
        let bests = self.bests.clone();
        self.push(Event::Finished(Finished { best, state, bests, val_losses, steps, is_validated, is_hurried }));
        Ok(Phase::Done)
    }

    /// Returns the best run that is not about to diverge, and its state.
    fn best(&mut self) -> Result<Option<(usize, State)>> {
        while self.any_alive() {
            let run = self.best_run();
            if let Some(state) = self.kept_state(run)? {
                return Ok(Some((run, state)));
            }
        }
        Ok(None)
    }

    /// Returns the state of a run. No reported loss covers the last update, so the next step is tried first. A run that
    /// would diverge there is dropped.
    fn kept_state(&mut self, run: usize) -> Result<Option<State>> {
        let is_hurried = self.is_hurried();
        let device = self.models.model(run);
        let state = device.download()?;
        let arrays = [&state.weights, &state.m, &state.v].map(|array| array.values.iter());
        let reason = match arrays.into_iter().flatten().find(|value| !value.is_finite()) {
            Some(value) => Some(format!("a value of the model is {value}")),
            None if self.step == self.first || is_hurried => None,
            None => match device.trial_step(&state) {
                Err(Error::Stopped) => {
                    self.see_stop();
                    return self.kept_state(run);
                }
                trial => defect(&trial?).map(|reason| format!("the next step's {reason}")),
            },
        };
        let Some(reason) = reason else { return Ok(Some(state)) };
        self.diverged(run, state.step, reason);
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
