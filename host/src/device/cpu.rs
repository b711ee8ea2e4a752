//! The CPU, with kernels for the processor's fastest instruction set, and the blocks of a grid spread over threads.

mod apart;
mod attention;
mod buffer;
mod demand;
pub mod opened_step;
mod phase_pool;
mod phases;
#[cfg(feature = "mpi")]
pub(crate) mod sharded;
mod shared;
mod sync;
mod tiled;
mod tiled_model;

use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use gpu_kernels::activations::Activations;
use gpu_kernels::entry::{self, CpuKernels};
use gpu_kernels::evaluate::EvaluateArgs;
use gpu_kernels::generate::{GenerateArgs, generate_workspace_len};
use gpu_kernels::layout::{Arrays, Layout};
use gpu_kernels::shape::{RuntimeShape, Shape, TOKENS};
use gpu_kernels::train::batch::{
    BatchArgs, GradientArrays, Phase, PhaseArgs, batch_workspace_len, shards, squares_len,
};
use gpu_kernels::train::{TrainArgs, train_workspace_len};
use rayon::prelude::*;
use simt::{HALF_WARP, WARPS};

use self::buffer::Buffer;
pub(crate) use self::demand::demand;
pub use self::demand::useful_threads;
use self::demand::{batch_threads, evaluate_blocks, generate_blocks};
use self::shared::Shared;
use self::tiled::Tiled;
use super::marshal::{
    LOG_LEN, UNWRITTEN, completed_logs, evaluations, optimizer, pack, sampling_params, step_coefficients, to_samples,
    transpose, unpack,
};
use super::types::{Device, Evaluation, Executor, Executors, Sample, State, StepLog};
use super::{sampling, threads, validate};
use crate::config::{SampleConfig, TrainConfig};
use crate::corpus::{Batches, Dataset};
use crate::error::{Error, Result};
use crate::run::launch_len;
use crate::stop::StopHandle;
use crate::weights::Weights;

/// A model on the CPU.
pub struct Cpu {
    kernels: CpuKernels,
    shape: RuntimeShape,
    config: TrainConfig,
    dataset: Dataset,
    stop: StopHandle,
    step: u64,
    params: Buffer,
    /// The transposed copies of the matrices, which the tiled executor neither reads nor updates.
    transposed: Buffer,
    /// Whether the copies are those of the parameters.
    transposed_is_current: bool,
    grads: Buffer,
    m: Buffer,
    v: Buffer,
    /// The workspaces, one for each thread that trains.
    workspace: Buffer,
    evaluate_workspace: Buffer,
    // These are the arrays of the same names in `BatchArgs`.
    squares: Buffer,
    losses: Buffer,
    executors: Executors,
    /// The tiled executor's memory.
    tiled: Tiled,
}

/// Returns the kernels that this processor can run, the fastest first.
pub fn available() -> Vec<CpuKernels> {
    entry::ALL.into_iter().filter(is_available).collect()
}

#[cfg(target_arch = "x86_64")]
fn is_available(kernels: &CpuKernels) -> bool {
    use simt::Isa;

    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    match kernels.isa() {
        Isa::Avx512 => {
            avx2 && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
        }
        Isa::Avx2 => avx2,
        Isa::Baseline => true,
        Isa::Neon | Isa::Ptx => false,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn is_available(_: &CpuKernels) -> bool {
    true
}

impl Cpu {
    /// Returns a model with this state, to be trained on this dataset by the fastest kernels.
    ///
    /// # Errors
    /// If the model does not fit the dataset, or memory is too small.
    pub fn new(config: TrainConfig, dataset: &Dataset, state: &State) -> Result<Self> {
        Self::with_kernels(available()[0], config, dataset, state)
    }

    /// Returns a model that is computed by these kernels, which must be among [`available`].
    ///
    /// # Errors
    /// Those of [`Self::new`], and [`Error::Argument`] if this processor cannot run the kernels.
    pub fn with_kernels(kernels: CpuKernels, config: TrainConfig, dataset: &Dataset, state: &State) -> Result<Self> {
        Self::with_executors(kernels, Executors::new(state.weights.shape, config.batch), config, dataset, state)
    }

    /// Returns a model that is trained and evaluated by these executors, with these kernels.
    ///
    /// # Errors
    /// Those of [`Self::with_kernels`].
    ///
    /// # Panics
    /// If the tiled executor is asked for a model whose heads have no whole half-warps.
    pub fn with_executors(
        kernels: CpuKernels,
        executors: Executors,
        config: TrainConfig,
        dataset: &Dataset,
        state: &State,
    ) -> Result<Self> {
        if !is_available(&kernels) {
            const HINT: &str = "choose kernels of `available()`";
            let isa = kernels.isa().name();
            return Err(Error::argument("the kernels' instruction set", "one of this processor", &isa, HINT));
        }
        validate::model(&config, dataset, state)?;
        threads::start(None)?;
        let shape = state.weights.shape;
        let has_tiled = [executors.training, executors.evaluation].contains(&Executor::Tiled);
        assert!(!has_tiled || shape.head_dim_padded().is_multiple_of(HALF_WARP), "the heads are too narrow");
        let len = Layout(shape).len();
        // The tiled executor allocates its memory when it is needed.
        let fused = |executor, len: usize| Buffer::zeros(if executor == Executor::Fused { len } else { 0 });
        let trained = |len| fused(executors.training, len);
        let evaluate_blocks = evaluate_blocks(dataset.val.len());
        let gradient_arrays = match executors.training {
            Executor::Fused => GradientArrays::new(shards(config.batch), 1).count,
            Executor::Tiled => 1,
        };
        let mut cpu = Self {
            kernels,
            shape,
            config,
            dataset: dataset.clone(),
            stop: StopHandle::default(),
            step: 0,
            params: Buffer::zeros(len)?,
            transposed: Buffer::zeros(len)?,
            transposed_is_current: false,
            grads: Buffer::zeros(gradient_arrays * len)?,
            m: Buffer::zeros(len)?,
            v: Buffer::zeros(len)?,
            workspace: trained(train_workspace_len(shape))?,
            evaluate_workspace: fused(executors.evaluation, evaluate_blocks * Activations::len(shape))?,
            squares: trained(squares_len(shape))?,
            losses: trained(config.batch)?,
            tiled: Tiled::new(if has_tiled { gpu_kernels::tiled::squares::squares_len(shape) } else { 0 })?,
            executors,
        };
        cpu.upload(state)?;
        Ok(cpu)
    }

    /// Returns the gradients of the last step before clipping.
    pub fn gradients(&self) -> Weights {
        unpack(self.shape, self.grads.as_slice())
    }

    /// Returns the arrays of the model.
    fn arrays(&mut self) -> Arrays<*mut f32> {
        Arrays {
            w: self.params.as_mut_ptr(),
            transposed: self.transposed.as_mut_ptr(),
            grads: self.grads.as_mut_ptr(),
            m: self.m.as_mut_ptr(),
            v: self.v.as_mut_ptr(),
        }
    }

    /// Fills all arrays with zeros, the padding included, if the model has diverged. Its NaN are there too, and later steps
    /// would read them.
    fn clear_if_diverged(&mut self) {
        if self.params.as_slice().iter().all(|value| value.is_finite()) {
            return;
        }
        let Self { params, transposed, grads, m, v, workspace, evaluate_workspace, .. } = self;
        for array in [params, transposed, grads, m, v, workspace, evaluate_workspace] {
            array.as_mut_slice().fill(0.0);
        }
    }

    /// Makes the transposed copies that the fused kernels read, unless they are current.
    fn refresh_transposed(&mut self) {
        if !self.transposed_is_current {
            transpose(self.shape, self.params.as_slice(), self.transposed.as_mut_slice());
            self.transposed_is_current = true;
        }
    }

    /// Returns the arguments of a launch on these documents, with three coefficients and [`LOG_LEN`] values for each step.
    fn train_args(&mut self, batches: &Batches, coefficients: &[f32], log: &mut [f32]) -> TrainArgs {
        let Batches { documents, first } = batches;
        TrainArgs {
            arrays: self.arrays(),
            workspace: self.workspace.as_mut_ptr(),
            tokens: documents.tokens().as_ptr(),
            offsets: documents.offsets().as_ptr(),
            coefficients: coefficients.as_ptr().cast(),
            log: log.as_mut_ptr().cast(),
            first_document: *first,
            documents: documents.len() as u32,
            steps: (log.len() / LOG_LEN) as u32,
            shape: self.shape,
            optimizer: optimizer(&self.config.optimizer),
        }
    }

    /// Returns kernels that the stop handle ends early.
    fn stoppable(&self) -> CpuKernels {
        // SAFETY: `self` holds the flag while a kernel runs, and a handle never clears it.
        unsafe { self.kernels.stopped_by(self.stop.flag()) }
    }

    /// Rejects the results of kernels that the stop handle may have ended early.
    fn unless_stopped(&self) -> Result<()> {
        if self.stop.is_stopped() { Err(Error::Stopped) } else { Ok(()) }
    }

    /// Runs phases of steps of several documents, with the blocks of each phase spread over threads. The gradients are those
    /// of the shards of `own` of the arrays.
    fn train_batch(
        &mut self,
        args: TrainArgs,
        arrays: GradientArrays,
        own: Range<usize>,
        phases: &[Phase],
    ) -> Result<()> {
        let (batch, shards) = (self.config.batch, shards(self.config.batch));
        let threads = batch_threads(self.shape, batch);
        let stride = batch_workspace_len(self.shape);
        if self.workspace.as_slice().len() < threads * stride {
            self.workspace = Buffer::zeros(threads * stride)?;
        }
        let args = BatchArgs {
            train: TrainArgs { workspace: self.workspace.as_mut_ptr(), ..args },
            squares: self.squares.as_mut_ptr(),
            losses: self.losses.as_mut_ptr(),
            barrier: ptr::null_mut(),
            batch: batch as u32,
            workspace_stride: 0,
        };
        let (kernels, shared) = (self.kernels, &Shared(args));
        let (stoppable, stop, is_cut) = (self.stoppable(), &self.stop, AtomicBool::new(false));
        phase_pool::each_phase(args.train.steps as usize * phases.len(), threads, |i, thread| {
            let (Shared(mut batch), phase, step) = (*shared, phases[i % phases.len()], i / phases.len());
            batch.train.workspace = batch.train.workspace.wrapping_add(thread * stride);
            // A thread takes the shards of whole gradient arrays, one after the other, because they share the thread's
            // workspace.
            let first = |thread: usize| shards.min((own.start + thread * own.len() / threads) * arrays.shards_each);
            let (blocks, count) = match phase {
                Phase::Gradients => (first(thread)..first(thread + 1), shards),
                Phase::Reduce { .. } | Phase::Update => (thread..thread + 1, threads),
            };
            // Only gradients are left incomplete by a stop. Then no thread updates weights, on which all threads agree,
            // because the flag changes in no phase of updates.
            let kernels = match phase {
                Phase::Gradients => stoppable,
                _ if is_cut.load(Ordering::Relaxed) => return,
                Phase::Reduce { .. } | Phase::Update => kernels,
            };
            // SAFETY: the buffers are valid as in `train`, and each thread has its own workspace and blocks.
            unsafe { kernels.train_batch(&PhaseArgs { batch, arrays, phase, step }, blocks, count) };
            if phase == Phase::Gradients && stop.is_stopped() {
                is_cut.store(true, Ordering::Relaxed);
            }
        });
        Ok(())
    }
}

impl Device for Cpu {
    fn description(&self) -> String {
        format!("CPU ({}{})", self.kernels.isa().name(), self.executors.description())
    }

    fn shape(&self) -> RuntimeShape {
        self.shape
    }

    fn stopped_by(&mut self, stop: StopHandle) {
        self.stop = stop;
    }

    fn train(&mut self, steps: usize) -> Result<Vec<StepLog>> {
        if self.executors.training == Executor::Tiled {
            return self.train_tiled(steps);
        }
        let batches = self.dataset.batches(self.step, steps, self.config.batch, self.shape.block_size())?;
        let coefficients = step_coefficients(&self.config, self.step, steps);
        let mut log = vec![UNWRITTEN; LOG_LEN * steps];
        let args = self.train_args(&batches, &coefficients, &mut log);
        if self.config.batch > 1 {
            let arrays = GradientArrays::new(shards(self.config.batch), 1);
            self.train_batch(args, arrays, 0..arrays.count, &Phase::of_step(arrays, self.config.batch))?;
        } else {
            // SAFETY: every buffer has the length that `TrainArgs` states, and `Documents` has consistent offsets.
            // `with_kernels` has checked the tokens and that this processor has the kernels.
            unsafe { self.stoppable().train(&args, 0..1, 1) };
        }
        let logs = completed_logs(&log);
        self.step += logs.len() as u64;
        Ok(logs)
    }

    fn evaluate_each(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        let documents = documents.min(self.dataset.val.len());
        if self.executors.evaluation == Executor::Tiled {
            return self.evaluate_tiled(documents);
        }
        let mut nll = vec![0.0f32; documents];
        let blocks = evaluate_blocks(documents);
        let args = Shared(EvaluateArgs {
            params: self.params.as_mut_ptr(),
            transposed: self.transposed.as_mut_ptr(),
            workspace: self.evaluate_workspace.as_mut_ptr(),
            tokens: self.dataset.val.tokens().as_ptr(),
            offsets: self.dataset.val.offsets().as_ptr(),
            nll: nll.as_mut_ptr(),
            documents: documents as u32,
            shape: self.shape,
        });
        let (kernels, args) = (self.stoppable(), &args);
        (0..blocks).into_par_iter().for_each(|block| {
            // SAFETY: the buffers are valid as in `train`, with a workspace for each of the blocks.
            unsafe { kernels.evaluate(&args.0, block..block + 1, blocks) };
        });
        self.unless_stopped()?;
        Ok(evaluations(&nll, &self.dataset.val, self.shape))
    }

    fn samples_per_launch(&self, work: u64) -> u64 {
        // A thread's samples of a large model share the time in which a token's weights come from memory.
        launch_len(work).max((rayon::current_num_threads() * TOKENS) as u64)
    }

    fn extend(&mut self, config: &SampleConfig, starts: &[u32], samples: Range<u64>) -> Result<Vec<Sample>> {
        let count = sampling::count(&samples, self.shape)?;
        let start_len = sampling::validate(self.shape, config, starts, count)?;
        self.refresh_transposed();
        let tokens = count as usize * self.shape.block_size();
        let blocks = generate_blocks(self.shape, count as usize);
        let mut workspace = Buffer::zeros(blocks * generate_workspace_len(self.shape, WARPS, TOKENS))?;
        let mut out = vec![0u32; tokens];
        let mut logprobs = vec![0.0f32; if config.logprobs { tokens } else { 0 }];
        let args = Shared(GenerateArgs {
            params: self.params.as_mut_ptr(),
            transposed: self.transposed.as_mut_ptr(),
            workspace: workspace.as_mut_ptr(),
            out: out.as_mut_ptr(),
            logprobs: if config.logprobs { logprobs.as_mut_ptr() } else { ptr::null_mut() },
            prompt: starts.as_ptr(),
            seed: config.seed,
            first_sample: samples.start,
            samples: count,
            prompt_len: start_len,
            sampling: sampling_params(config),
            shape: self.shape,
        });
        let (kernels, args) = (self.stoppable(), &args);
        (0..blocks).into_par_iter().for_each(|block| {
            // SAFETY: the buffers are valid as in `train`, with a workspace for each of the blocks and room for every
            // sample, and `sampling::validate` has checked configuration and starts.
            unsafe { kernels.generate(&args.0, block..block + 1, blocks) };
        });
        self.unless_stopped()?;
        Ok(to_samples(&out, &logprobs, self.shape.block_size()))
    }

    fn download(&mut self) -> Result<State> {
        let [weights, m, v] = [&self.params, &self.m, &self.v].map(|array| unpack(self.shape, array.as_slice()));
        Ok(State { step: self.step, weights, m, v })
    }

    fn upload(&mut self, state: &State) -> Result<()> {
        validate::state(self.shape, state)?;
        self.step = state.step;
        self.clear_if_diverged();
        pack(&state.weights, self.params.as_mut_slice());
        pack(&state.m, self.m.as_mut_slice());
        pack(&state.v, self.v.as_mut_slice());
        self.transposed_is_current = false;
        if [self.executors.training, self.executors.evaluation].contains(&Executor::Fused) {
            self.refresh_transposed();
        }
        Ok(())
    }
}
