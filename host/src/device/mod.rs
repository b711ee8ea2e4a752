//! The machines that a model can be trained on, behind one trait.

mod check;
mod choice;
pub mod cpu;
#[cfg(target_os = "linux")]
pub mod cuda;
#[cfg(target_os = "linux")]
mod driver;
#[cfg(not(target_family = "wasm"))]
mod open;
mod packed;
pub mod reference;

pub use choice::DeviceChoice;
#[cfg(not(target_family = "wasm"))]
pub use open::open;

use std::ops::Range;

use gpu_kernels::shape::RuntimeShape;
use rayon::prelude::*;

use crate::config::SampleConfig;
use crate::error::Result;
use crate::weights::Weights;

/// What one training step reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLog {
    /// Mean cross-entropy over the document's positions, before the update, in nats.
    pub loss: f64,
    /// The gradient's global norm before clipping.
    pub grad_norm: f64,
}

/// Everything that training changes.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Steps taken.
    pub step: u64,
    /// The parameters.
    pub weights: Weights,
    /// `AdamW`'s first moment.
    pub m: Weights,
    /// `AdamW`'s second moment.
    pub v: Weights,
}

impl State {
    /// The state before the first step.
    pub fn new(weights: Weights) -> Self {
        let zeros = Weights::zeros(weights.shape);
        Self { step: 0, m: zeros.clone(), v: zeros, weights }
    }
}

/// What a validation pass reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// The sum of the negative log-likelihoods of all tokens, in nats.
    pub nll: f64,
    /// Tokens predicted.
    pub tokens: u64,
}

impl Evaluation {
    /// Mean negative log-likelihood a token.
    pub fn loss(self) -> f64 {
        self.nll / self.tokens as f64
    }
}

/// A generated text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Its tokens, at most `block_size`, without `<BOS>`.
    pub tokens: Vec<u32>,
    /// The log-probability of each token, of the model's whole distribution at temperature 1, and of the `<BOS>` that ended
    /// the text, if one did. Empty where [`SampleConfig::logprobs`] does not ask for them.
    pub logprobs: Vec<f64>,
}

/// A machine that holds a model's state and its corpus and computes on them.
pub trait Device {
    /// What it is, for a notice: `"CPU (AVX-512)"`.
    fn description(&self) -> String;

    /// The model's dimensions.
    fn shape(&self) -> RuntimeShape;

    /// Steps taken.
    fn step(&self) -> u64;

    /// Trains the next `steps` steps: step `s` of a run of batches of B on training
    /// documents `s B .. s B + B`, modulo their number.
    ///
    /// # Errors
    /// What the machine reports.
    fn train(&mut self, steps: usize) -> Result<Vec<StepLog>>;

    /// What the next step would report, without taking it; `state` is the current one, as [`Device::download`] gives it.
    ///
    /// # Errors
    /// What the machine reports.
    fn probe(&mut self, state: &State) -> Result<StepLog> {
        let logs = self.train(1)?;
        self.upload(state)?;
        Ok(logs[0])
    }

    /// Evaluates the first `documents` validation documents (all, if there are fewer).
    ///
    /// # Errors
    /// What the machine reports.
    fn evaluate(&mut self, documents: usize) -> Result<Evaluation>;

    /// Tells that these samples will be asked for, some at a time: a GPU generates them all in one launch and keeps them.
    ///
    /// # Errors
    /// What the machine reports.
    fn prepare_samples(&mut self, config: &SampleConfig, samples: Range<u64>) -> Result<()> {
        let _ = (config, samples);
        Ok(())
    }

    /// Generates the samples of these numbers.
    ///
    /// # Errors
    /// A configuration that does not fit the model, or what the machine reports.
    fn generate(&mut self, config: &SampleConfig, samples: Range<u64>) -> Result<Vec<Sample>>;

    /// The current state.
    ///
    /// # Errors
    /// What the machine reports.
    fn download(&mut self) -> Result<State>;

    /// Replaces the state.
    ///
    /// # Errors
    /// A state of another shape than the device's, or what the machine reports.
    fn upload(&mut self, state: &State) -> Result<()>;
}

/// Models of one shape that are trained side by side on one corpus, each from its own weights and with its own optimiser.
pub trait Models {
    /// How many.
    fn count(&self) -> usize;

    /// Trains the next `steps` steps of every model: what each step reports, model by model.
    ///
    /// # Errors
    /// What the machine reports.
    fn train(&mut self, steps: usize) -> Result<Vec<Vec<StepLog>>>;

    /// Evaluates every model on the first `documents` validation documents.
    ///
    /// # Errors
    /// What the machine reports.
    fn evaluate(&mut self, documents: usize) -> Result<Vec<Evaluation>>;

    /// Model `i` alone.
    fn model(&mut self, i: usize) -> &mut dyn Device;
}

/// On the CPU, the models are spread over its threads.
impl<D: Device + Send> Models for Vec<D> {
    fn count(&self) -> usize {
        self.len()
    }

    fn train(&mut self, steps: usize) -> Result<Vec<Vec<StepLog>>> {
        self.par_iter_mut().map(|device| device.train(steps)).collect()
    }

    fn evaluate(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        self.par_iter_mut().map(|device| device.evaluate(documents)).collect()
    }

    fn model(&mut self, i: usize) -> &mut dyn Device {
        &mut self[i]
    }
}
