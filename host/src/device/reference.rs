//! The scalar reference as a device among the others.

use std::mem;
use std::ops::Range;
use std::panic;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use gpu_kernels::shape::{RuntimeShape, Shape as _};
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use reference::generate::SamplingParams;
use reference::model::Shape;
use reference::{AdamW, TrainState};

use super::memory::Demand;
use super::types::{Device, Evaluation, Sample, State, StepLog};
use super::{sampling, threads, validate};
use crate::config::{SampleConfig, TrainConfig, num_params};
use crate::corpus::{Batches, Dataset, Documents};
use crate::error::{Error, OutOfMemory, Result};
use crate::stop::StopHandle;
use crate::weights::Weights;

/// The bytes on the tape for a multiplication, which has two inputs.
const TAPE_BYTES: usize = 32;
/// The time between two looks at the stop handle.
const PATIENCE: Duration = Duration::from_millis(20);
/// The longest time of work after which the next is done by the calling thread, which cannot end it early.
const QUICK: Duration = Duration::from_millis(5);

/// A reference [`TrainState`] and the documents that it learns from.
pub struct Reference {
    model: TrainState,
    shape: RuntimeShape,
    config: TrainConfig,
    dataset: Dataset,
    stop: StopHandle,
    /// The time that the last work took.
    time: Duration,
}

impl Reference {
    /// Returns a model in this state, to be trained on this dataset.
    ///
    /// # Errors
    /// If the model does not fit the dataset, or the system lacks the memory for a document's tape.
    pub fn new(config: TrainConfig, dataset: &Dataset, state: &State) -> Result<Self> {
        validate::model(&config, dataset, state)?;
        // Without this check, Linux would end the program in the midst of a step.
        let tape = tape_bytes(state.weights.shape, dataset);
        Vec::<u8>::new().try_reserve_exact(tape).map_err(|_| OutOfMemory(tape))?;
        Ok(Self {
            model: to_model(state),
            shape: state.weights.shape,
            config,
            dataset: dataset.clone(),
            stop: StopHandle::default(),
            time: Duration::MAX,
        })
    }

    /// Returns the documents of the next step.
    fn batch(&self) -> Result<Vec<Vec<u32>>> {
        let batch = self.config.batch;
        let Batches { documents, first } = self.dataset.batches(self.model.step, 1, batch, self.shape.block_size())?;
        // After the last document the first one follows again.
        let step = (0..batch).map(|i| documents.get((first as usize + i) % documents.len()).to_vec());
        Ok(step.collect())
    }

    /// Runs `work` on the model, unless the stop handle asks for the end before `work` has ended. The model is then as
    /// it was before, and the thread that runs `work` is left to itself.
    fn run<R: Send + 'static>(&mut self, work: impl FnOnce(&mut TrainState) -> R + Send + 'static) -> Result<R> {
        if self.stop.is_stopped() {
            return Err(Error::Stopped);
        }
        // A browser has neither threads nor this clock.
        if cfg!(target_family = "wasm") {
            return Ok(work(&mut self.model));
        }
        let start = Instant::now();
        let result = if self.time < QUICK { work(&mut self.model) } else { self.run_apart(work)? };
        self.time = start.elapsed();
        Ok(result)
    }

    /// Computes [`Self::run`] with `work` on a thread of its own.
    fn run_apart<R: Send + 'static>(&mut self, work: impl FnOnce(&mut TrainState) -> R + Send + 'static) -> Result<R> {
        let copy = copy(&self.model);
        let mut model = mem::replace(&mut self.model, copy);
        let (sender, receiver) = channel();
        let worker = threads::start_one("the thread of the reference", move || {
            let result = work(&mut model);
            // Nobody receives the result after a stop.
            let _ = sender.send((model, result));
        })?;
        loop {
            match receiver.recv_timeout(PATIENCE) {
                Ok((model, result)) => {
                    self.model = model;
                    return Ok(result);
                }
                Err(RecvTimeoutError::Timeout) if self.stop.is_stopped() => return Err(Error::Stopped),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        panic::resume_unwind(worker.join().expect_err("a thread that returns has sent its result"))
    }
}

/// Returns the bytes of the tape of the longest document.
fn tape_bytes(shape: RuntimeShape, dataset: &Dataset) -> usize {
    let positions =
        |documents: &Documents| (0..documents.len()).map(|i| documents.positions(i, shape.block_size())).max();
    let longest = positions(&dataset.train).max(positions(&dataset.val)).unwrap_or(0);
    num_params(shape).saturating_mul(longest).saturating_mul(TAPE_BYTES)
}

/// Returns the bytes that a model needs. A step copies the model, so that a stop can drop the step.
pub(super) fn demand(shape: RuntimeShape, dataset: &Dataset) -> Demand {
    // A copy in single precision, and two in double precision.
    let bytes = num_params(shape) as u64 * 20;
    Demand { parameters: bytes, optimizer: 2 * bytes, activations: tape_bytes(shape, dataset) as u64 }
}

/// Returns the model with a tape of its own.
fn copy(model: &TrainState) -> TrainState {
    let mut copy = TrainState::new(model.shape, model.weights.clone());
    (copy.step, copy.m, copy.v) = (model.step, model.m.clone(), model.v.clone());
    copy
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

/// Returns each document as a slice.
fn slices(documents: &[Vec<u32>]) -> Vec<&[u32]> {
    documents.iter().map(Vec::as_slice).collect()
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
        let mut logs = Vec::new();
        for _ in 0..steps {
            let step = self.model.step;
            let (documents, adamw) = (self.batch()?, adamw_at(&self.config, step));
            match self.run(move |model| model.train_step(&slices(&documents), &adamw)) {
                Err(Error::Stopped) => break,
                log => logs.push(log?),
            }
        }
        Ok(logs)
    }

    /// Tries the next step from the model's own state, which is more precise than `state`.
    fn trial_step(&mut self, _: &State) -> Result<StepLog> {
        let documents = self.batch()?;
        let max_grad_norm = self.config.optimizer.max_grad_norm;
        self.run(move |model| model.clipped_gradients(&slices(&documents), max_grad_norm).0)
    }

    fn evaluate_each(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        let documents = documents.min(self.dataset.val.len());
        let evaluate = |i| {
            let document = self.dataset.val.get(i).to_vec();
            self.run(move |model| model.evaluate([&*document]))
        };
        (0..documents).map(evaluate).collect()
    }

    fn extend(&mut self, config: &SampleConfig, starts: &[u32], samples: Range<u64>) -> Result<Vec<Sample>> {
        let count = sampling::count(&samples, self.shape)?;
        let start_len = sampling::validate(self.shape, config, starts, count)?;
        let &SampleConfig { top_k, temperature, min_p, top_p, seed, logprobs, .. } = config;
        let params = SamplingParams { top_k, temperature, min_p, top_p };
        let sample = |(i, start): (u64, &[u32])| {
            let start = start.to_vec();
            let sample = self.run(move |model| model.generate(params, &start, uniforms(seed, i)))?;
            // NaN tells that a token had no probabilities.
            let keep = logprobs || sample.logprobs.iter().any(|logprob| logprob.is_nan());
            Ok(if keep { sample } else { Sample { logprobs: Vec::new(), ..sample } })
        };
        samples.zip(starts.chunks(start_len as usize)).map(sample).collect()
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
