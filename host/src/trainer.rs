//! Training: launches of steps with validations and saves in between, of one model or of several side by side.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::atomic_file::AtomicFile;
use crate::checkpoint::{RunInfo, to_bytes};
use crate::config::num_params;
use crate::device::{Evaluation, Models, State, StepLog};
use crate::error::{Error, Result};
use crate::experiment::{Member, Summary};
use crate::metrics::{Launch, Metrics};
use crate::plot::Plot;
use crate::report::Report;

mod progress;
use progress::Progress;

/// How to train the models that a device holds.
pub struct Training<'a> {
    /// Steps of the whole run.
    pub steps: u64,
    /// The step after which this run ends.
    pub stop_after: u64,
    /// Validate after every this many steps; 0 never.
    pub val_every: u64,
    /// Validation documents.
    pub val_docs: usize,
    /// Where the model is saved.
    pub save: Option<Save<'a>>,
    /// The loss of the best model that has been trained before these and is saved: only a better one takes its place.
    pub best_before: Option<f64>,
    /// Whether the run has no other model: it is over then if the model diverges, and need not be compared with others.
    pub alone: bool,
    /// Set by Ctrl-C: the launch under way is the last.
    pub interrupt: &'a AtomicBool,
}

/// Where and how often a model is saved.
pub struct Save<'a> {
    /// The file.
    pub target: &'a AtomicFile,
    /// After every this many steps; 0 only at the end.
    pub every: u64,
    /// What the file says of the run.
    pub run: RunInfo,
    /// The characters of tokens 1 and up.
    pub vocabulary: &'a [char],
}

/// Where the course of the training goes.
pub struct Outputs<'a, W> {
    /// stdout and stderr.
    pub report: &'a mut Report<W>,
    /// `--metrics`.
    pub metrics: Option<Metrics>,
    /// `--plot`.
    pub plot: Option<&'a mut Plot>,
}

/// How a training ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The last validation loss of each model; NaN for one that was never validated, or diverged.
    pub val_losses: Vec<f64>,
    /// The model with the least of them, or the first that has not diverged.
    pub best: usize,
    /// Its state.
    pub state: State,
    /// The steps that this run has trained.
    pub steps: u64,
    /// Whether the validation losses are those after the last step.
    pub is_validated: bool,
}

/// The most steps of a launch, so that results come as they arise.
pub(crate) const MAX_LAUNCH: u64 = 4096;
/// The most work of a launch or of a call for samples, in multiplications: a second or so on the slowest device.
pub(crate) const LAUNCH_WORK: u64 = 1 << 29;

impl Save<'_> {
    /// Saves a model.
    ///
    /// # Errors
    /// The file cannot be written; it is then as it was.
    pub fn save(&self, state: &State, member: &Member) -> Result<()> {
        self.target.save(&to_bytes(state, self.vocabulary, Some(&RunInfo { train: member.variant.train, ..self.run }))?)
    }
}

impl Training<'_> {
    /// Trains the models, which `members` describes, from the step that they have reached.
    ///
    /// If nobody reads the results any more and no file is written, it ends early. A model whose loss is not finite any more
    /// is out; with the last one the training is over.
    ///
    /// # Errors
    /// A training that diverged, an output that cannot be written, or what the device reports.
    pub fn execute(
        &self,
        models: &mut dyn Models,
        members: &[Member],
        outputs: &mut Outputs<impl Write>,
    ) -> Result<Outcome> {
        let count = models.count();
        let (step, shape) = (models.model(0).step(), models.model(0).shape());
        // Each parameter is multiplied at each position, in a step once forward and twice backward.
        let document = 3 * num_params(shape) as u64 * u64::from(shape.block_size);
        let documents: u64 = members.iter().map(|member| member.variant.train.batch as u64).sum();
        let work = document.saturating_mul(documents);
        let max_launch = (LAUNCH_WORK / work).clamp(1, MAX_LAUNCH);
        let mut progress = Progress {
            first: step,
            step,
            alive: vec![true; count],
            val_losses: vec![f64::NAN; count],
            validated: None,
            probed: None,
            failure: None,
            interrupted: self.is_interrupted(),
        };
        outputs.report.start_bar(step, self.steps);
        while progress.step < self.stop_after
            && progress.any_alive()
            && !progress.interrupted
            && !self.nobody_waits(outputs)
        {
            let launch = max_launch
                .min(self.stop_after - progress.step)
                .min(until_multiple(progress.step, self.val_every))
                .min(until_multiple(progress.step, self.save.as_ref().map_or(0, |save| save.every)));
            self.launch(launch, models, members, &mut progress, outputs)?;
        }
        outputs.report.clear_bar();
        if progress.interrupted {
            outputs.report.notice(format_args!("interrupted after step {}; Ctrl-C again ends at once", progress.step));
        }
        // Interrupted before the first launch, or nothing was left to train. One model of several is chosen by its loss.
        if (progress.interrupted || !self.alone) && progress.any_alive() && !progress.is_validated() {
            self.validate(models, members, &mut progress, outputs)?;
        }
        let best = self.best(models, members, &mut progress, outputs.report)?;
        if let Some(failure) = progress.failure {
            return Err(failure);
        }
        let (best, state) = best.map_or_else(|| models.model(0).download().map(|state| (0, state)), Ok)?;
        let is_validated = progress.is_validated();
        Ok(Outcome { best, state, val_losses: progress.val_losses, steps: progress.step - step, is_validated })
    }

    /// Trains `steps` steps, and does what is due after them.
    fn launch(
        &self,
        steps: u64,
        models: &mut dyn Models,
        members: &[Member],
        progress: &mut Progress,
        outputs: &mut Outputs<impl Write>,
    ) -> Result<()> {
        let start = Instant::now();
        let logs = models.train(steps as usize)?;
        let ms = start.elapsed().as_secs_f64() * 1e3 / steps as f64;
        let first = progress.step;
        let diverged = logs.iter().map(|logs| logs.iter().position(|log| bad(log).is_some())).collect::<Vec<_>>();
        // The steps up to which there is a model to speak of.
        let good = diverged.iter().zip(&progress.alive).filter(|&(_, &alive)| alive);
        let good = good.map(|(diverged, _)| diverged.unwrap_or(steps as usize)).max().unwrap_or(0);
        let losses: Vec<f64> = (0..good)
            .map(|i| {
                let losses = logs.iter().map(|logs| logs[i].loss).filter(|loss| loss.is_finite());
                Summary::of(losses).map_or(f64::NAN, |summary| summary.mean)
            })
            .collect();
        progress.step += steps;
        progress.interrupted = self.is_interrupted();
        let last = if progress.interrupted { progress.step } else { self.stop_after };
        outputs.report.steps(first, last, self.steps, &losses, ms)?;
        for (model, i) in diverged.into_iter().enumerate().filter_map(|(model, i)| Some((model, i?))) {
            let what = bad(&logs[model][i]).unwrap_or_default();
            self.diverged(model, members, first + i as u64 + 1, &format!("the {what}"), progress, outputs.report);
        }
        let step = progress.step;
        let is_due = |every: u64| every > 0 && step.is_multiple_of(every);
        let is_last = progress.interrupted || (!self.alone && step == self.stop_after);
        let val_losses = if progress.any_alive() && (is_due(self.val_every) || is_last) {
            Some(self.validate(models, members, progress, outputs)?)
        } else {
            None
        };
        let launch = Launch { first, logs, ms, val_losses };
        if let Some(plot) = &mut outputs.plot {
            plot.record(&launch);
        }
        if let Some(metrics) = &mut outputs.metrics {
            metrics.record(launch)?;
        }
        let Some(save) = self.save.as_ref().filter(|save| is_due(save.every)) else { return Ok(()) };
        let best = self.best(models, members, progress, outputs.report)?;
        let is_better = |model: usize| self.best_before.is_none_or(|before| progress.val_losses[model] < before);
        if let Some((best, state)) = best.filter(|&(best, _)| is_better(best)) {
            // A run that goes on from here has the steps before it in the metrics, even if this one is killed.
            let flushed = outputs.metrics.as_mut().map_or(Ok(()), Metrics::flush);
            save.save(&state, &members[best])?;
            flushed?;
        }
        Ok(())
    }

    /// Validates every model: what they have, NaN for those that are out.
    fn validate(
        &self,
        models: &mut dyn Models,
        members: &[Member],
        progress: &mut Progress,
        outputs: &mut Outputs<impl Write>,
    ) -> Result<Vec<f64>> {
        let evaluations = models.evaluate(self.val_docs)?;
        for (model, loss) in evaluations.into_iter().map(Evaluation::loss).enumerate() {
            if !is_number(loss) {
                let what = format!("the validation loss is {loss:e}");
                self.diverged(model, members, progress.step, &what, progress, outputs.report);
            }
            progress.val_losses[model] = if progress.alive[model] { loss } else { f64::NAN };
        }
        progress.validated = Some(progress.step);
        outputs.report.validation(&progress.val_losses)?;
        Ok(progress.val_losses.clone())
    }

    /// The best model, and its state. The last update is in no loss: a model that could not take another step after it is out.
    fn best(
        &self,
        models: &mut dyn Models,
        members: &[Member],
        progress: &mut Progress,
        report: &Report<impl Write>,
    ) -> Result<Option<(usize, State)>> {
        while progress.any_alive() {
            let best = progress.best();
            let device = models.model(best);
            let state = device.download()?;
            let arrays = [&state.weights, &state.m, &state.v].into_iter();
            let what = match arrays.flat_map(|array| &array.values).find(|value| !value.is_finite()) {
                Some(value) => Some(format!("a value of the model is {value}")),
                // Nothing was trained, or it was asked before.
                None if progress.step == progress.first || progress.probed == Some((progress.step, best)) => None,
                None => bad(&device.trial_step(&state)?).map(|what| format!("the next step's {what}")),
            };
            let Some(what) = what else {
                progress.probed = Some((progress.step, best));
                return Ok(Some((best, state)));
            };
            self.diverged(best, members, state.step, &what, progress, report);
        }
        Ok(None)
    }

    /// A model has diverged: the run fails if it is the only one, else the others go on.
    fn diverged(
        &self,
        model: usize,
        members: &[Member],
        step: u64,
        what: &str,
        progress: &mut Progress,
        report: &Report<impl Write>,
    ) {
        progress.val_losses[model] = f64::NAN;
        if !std::mem::replace(&mut progress.alive[model], false) {
            return;
        }
        if self.alone {
            let saved = if self.save.is_some() { "; what was saved before is still there" } else { "" };
            progress.failure = Some(
                Error::new(format!("training diverged at step {step}: {what}"))
                    .hint(format!("lower `--learning-rate`, or start from other weights{saved}")),
            );
        } else {
            report.notice(format_args!("diverged: {} at step {step}: {what}", members[model]));
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// Whether nothing that is still to be computed would reach anyone.
    fn nobody_waits(&self, outputs: &Outputs<impl Write>) -> bool {
        let files = self.save.is_some() || outputs.metrics.is_some() || outputs.plot.is_some();
        outputs.report.is_closed() && !files
    }
}

/// Steps from `step` to the next multiple of `every`.
fn until_multiple(step: u64, every: u64) -> u64 {
    if every == 0 { u64::MAX } else { every - step % every }
}

/// What is no number any more in what a step reports.
fn bad(log: &StepLog) -> Option<String> {
    let mut numbers = [("loss", log.loss), ("gradient norm", log.grad_norm)].into_iter();
    numbers.find(|&(_, number)| !is_number(number)).map(|(what, number)| format!("{what} is {number:e}"))
}

/// Whether this is finite as the kernels and a checkpoint have it. The reference could go on for a while beyond that.
fn is_number(number: f64) -> bool {
    (number as f32).is_finite()
}

#[cfg(test)]
mod tests;
