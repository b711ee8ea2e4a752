//! The CPU: the kernels of the fastest instruction set that the processor has, blocks spread over threads.

use std::ops::Range;

use gpu_kernels::activations::Activations;
use gpu_kernels::args::{EvaluateArgs, GenerateArgs, Optimizer, Schedule, StepLog as KernelLog, TrainArgs};
use gpu_kernels::entry::{self, Kernels};
use gpu_kernels::generate::{BOS, generate_workspace_len};
use gpu_kernels::layout::Layout;
use gpu_kernels::shape::{RuntimeShape, Shape};
use gpu_kernels::train::train_workspace_len;
use rayon::prelude::*;

use super::{Device, Evaluation, State, StepLog};
use crate::config::{SampleConfig, TrainConfig};
use crate::corpus::{Dataset, Documents};
use crate::error::{Error, Result};
use crate::weights::Weights;

/// Blocks of an evaluation at most: each has a workspace of its own.
const EVALUATE_BLOCKS: usize = 32;

/// Samples that a block of `generate` takes at least: fewer would not be worth a thread.
const SAMPLES_PER_BLOCK: usize = 256;

/// A model on the CPU.
pub struct Cpu {
    kernels: Kernels,
    shape: RuntimeShape,
    config: TrainConfig,
    train: Documents,
    val: Documents,
    step: u64,
    params: Buffer,
    transposed: Buffer,
    grads: Buffer,
    m: Buffer,
    v: Buffer,
    workspace: Buffer,
    evaluate_workspace: Buffer,
}

/// The instruction sets that this processor has, the fastest first.
pub fn available() -> Vec<Kernels> {
    entry::ALL.into_iter().filter(is_available).collect()
}

#[cfg(target_arch = "x86_64")]
fn is_available(kernels: &Kernels) -> bool {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    match kernels.name {
        "AVX-512" => {
            avx2 && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
        }
        "AVX2" => avx2,
        _ => true,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn is_available(_: &Kernels) -> bool {
    true
}

impl Cpu {
    /// A model of the state's shape, to be trained on this dataset, with the fastest kernels.
    ///
    /// # Errors
    /// Memory that cannot be had.
    pub fn new(config: TrainConfig, dataset: &Dataset, state: &State) -> Result<Self> {
        Self::with_kernels(available()[0], config, dataset, state)
    }

    /// A model with these kernels, which must be among [`available`].
    ///
    /// # Errors
    /// Memory that cannot be had.
    pub fn with_kernels(kernels: Kernels, config: TrainConfig, dataset: &Dataset, state: &State) -> Result<Self> {
        let shape = state.weights.shape;
        let len = Layout(shape).len();
        let evaluate_blocks = EVALUATE_BLOCKS.min(dataset.val.len());
        let mut cpu = Self {
            kernels,
            shape,
            config,
            train: dataset.train.clone(),
            val: dataset.val.clone(),
            step: 0,
            params: Buffer::zeros(len)?,
            transposed: Buffer::zeros(len)?,
            grads: Buffer::zeros(len)?,
            m: Buffer::zeros(len)?,
            v: Buffer::zeros(len)?,
            workspace: Buffer::zeros(train_workspace_len(shape))?,
            evaluate_workspace: Buffer::zeros(evaluate_blocks * Activations::len(shape))?,
        };
        cpu.upload(state)?;
        Ok(cpu)
    }

    /// The gradients of the last step, before clipping.
    pub fn gradients(&self) -> Weights {
        self.unpack(&self.grads)
    }

    /// The optimiser's scalars of the step with this number, from 0.
    fn schedule(&self, step: u64) -> Schedule {
        let o = self.config.optimizer;
        let learning_rate = o.learning_rate_at(step, self.config.steps);
        let t = (step + 1) as f64;
        let (correct1, correct2) = (1.0 - o.beta1.powf(t), 1.0 - o.beta2.powf(t));
        Schedule {
            root: (correct1 / (learning_rate * correct2.sqrt())) as f32,
            // Without an eps there is none, also at a learning rate of zero.
            eps: if o.eps == 0.0 { 0.0 } else { (o.eps * correct1 / learning_rate) as f32 },
            decay: (learning_rate * o.weight_decay) as f32,
        }
    }

    fn unpack(&self, padded: &Buffer) -> Weights {
        let mut weights = Weights::zeros(self.shape);
        for (tensor, values) in weights.tensors_mut() {
            for (i, value) in values.iter_mut().enumerate() {
                *value = padded.as_slice()[tensor.index(i / tensor.shape[1], i % tensor.shape[1])];
            }
        }
        weights
    }
}

/// Spreads `weights` out to the kernels' padded layout.
fn pack(weights: &Weights, padded: &mut Buffer) {
    for (tensor, values) in weights.tensors() {
        for (i, &value) in values.iter().enumerate() {
            padded.as_mut_slice()[tensor.index(i / tensor.shape[1], i % tensor.shape[1])] = value;
        }
    }
}

/// A kernel's arguments, which threads may share: each block touches what is its own.
#[derive(Clone, Copy)]
struct Shared<T>(T);

// SAFETY: the pointers in a kernel's arguments are used as the kernel's contract says: blocks on different threads write
// disjoint elements and read what no one writes.
unsafe impl<T> Sync for Shared<T> {}

impl Device for Cpu {
    fn description(&self) -> String {
        format!("CPU ({})", self.kernels.name)
    }

    fn train(&mut self, steps: usize) -> Result<Vec<StepLog>> {
        let o = self.config.optimizer;
        let schedule: Vec<Schedule> = (0..steps).map(|i| self.schedule(self.step + i as u64)).collect();
        let mut log = vec![KernelLog::default(); steps];
        let args = TrainArgs {
            params: self.params.as_mut_ptr(),
            params_transposed: self.transposed.as_mut_ptr(),
            grads: self.grads.as_mut_ptr(),
            m: self.m.as_mut_ptr(),
            v: self.v.as_mut_ptr(),
            workspace: self.workspace.as_mut_ptr(),
            tokens: self.train.tokens.as_ptr(),
            offsets: self.train.offsets.as_ptr(),
            schedule: schedule.as_ptr(),
            log: log.as_mut_ptr(),
            first_document: (self.step % self.train.len() as u64) as u32,
            documents: self.train.len() as u32,
            steps: steps as u32,
            shape: self.shape,
            optimizer: Optimizer {
                beta1: o.beta1 as f32,
                // Of the rounded beta, so that the weights of old and new sum to exactly one.
                one_minus_beta1: 1.0 - o.beta1 as f32,
                beta2: o.beta2 as f32,
                one_minus_beta2: 1.0 - o.beta2 as f32,
                max_grad_norm: o.max_grad_norm as f32,
            },
        };
        // SAFETY: every buffer has the length that `TrainArgs` states, the documents are consistent by construction, and
        // `with_kernels` was given kernels that this processor has.
        unsafe { (self.kernels.train)(&args) };
        self.step += steps as u64;
        Ok(log.iter().map(|l| StepLog { loss: l.loss.into(), grad_norm: l.grad_norm.into() }).collect())
    }

    fn evaluate(&mut self, documents: usize) -> Result<Evaluation> {
        let documents = documents.min(self.val.len());
        let mut nll = vec![0.0f32; documents];
        let blocks = EVALUATE_BLOCKS.min(documents);
        let args = Shared(EvaluateArgs {
            params: self.params.as_mut_ptr(),
            params_transposed: self.transposed.as_mut_ptr(),
            workspace: self.evaluate_workspace.as_mut_ptr(),
            tokens: self.val.tokens.as_ptr(),
            offsets: self.val.offsets.as_ptr(),
            nll: nll.as_mut_ptr(),
            documents: documents as u32,
            shape: self.shape,
        });
        let evaluate = self.kernels.evaluate;
        (0..blocks).into_par_iter().for_each(|block| {
            let args = &args;
            // SAFETY: as for `train`; there is a workspace for each of the blocks.
            unsafe { evaluate(&args.0, block..block + 1, blocks) };
        });
        let tokens = (0..documents).map(|i| self.val.positions(i, self.shape.block_size()) as u64).sum();
        Ok(Evaluation { nll: nll.into_iter().map(f64::from).sum(), tokens })
    }

    fn generate(&mut self, config: &SampleConfig, samples: Range<u64>) -> Result<Vec<Vec<u32>>> {
        let count = usize::try_from(samples.end - samples.start)
            .ok()
            .filter(|&count| u32::try_from(count).is_ok())
            .ok_or_else(|| Error::new("too many samples for one launch"))?;
        let blocks = count.div_ceil(SAMPLES_PER_BLOCK).clamp(1, rayon::current_num_threads());
        let mut workspace = Buffer::zeros(blocks * generate_workspace_len(self.shape))?;
        let t = self.shape.block_size();
        let mut out = vec![0u32; count * t];
        let args = Shared(GenerateArgs {
            params: self.params.as_mut_ptr(),
            params_transposed: self.transposed.as_mut_ptr(),
            workspace: workspace.as_mut_ptr(),
            out: out.as_mut_ptr(),
            seed: config.seed,
            first_sample: samples.start,
            samples: count as u32,
            top_k: config.top_k as u32,
            inverse_temperature: if config.temperature == 0.0 { 0.0 } else { (1.0 / config.temperature) as f32 },
            shape: self.shape,
        });
        let generate = self.kernels.generate;
        (0..blocks).into_par_iter().for_each(|block| {
            let args = &args;
            // SAFETY: as for `train`; there is a workspace for each of the blocks, and `out` holds every sample.
            unsafe { generate(&args.0, block..block + 1, blocks) };
        });
        let is_char = |&&token: &&u32| token != BOS as u32;
        Ok(out.chunks(t).map(|sample| sample.iter().take_while(is_char).copied().collect()).collect())
    }

    fn download(&mut self) -> Result<State> {
        Ok(State {
            step: self.step,
            weights: self.unpack(&self.params),
            m: self.unpack(&self.m),
            v: self.unpack(&self.v),
        })
    }

    fn upload(&mut self, state: &State) -> Result<()> {
        self.step = state.step;
        pack(&state.weights, &mut self.params);
        pack(&state.m, &mut self.m);
        pack(&state.v, &mut self.v);
        for matrix in Layout(self.shape).matrices() {
            let (rows, cols, at) = (matrix.rows, matrix.cols, matrix.offset);
            for i in 0..rows * cols {
                self.transposed.as_mut_slice()[at + i % cols * rows + i / cols] = self.params.as_slice()[at + i];
            }
        }
        Ok(())
    }
}

/// Floats at the alignment of the widest vectors.
struct Buffer(Vec<Line>);

#[derive(Clone, Copy)]
#[repr(align(64))]
#[expect(dead_code, reason = "read and written as floats, through the slices below")]
struct Line([f32; 16]);

impl Buffer {
    fn zeros(len: usize) -> Result<Self> {
        let lines = len.div_ceil(16);
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(lines).map_err(|error| {
            Error::new(format!("cannot allocate {} bytes", 64 * lines))
                .caused_by(error)
                .hint("a smaller model needs less: lower --n-embd, --n-layer or --block-size")
        })?;
        buffer.resize(lines, Line([0.0; 16]));
        Ok(Self(buffer))
    }

    fn as_slice(&self) -> &[f32] {
        // SAFETY: a line is 16 floats and nothing else.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), 16 * self.0.len()) }
    }

    fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: a line is 16 floats and nothing else.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), 16 * self.0.len()) }
    }

    fn as_mut_ptr(&mut self) -> *mut f32 {
        self.0.as_mut_ptr().cast()
    }
}
