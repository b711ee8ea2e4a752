//! A device, and the types that it takes and returns.

use std::ops::Range;

use gpu_kernels::shape::{RuntimeShape, Shape};
use rayon::prelude::*;
pub use reference::generate::Sample;
pub use reference::{Evaluation, StepLog};
use simt::HALF_WARP;

use super::sampling;
use crate::config::{SampleConfig, TrainConfig};
use crate::error::{Error, Result};
use crate::run::launch_len;
use crate::stop::StopHandle;
use crate::tokenizer::BOS;
use crate::weights::Weights;

/// A kind of device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "program", derive(clap::ValueEnum))]
#[cfg_attr(feature = "mpi", derive(serde::Serialize, serde::Deserialize))]
pub enum DeviceKind {
    /// The GPU if one can be used, else the CPU.
    #[default]
    Auto,
    /// The kernels on an NVIDIA GPU.
    #[cfg_attr(feature = "program", value(alias = "gpu"))]
    Cuda,
    /// The kernels on the CPU.
    Cpu,
    /// The scalar reference in double precision, slow and made to be read.
    Reference,
}

/// A way to compute the steps and the evaluations of a model. Each way has its own order of sums. The shape of a step
/// decides which one takes it, so that every device gives the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executor {
    /// One document after the other, each through the whole model. Small models stay in the nearest caches so.
    Fused,
    /// All tokens of a step as the rows of matrices, op by op. Large models read their weights once a step so.
    Tiled,
}

/// The least number of channels for which the tiled executor is the faster one.
const TILED_CHANNELS: usize = 64;

/// The least number of rows of a training step for which the tiled executor is the faster one.
const TILED_ROWS: usize = 64;

/// The executors of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executors {
    /// The executor of training steps.
    pub training: Executor,
    /// The executor of evaluations.
    pub evaluation: Executor,
}

impl Executors {
    /// Returns the executors of a model whose steps have `batch` documents.
    pub fn new(shape: RuntimeShape, batch: usize) -> Self {
        Self { training: Executor::of_training(shape, batch), evaluation: Executor::of_evaluation(shape) }
    }

    /// Returns this executor for both.
    pub fn both(executor: Executor) -> Self {
        Self { training: executor, evaluation: executor }
    }

    /// Returns what a device's description says of the training steps.
    pub(super) fn description(self) -> &'static str {
        if self.training == Executor::Tiled { ", tiled" } else { "" }
    }
}

impl Executor {
    /// Returns the executor of training steps of `batch` documents, which have up to `batch * block_size` rows.
    pub fn of_training(shape: RuntimeShape, batch: usize) -> Self {
        if batch.saturating_mul(shape.block_size()) < TILED_ROWS { Self::Fused } else { Self::of_evaluation(shape) }
    }

    /// Returns the executor of evaluations, which have many documents. The tiled attention takes whole half-warps of
    /// channels.
    pub fn of_evaluation(shape: RuntimeShape) -> Self {
        let is_tiled = shape.n_embd() >= TILED_CHANNELS && shape.head_dim_padded().is_multiple_of(HALF_WARP);
        if is_tiled { Self::Tiled } else { Self::Fused }
    }
}

/// The state that training changes.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The number of steps taken.
    pub step: u64,
    /// The parameters.
    pub weights: Weights,
    /// The first moment of `AdamW`.
    pub m: Weights,
    /// The second moment of `AdamW`.
    pub v: Weights,
}

impl State {
    /// Returns the state before the first step.
    pub fn new(weights: Weights) -> Self {
        let zeros = Weights::zeros(weights.shape);
        Self { step: 0, m: zeros.clone(), v: zeros, weights }
    }
}

/// A model before it is put on a device.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSetup {
    /// The configuration of the training.
    pub train: TrainConfig,
    /// The state that training starts from.
    pub state: State,
}

/// A device that holds a model's state and its corpus and computes on them.
///
/// Every method can fail with the device's own errors, a failure of the driver or too little memory.
#[expect(clippy::missing_errors_doc, reason = "stated above for all methods")]
pub trait Device {
    /// Returns the device's name for a notice, such as `CPU (AVX-512)`.
    fn description(&self) -> String;

    /// Returns the model's dimensions.
    fn shape(&self) -> RuntimeShape;

    /// Lets a handle end a computation under way, if the device can. [`Device::train`] then returns the logs of the steps
    /// that were completed, and every other computation ends in [`Error::Stopped`].
    fn stopped_by(&mut self, _stop: StopHandle) {}

    /// Takes the next `steps` steps. Step `s` of a run with batches of B trains on training documents `s B .. s B + B`,
    /// modulo the number of training documents, or on windows of these numbers of a continuous text.
    fn train(&mut self, steps: usize) -> Result<Vec<StepLog>>;

    /// Returns the log of the next step without taking it. `state` must be the current state, from
    /// [`Device::download`].
    fn trial_step(&mut self, state: &State) -> Result<StepLog> {
        let logs = self.train(1)?;
        self.upload(state)?;
        logs.first().copied().ok_or(Error::Stopped)
    }

    /// Evaluates each of the first `documents` validation documents, or all if there are fewer.
    fn evaluate_each(&mut self, documents: usize) -> Result<Vec<Evaluation>>;

    /// Evaluates the first `documents` validation documents together, or all if there are fewer.
    fn evaluate(&mut self, documents: usize) -> Result<Evaluation> {
        Ok(total(&self.evaluate_each(documents)?))
    }

    /// Returns the number of samples that make a launch, if each takes `work` multiplications.
    fn samples_per_launch(&self, work: u64) -> u64 {
        launch_len(work)
    }

    /// Generates the samples with these indices, from `<BOS>` and the prompt. Without [`SampleConfig::logprobs`] they have
    /// no log-probabilities, but for NaN in a sample whose model gives NaN for probabilities. A configuration that does
    /// not fit the model is an error.
    fn generate(&mut self, config: &SampleConfig, samples: Range<u64>) -> Result<Vec<Sample>> {
        sampling::validate_prompt(self.shape(), config.prompt)?;
        let count = sampling::count(&samples, self.shape())?;
        self.extend(config, &[&[BOS], config.prompt].concat().repeat(count as usize), samples)
    }

    /// Generates the samples with these indices from `starts`, `[samples, 1 to block_size]`, in place of `<BOS>` and the
    /// prompt. The samples have the tokens after the first of their start, at most `block_size`.
    fn extend(&mut self, config: &SampleConfig, starts: &[u32], samples: Range<u64>) -> Result<Vec<Sample>>;

    /// Returns the current state.
    fn download(&mut self) -> Result<State>;

    /// Replaces the state. Another shape is an error.
    fn upload(&mut self, state: &State) -> Result<()>;
}

/// Returns the evaluation of documents together from that of each.
pub fn total(evaluations: &[Evaluation]) -> Evaluation {
    let add =
        |sum: Evaluation, one: &Evaluation| Evaluation { nll: sum.nll + one.nll, tokens: sum.tokens + one.tokens };
    evaluations.iter().fold(Evaluation { nll: 0.0, tokens: 0 }, add)
}

/// Models of one shape that are trained side by side on one corpus, each with its own weights and optimiser.
///
/// Every method can fail with the errors of a [`Device`].
#[expect(clippy::missing_errors_doc, reason = "stated above for all methods")]
pub trait Models {
    /// Lets a handle end the computations of every model early, see [`Device::stopped_by`].
    fn stopped_by(&mut self, _stop: &StopHandle) {}

    /// Takes the next `steps` steps of each model that is `active`, and returns the logs, model by model. Those of the
    /// other models are empty.
    fn train(&mut self, steps: usize, active: &[bool]) -> Result<Vec<Vec<StepLog>>>;

    /// Evaluates every model on the first `documents` validation documents.
    fn evaluate(&mut self, documents: usize) -> Result<Vec<Evaluation>>;

    /// Returns model `i` alone.
    fn model(&mut self, i: usize) -> &mut dyn Device;
}

/// Independent devices, which run on the threads of the CPU.
impl<D: Device + Send> Models for Vec<D> {
    fn stopped_by(&mut self, stop: &StopHandle) {
        for device in self {
            device.stopped_by(stop.clone());
        }
    }

    fn train(&mut self, steps: usize, active: &[bool]) -> Result<Vec<Vec<StepLog>>> {
        let train = |(device, &active): (&mut D, &bool)| if active { device.train(steps) } else { Ok(Vec::new()) };
        self.par_iter_mut().zip(active).map(train).collect()
    }

    fn evaluate(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        self.par_iter_mut().map(|device| device.evaluate(documents)).collect()
    }

    fn model(&mut self, i: usize) -> &mut dyn Device {
        &mut self[i]
    }
}
