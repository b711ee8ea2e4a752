//! Training as an iterator of events. Launches of steps, validations and checkpoints take turns, for one run or for several side
//! by side.
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

use crate::config::num_params;
use crate::corpus::Dataset;
use crate::device::{Device, Evaluation, Models};
use crate::error::{Error, Result};
use crate::launch::launch_len;
use crate::model::Model;
use crate::run::Run;
use crate::tokenizer::Tokenizer;

mod config;
mod event;
mod phases;
mod progress;
#[cfg(not(target_family = "wasm"))]
mod start;
mod stop;

pub use config::{Config, Schedule, Start};
pub use event::{Checkpoint, Diverged, Event, Finished, Steps, Validation};
use progress::Progress;
pub use stop::StopHandle;

/// The training of one run, or of several side by side, as an iterator of events.
///
/// It computes a launch of steps when the next event is asked for. After [`Event::Finished`] or an error it ends.
pub struct Trainer {
    models: Box<dyn Models>,
    description: String,
    tokenizer: Tokenizer,
    runs: Vec<Run>,
    schedule: Schedule,
    stop: StopHandle,
    /// The most steps of a launch.
    max_launch: u64,
    phase: Phase,
    progress: Progress,
    /// The reason to fail at the end, where the only run has diverged.
    failure: Option<Error>,
    /// The events that have happened and were not taken yet. An error is the last.
    events: VecDeque<Result<Event>>,
}

/// The next thing to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Start,
    Launch,
    Validate { is_due: bool },
    Checkpoint,
    ValidateLast,
    Finish,
    Done,
}

impl Trainer {
    /// Starts the training of models that a device holds, from the step that they have reached. `runs` has one run for each.
    ///
    /// # Panics
    /// If there is no model.
    pub fn on(mut models: Box<dyn Models>, runs: Vec<Run>, dataset: &Dataset, schedule: Schedule) -> Self {
        let device = models.model(0);
        let (description, step, shape) = (device.description(), device.step(), device.shape());
        // A step multiplies each parameter at each position, once forward and twice backward.
        let document = 3 * num_params(shape) as u64 * u64::from(shape.block_size);
        let documents: u64 = runs.iter().map(|run| run.config.train.batch as u64).sum();
        Self {
            description,
            tokenizer: dataset.tokenizer.clone(),
            schedule,
            stop: StopHandle::default(),
            max_launch: launch_len(document.saturating_mul(documents)),
            phase: Phase::Start,
            progress: Progress::new(step, runs.len()),
            failure: None,
            events: VecDeque::new(),
            models,
            runs,
        }
    }

    /// Returns the trainer with another stop handle, such as one that ends several trainers.
    #[must_use]
    pub fn stopped_by(self, stop: StopHandle) -> Self {
        Self { stop, ..self }
    }

    /// Returns a handle that ends the training after the launch under way. The best model is then validated and kept.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Ends the training as if the last step taken was the last of the schedule.
    pub fn end_here(&mut self) {
        self.schedule.stop_after = self.schedule.stop_after.min(self.progress.step);
    }

    /// Returns the description of the device.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Returns the number of steps that the runs have taken.
    pub fn step(&self) -> u64 {
        self.progress.step
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
    /// The device's failure.
    pub fn evaluate(&mut self) -> Result<Vec<f64>> {
        let evaluations = self.models.evaluate(self.schedule.val_docs)?;
        Ok(evaluations.into_iter().map(Evaluation::loss).collect())
    }

    /// Returns the best model as it is now.
    ///
    /// # Errors
    /// [`Error::AllDiverged`], or the device's failure.
    pub fn into_model(mut self) -> Result<Model> {
        if !self.progress.any_alive() {
            return Err(Error::AllDiverged);
        }
        let state = self.models.model(self.progress.best()).download()?;
        Ok(Model { state, tokenizer: self.tokenizer })
    }

    /// Trains to the end, and returns the best model.
    ///
    /// # Errors
    /// The errors of the events.
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
