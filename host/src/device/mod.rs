//! The machines that a model can be trained on, behind one trait.

pub mod cpu;

use std::ops::Range;

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

/// A machine that holds a model's state and its corpus and computes on them.
pub trait Device {
    /// What it is, for a notice: `"CPU (AVX-512)"`.
    fn description(&self) -> String;

    /// Trains the next `steps` steps: step `s` of the run on training document `s` modulo their number.
    ///
    /// # Errors
    /// What the machine reports.
    fn train(&mut self, steps: usize) -> Result<Vec<StepLog>>;

    /// Evaluates the first `documents` validation documents (all, if there are fewer).
    ///
    /// # Errors
    /// What the machine reports.
    fn evaluate(&mut self, documents: usize) -> Result<Evaluation>;

    /// Generates the samples of these numbers, each at most `block_size` tokens without `<BOS>`.
    ///
    /// # Errors
    /// What the machine reports.
    fn generate(&mut self, config: &SampleConfig, samples: Range<u64>) -> Result<Vec<Vec<u32>>>;

    /// The current state.
    ///
    /// # Errors
    /// What the machine reports.
    fn download(&mut self) -> Result<State>;

    /// Replaces the state; its shape is that of the device.
    ///
    /// # Errors
    /// What the machine reports.
    fn upload(&mut self, state: &State) -> Result<()>;
}
