//! The CPU, with kernels for the processor's fastest instruction set, and the blocks of a grid spread over threads.

mod attention;
mod buffer;
mod demand;
mod fused_model;
pub mod opened_step;
mod phase_pool;
mod phases;
mod processor;
#[cfg(feature = "mpi")]
pub(crate) mod sharded;
mod shared;
mod shares;
mod sync;
mod team;
mod tiled;
mod tiled_model;

use std::ops::Range;
use std::ptr;

use gpu_kernels::activations::Activations;
use gpu_kernels::entry::CpuKernels;
use gpu_kernels::generate::{GenerateArgs, generate_workspace_len};
use gpu_kernels::layout::{Arrays, Layout};
use gpu_kernels::shape::{RuntimeShape, Shape, TOKENS};
use gpu_kernels::train::batch::{GradientArrays, shards, squares_len};
use gpu_kernels::train::train_workspace_len;
use rayon::prelude::*;
use simt::{HALF_WARP, WARPS};

use self::buffer::Buffer;
pub(crate) use self::demand::demand;
pub use self::demand::useful_threads;
use self::demand::{evaluate_blocks, generate_blocks, generate_threads};
pub use self::processor::available;
use self::processor::is_available;
use self::shared::Shared;
use self::team::with_team;
use self::tiled::Tiled;
use super::marshal::{pack, sampling_params, to_samples, unpack};
use super::types::{Device, Evaluation, Executor, Executors, Sample, State, StepLog};
use super::{sampling, threads, validate};
use crate::config::{SampleConfig, TrainConfig};
use crate::corpus::Dataset;
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

    /// Returns kernels that the stop handle ends early.
    fn stoppable(&self) -> CpuKernels {
        // SAFETY: `self` holds the flag while a kernel runs, and a handle never clears it.
        unsafe { self.kernels.stopped_by(self.stop.flag()) }
    }

    /// Rejects the results of kernels that the stop handle may have ended early.
    fn unless_stopped(&self) -> Result<()> {
        if self.stop.is_stopped() { Err(Error::Stopped) } else { Ok(()) }
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
        match self.executors.training {
            Executor::Fused => self.train_fused(steps),
            Executor::Tiled => self.train_tiled(steps),
        }
    }

    fn evaluate_each(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        let documents = documents.min(self.dataset.val.len());
        match self.executors.evaluation {
            Executor::Fused => self.evaluate_fused(documents),
            Executor::Tiled => self.evaluate_tiled(documents),
        }
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
        let threads = generate_threads(self.shape, blocks);
        let mut workspace = Buffer::zeros(blocks * generate_workspace_len(self.shape, WARPS, TOKENS, threads))?;
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
            with_team(threads, |team| {
                // SAFETY: the buffers are valid as in `train`, with a workspace for each of the blocks and room for every
                // sample, and `sampling::validate` has checked configuration and starts. The team outlives the launch.
                unsafe { kernels.divided_by(team).generate(&args.0, block..block + 1, blocks) };
            });
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
