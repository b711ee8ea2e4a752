//! The training, as an iterator of events. Launches of steps, validations and checkpoints take turns, for one run or
//! for several side by side.
//!
//! ```
//! use microgpt::{Config, Corpus, Event, Trainer};
//!
//! let corpus = Corpus::from_text("emma\nolivia\nava\nisabella\nsophia\n")?;
//! let config = Config { steps: 20, val_every: 10, ..Config::default() };
//! for event in Trainer::new(&config, &corpus)? {
//!     match event? {
//!         Event::Steps(steps) => steps.losses().for_each(|(step, loss)| println!("step {step}: {loss:.4}")),
//!         Event::Validation(validation) => println!("validation: {:.4}", validation.loss()),
//!         Event::Finished(finished) => assert_eq!(finished.state.step, 20),
//!         _ => {}
//!     }
//! }
//! # Ok::<(), microgpt::Error>(())
//! ```

use std::collections::VecDeque;
use std::time::Instant;

use gpu_kernels::shape::Shape as _;

use crate::config::num_params;
use crate::corpus::Dataset;
use crate::device::memory::Demand;
use crate::device::{Device, DeviceKind, Evaluation, ModelSetup, Models, State, select};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::run::{Best, Run, Validated, launch_len};
use crate::stop::StopHandle;
use crate::tokenizer::Tokenizer;

mod config;
mod event;
mod phases;
#[cfg(feature = "program")]
mod start;
mod tokens;

pub use config::{Config, Schedule};
pub use event::{Checkpoint, Event, Finished, Steps, Validation};
use tokens::TokenCount;

/// The training of one run, or of several side by side, as an iterator of events.
///
/// The iterator computes a launch of steps when the next event is asked for. It ends after [`Event::Finished`] or an
/// error.
pub struct Trainer {
    models: Box<dyn Models>,
    description: String,
    tokenizer: Tokenizer,
    runs: Vec<Run>,
    schedule: Schedule,
    /// The number of validation documents.
    val_documents: usize,
    stop: StopHandle,
    /// Whether a stop was asked for before the end of the last launch. The flag may be set at any time. It is read once
    /// a launch, so that all effects of a stop happen after the same step.
    stopped: bool,
    /// The largest number of steps of a launch.
    max_launch: u64,
    /// The seconds that a step of the last launch took.
    step_seconds: Option<f64>,
    /// The start of the first launch.
    start: Option<Instant>,
    tokens: TokenCount,
    /// The step that the training went on from.
    first: u64,
    /// The number of the last step.
    step: u64,
    /// Whether the values of each run are still finite.
    alive: Vec<bool>,
    /// The best validation of each run.
    bests: Vec<Best>,
    /// The validation loss of the last [`Event::Best`], or infinity before the first.
    kept_loss: f64,
    /// The last validation loss of each run.
    val_losses: Vec<f64>,
    /// The step after which the validation losses were measured.
    validated: Option<u64>,
    phase: Phase,
    /// The reason to fail at the end, where the only run has diverged.
    failure: Option<Error>,
    /// The events that have happened and were not taken yet. An error is the last.
    events: VecDeque<Result<Event>>,
}

/// The next thing to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Launch,
    Validate,
    Checkpoint,
    Finish,
    Done,
}

impl Trainer {
    /// Starts runs of one shape and batch size side by side, each from its state. See
    /// [`group_by_shape`](crate::run::group_by_shape). The memory that they need goes to `announce` before it is allocated.
    ///
    /// # Errors
    /// If a state does not fit the data set, or the device is missing or too small.
    ///
    /// # Panics
    /// If there is no run, or the numbers of runs and states differ.
    pub fn start(
        runs: Vec<Run>,
        states: Vec<State>,
        dataset: &Dataset,
        device: DeviceKind,
        schedule: Schedule,
        announce: &mut dyn FnMut(&Demand),
    ) -> Result<Self> {
        assert_eq!(runs.len(), states.len(), "each run starts from one state");
        let step = states[0].step;
        let setup = |(run, state): (&Run, State)| ModelSetup { train: run.config.train, state };
        let setups: Vec<ModelSetup> = runs.iter().zip(states).map(setup).collect();
        let (models, description) = select(device, dataset, &setups, announce)?;
        Ok(Self { description, ..Self::on(models, runs, dataset, schedule).at(step) })
    }

    /// Starts runs side by side, on models that have taken `step` steps. `description` is that of their device.
    #[cfg(feature = "program")]
    pub(crate) fn on_models(
        (models, description): (Box<dyn Models>, String),
        runs: Vec<Run>,
        dataset: &Dataset,
        schedule: Schedule,
        step: u64,
    ) -> Self {
        Self { description, ..Self::on(models, runs, dataset, schedule).at(step) }
    }

    /// Returns the trainer of models that have taken `step` steps.
    fn at(self, step: u64) -> Self {
        Self { first: step, step, ..self }
    }

    /// Starts the training of models that a device holds, one for each run, from step 0.
    fn on(mut models: Box<dyn Models>, runs: Vec<Run>, dataset: &Dataset, schedule: Schedule) -> Self {
        let shape = models.model(0).shape();
        // A step multiplies each parameter at each position, once forward and twice backward.
        let document = 3 * num_params(shape) as u64 * u64::from(shape.block_size);
        let documents: u64 = runs.iter().map(|run| run.config.train.batch as u64).sum();
        Self {
            models,
            description: String::new(),
            tokenizer: dataset.tokenizer.clone(),
            schedule,
            val_documents: dataset.val.len(),
            stop: StopHandle::default(),
            stopped: false,
            max_launch: launch_len(document.saturating_mul(documents)),
            step_seconds: None,
            start: None,
            tokens: TokenCount::new(dataset, shape.block_size(), runs[0].config.train.batch),
            first: 0,
            step: 0,
            alive: vec![true; runs.len()],
            bests: vec![Best::default(); runs.len()],
            kept_loss: f64::INFINITY,
            val_losses: vec![f64::NAN; runs.len()],
            validated: None,
            phase: Phase::Launch,
            failure: None,
            events: VecDeque::new(),
            runs,
        }
    }

    /// Returns the trainer with a handle that ends the training. A CPU ends the step under way between two layers and
    /// drops it, and a GPU ends with the launch under way. The best model is then validated and kept, unless the
    /// validation would take long. A handle can end several trainers.
    #[must_use]
    pub fn stopped_by(mut self, stop: StopHandle) -> Self {
        // Runs side by side take the same steps, so only launches of one step may end early.
        if self.runs.len() == 1 || self.max_launch == 1 {
            self.models.stopped_by(&stop);
        }
        Self { stop, ..self }
    }

    /// Returns the trainer with the validations that each run had before.
    #[must_use]
    pub fn after(self, Validated { best, val_loss }: Validated) -> Self {
        let runs = self.runs.len();
        Self {
            bests: vec![best; runs],
            kept_loss: best.loss,
            val_losses: vec![val_loss.unwrap_or(f64::NAN); runs],
            validated: val_loss.map(|_| self.step),
            ..self
        }
    }

    /// Ends the training as if the last step taken was the last of the schedule.
    pub fn end_here(&mut self) {
        self.schedule.stop_after = self.schedule.stop_after.min(self.step);
    }

    /// Lets work that begins after a stop run to its end.
    pub fn outlast_stop(&mut self) {
        self.see_stop();
    }

    /// Returns the description of the device.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Returns the number of steps that the runs have taken.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Returns the least validation loss of any run so far, or infinity before the first validation.
    pub fn best_loss(&self) -> f64 {
        self.bests.iter().map(|best| best.loss).fold(f64::INFINITY, f64::min)
    }

    /// Returns the model of a run on its device.
    ///
    /// # Panics
    /// If there is no run `run`.
    pub fn device(&mut self, run: usize) -> &mut dyn Device {
        self.models.model(run)
    }

    /// Validates every run as it is now, whether it has diverged or not.
    ///
    /// # Errors
    /// If the device fails.
    pub fn evaluate(&mut self) -> Result<Vec<f64>> {
        let evaluations = self.models.evaluate(self.schedule.val_docs.max(1))?;
        Ok(evaluations.into_iter().map(Evaluation::loss).collect())
    }

    /// Returns the run with the least validation loss, or the first that is alive.
    fn best_run(&self) -> usize {
        let alive = (0..self.alive.len()).filter(|&run| self.alive[run]);
        let loss = |run: usize| if self.val_losses[run].is_nan() { f64::INFINITY } else { self.val_losses[run] };
        alive.min_by(|&a, &b| loss(a).total_cmp(&loss(b))).unwrap_or(0)
    }

    /// Returns the best model as it is now.
    ///
    /// # Errors
    /// [`Error::AllDiverged`] if all runs have diverged, or if the device fails.
    pub fn into_model(mut self) -> Result<Model> {
        if !self.any_alive() {
            return Err(Error::AllDiverged);
        }
        let best = self.best_run();
        let state = self.models.model(best).download()?;
        Ok(Model { state, tokenizer: self.tokenizer })
    }

    /// Trains to the end, and returns the best model.
    ///
    /// # Errors
    /// If an event is an error.
    pub fn finish(mut self) -> Result<Model> {
        self.try_for_each(|event| event.map(drop))?;
        self.into_model()
    }
}

impl Iterator for Trainer {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Result<Event>> {
        while self.events.is_empty() && self.phase != Phase::Done {
            if let Err(error) = self.advance() {
                self.phase = Phase::Done;
                self.events.push_back(Err(error));
            }
        }
        self.events.pop_front()
    }
}

#[cfg(test)]
mod tests;
