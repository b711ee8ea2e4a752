//! The scalar reference as a device among the others.

use std::ops::Range;

use gpu_kernels::shape::{RuntimeShape, Shape as _};
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use reference::generate::SamplingParams;
use reference::model::Shape;
use reference::{AdamW, TrainState};

use super::marshal::first_document;
use super::types::{Device, Evaluation, Sample, State, StepLog};
use super::validate;
use crate::config::{SampleConfig, TrainConfig};
use crate::corpus::{Dataset, Documents};
use crate::error::{Error, Result};
use crate::stop::StopHandle;
use crate::weights::Weights;

/// A reference [`TrainState`] and the documents that it learns from.
pub struct Reference {
    model: TrainState,
    shape: RuntimeShape,
    config: TrainConfig,
    dataset: Dataset,
    stop: StopHandle,
}

impl Reference {
    /// Returns a model in this state, to be trained on this dataset.
    ///
    /// # Errors
    /// If the model does not fit the dataset.
    pub fn new(config: TrainConfig, dataset: &Dataset, state: &State) -> Result<Self> {
        validate::model(&config, dataset, state)?;
        Ok(Self {
            model: to_model(state),
            shape: state.weights.shape,
            config,
            dataset: dataset.clone(),
            stop: StopHandle::default(),
        })
    }

    fn unless_stopped(&self) -> Result<()> {
        if self.stop.is_stopped() { Err(Error::Stopped) } else { Ok(()) }
    }
}

/// Returns a reference model in the state that a device has reached.
///
/// # Panics
/// If the state's values do not fit its shape.
pub fn to_model(state: &State) -> TrainState {
    let wide = |weights: &Weights| weights.values.iter().copied().map(f64::from).collect::<Vec<f64>>();
    let shape = state.weights.shape;
    let shape = Shape {
        vocab: shape.vocab(),
        block_size: shape.block_size(),
        n_embd: shape.n_embd(),
        n_head: shape.n_head(),
        n_layer: shape.n_layer(),
    };
    let mut model = TrainState::new(shape, wide(&state.weights));
    (model.step, model.m, model.v) = (state.step, wide(&state.m), wide(&state.v));
    model
}

/// Returns the optimiser's parameters at `step`, counted from 0.
pub fn adamw_at(config: &TrainConfig, step: u64) -> AdamW {
    let o = config.optimizer;
    AdamW {
        learning_rate: o.learning_rate_at(step, config.steps),
        beta1: o.beta1,
        beta2: o.beta2,
        eps: o.eps,
        weight_decay: o.weight_decay,
        max_grad_norm: o.max_grad_norm,
    }
}

/// Returns the documents of a step. After the last document of `train` the first one follows again.
fn batch<'a>(config: &TrainConfig, step: u64, train: &'a Documents) -> Vec<&'a [u32]> {
    let first = first_document(config, step, train) as usize;
    (first..first + config.batch).map(|i| train.get(i % train.len())).collect()
}

/// Returns the random stream of a sample, as uniform values in `[0, 1)`.
///
/// Every sample has a stream of its own, the same as in the kernels. So sample 7 is the same on every device, whether
/// or not samples 1 to 6 were drawn. A value has 24 random bits, which an `f32` holds exactly.
fn uniforms(seed: u64, sample_index: u64) -> impl FnMut() -> f64 {
    // The seeds of two streams are apart by 2^64 over the golden ratio, made odd.
    let seed = seed.wrapping_add(sample_index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(seed);
    move || f64::from(rng.next_u32() >> 8) / f64::from(1 << 24)
}

impl Device for Reference {
    fn description(&self) -> String {
        "reference (scalar autograd, f64)".to_owned()
    }

    fn shape(&self) -> RuntimeShape {
        self.shape
    }

    fn stopped_by(&mut self, stop: StopHandle) {
        self.stop = stop;
    }

    fn train(&mut self, steps: usize) -> Result<Vec<StepLog>> {
        let Self { model, config, dataset, stop, .. } = self;
        let steps = (model.step..model.step + steps as u64).take_while(|_| !stop.is_stopped());
        Ok(steps.map(|step| model.train_step(&batch(config, step, &dataset.train), &adamw_at(config, step))).collect())
    }

    /// Tries the next step from the model's own state, which is more precise than `state`.
    fn trial_step(&mut self, _: &State) -> Result<StepLog> {
        self.unless_stopped()?;
        let Self { model, config, dataset, .. } = self;
        Ok(model.clipped_gradients(&batch(config, model.step, &dataset.train), config.optimizer.max_grad_norm).0)
    }

    fn evaluate_each(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        let documents = documents.min(self.dataset.val.len());
        let evaluate = |i| {
            self.unless_stopped()?;
            Ok(self.model.evaluate([self.dataset.val.get(i)]))
        };
        (0..documents).map(evaluate).collect()
    }

    fn generate(&mut self, config: &SampleConfig, samples: Range<u64>) -> Result<Vec<Sample>> {
        validate::sampling(self.shape, config)?;
        let &SampleConfig { top_k, temperature, min_p, top_p, seed, prompt, logprobs } = config;
        let params = SamplingParams { top_k, temperature, min_p, top_p };
        let sample = |i| {
            self.unless_stopped()?;
            let sample = self.model.generate(params, prompt, uniforms(seed, i));
            // NaN tells that a token had no probabilities.
            let keep = logprobs || sample.logprobs.iter().any(|logprob| logprob.is_nan());
            Ok(if keep { sample } else { Sample { logprobs: Vec::new(), ..sample } })
        };
        samples.map(sample).collect()
    }

    /// Returns the state, rounded to the `f32` that the other devices and checkpoints hold.
    fn download(&mut self) -> Result<State> {
        let narrow = |values: &[f64]| Weights { shape: self.shape, values: values.iter().map(|&x| x as f32).collect() };
        let TrainState { step, weights, m, v, .. } = &self.model;
        Ok(State { step: *step, weights: narrow(weights), m: narrow(m), v: narrow(v) })
    }

    fn upload(&mut self, state: &State) -> Result<()> {
        validate::state(self.shape, state)?;
        self.model = to_model(state);
        Ok(())
    }
}
