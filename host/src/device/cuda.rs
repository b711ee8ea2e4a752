//! NVIDIA GPUs: the kernels' PTX, which the driver compiles for the device at hand.
//!
//! Corpus, weights, gradients and moments live on the device; a call to train is one launch, whose log is read back once.

mod error;
mod gpu;
mod kernels;
mod models;
mod samples;

use std::ops::Range;
use std::ptr;
use std::rc::Rc;

use cust::memory::{CopyDestination, DeviceBuffer, mem_get_info};
use gpu_kernels::activations::Activations;
use gpu_kernels::evaluate::EvaluateArgs;
use gpu_kernels::generate::{GenerateArgs, generate_workspace_len};
use gpu_kernels::layout::Layout;
use gpu_kernels::shape::{GPU_TOKENS, RuntimeShape, Shape};
use gpu_kernels::train::batch::{BatchArgs, shards, squares_len};
use gpu_kernels::train::{TrainArgs, train_workspace_len};
use simt::{GPU_WARPS, HALF_WARP};

use self::error::failed;
use self::gpu::{Gpu, affordable_blocks, download, fits, pointer, uninitialized, upload, zeros};
use self::kernels::Kernels;
pub use self::kernels::{DECLARED_SHARED, PTX, Ptx};
pub use self::models::CudaModels;
use self::samples::Generated;
use super::check;
use super::packed::{
    LOG, evaluation, first_document, inverse_temperature, optimizer, pack, sample_count, step_coefficients, step_logs,
    transpose, unpack,
};
use super::{Device, Evaluation, Sample, State, StepLog};
use crate::config::{SampleConfig, TrainConfig};
use crate::corpus::Dataset;
use crate::error::Result;
use crate::weights::Weights;

/// Samples that are generated in one launch at most: Ctrl-C waits for it.
const MAX_PREPARED: u64 = 1 << 24;

/// What a model's training takes on a GPU.
struct Plan {
    /// Blocks of the grid.
    blocks: usize,
    /// Elements of each of its arrays.
    grads: usize,
    workspace: usize,
    squares: usize,
    losses: usize,
}

impl Plan {
    fn new(kernels: &Kernels, shape: RuntimeShape, batch: usize) -> Result<Self> {
        let (len, workspace) = (Layout(shape).len(), train_workspace_len(shape));
        if batch == 1 {
            let workspace = if kernels.train().is_global() { workspace } else { 0 };
            return Ok(Self { blocks: 1, grads: len, workspace, squares: 0, losses: 0 });
        }
        let kernel = kernels.train_batch()?;
        let mut blocks = kernels.resident_blocks(&kernel)?.min(shards(batch));
        if kernel.is_global() {
            blocks = affordable_blocks(blocks, workspace)?;
        }
        Ok(Self {
            blocks,
            grads: shards(batch) * len,
            workspace: if kernel.is_global() { blocks * workspace } else { 0 },
            squares: squares_len(shape),
            losses: batch.next_multiple_of(HALF_WARP),
        })
    }

    /// Bytes of the model's arrays.
    fn bytes(&self, shape: RuntimeShape) -> usize {
        4 * (4 * Layout(shape).len() + self.grads + self.workspace + self.squares + self.losses + 1)
    }
}

/// A model on a GPU.
pub struct Cuda {
    config: TrainConfig,
    step: u64,
    plan: Plan,
    params: DeviceBuffer<f32>,
    transposed: DeviceBuffer<f32>,
    grads: DeviceBuffer<f32>,
    m: DeviceBuffer<f32>,
    v: DeviceBuffer<f32>,
    workspace: DeviceBuffer<f32>,
    squares: DeviceBuffer<f32>,
    losses: DeviceBuffer<f32>,
    barrier: DeviceBuffer<u32>,
    generated: Option<Generated>,
    gpu: Rc<Gpu>,
}

impl Cuda {
    /// A model of the state's shape on the first GPU, to be trained on this dataset.
    ///
    /// # Errors
    /// A model that does not fit the dataset, no driver, no GPU or one too old for the kernels, too little memory, or what else the driver reports.
    pub fn new(config: TrainConfig, dataset: &Dataset, state: &State) -> Result<Self> {
        let mut models = CudaModels::new(dataset, &[(config, state.clone())])?;
        Ok(models.0.remove(0))
    }

    fn on(gpu: Rc<Gpu>, config: TrainConfig, state: &State) -> Result<Self> {
        let (len, plan) = (Layout(gpu.shape).len(), Plan::new(&gpu.kernels, gpu.shape, config.batch)?);
        let mut cuda = Self {
            config,
            step: 0,
            params: zeros(len)?,
            transposed: zeros(len)?,
            grads: zeros(plan.grads)?,
            m: zeros(len)?,
            v: zeros(len)?,
            workspace: zeros(plan.workspace)?,
            squares: zeros(plan.squares)?,
            losses: zeros(plan.losses)?,
            barrier: upload(&[0])?,
            generated: None,
            plan,
            gpu,
        };
        cuda.upload(state)?;
        Ok(cuda)
    }

    /// Seconds that the last launch took on the device.
    pub fn device_seconds(&self) -> f64 {
        self.gpu.seconds.get()
    }

    fn read(&self, array: &DeviceBuffer<f32>) -> Result<Weights> {
        Ok(unpack(self.gpu.shape, &download(array, 0..Layout(self.gpu.shape).len())?))
    }

    /// The arguments for the next `steps` steps, with the arrays that the launch needs beside the model's own.
    ///
    /// Each array has the length that [`TrainArgs`] states, or for a batch the plan's, else `pointer` would panic; the documents
    /// have been checked by `check::model`.
    fn train_args(&self, steps: usize) -> Result<(TrainArgs, Launch)> {
        let coefficients = step_coefficients(&self.config, self.step, steps);
        let launch = Launch { coefficients: upload(&coefficients)?, log: zeros(LOG * steps)? };
        let (gpu, len, documents) = (&self.gpu, Layout(self.gpu.shape).len(), self.gpu.train.len());
        let args = TrainArgs {
            params: pointer(&self.params, len),
            params_transposed: pointer(&self.transposed, len),
            grads: pointer(&self.grads, self.plan.grads),
            m: pointer(&self.m, len),
            v: pointer(&self.v, len),
            workspace: pointer(&self.workspace, self.plan.workspace),
            tokens: pointer(&gpu.train_corpus.tokens, gpu.train.tokens().len()),
            offsets: pointer(&gpu.train_corpus.offsets, documents + 1),
            coefficients: pointer(&launch.coefficients, coefficients.len()).cast(),
            log: pointer(&launch.log, LOG * steps).cast(),
            first_document: first_document(&self.config, self.step, &gpu.train),
            documents: documents as u32,
            steps: steps as u32,
            shape: gpu.shape,
            optimizer: optimizer(&self.config.optimizer),
        };
        Ok((args, launch))
    }

    /// Generates samples, and leaves them on the device.
    fn run_generate(&self, config: &SampleConfig, samples: Range<u64>) -> Result<Generated> {
        check::sampling(self.gpu.shape, config)?;
        let (kernel, shape) = (self.gpu.kernels.generate(), self.gpu.shape);
        let (len, (count, tokens)) = (Layout(shape).len(), sample_count(&samples, shape)?);
        let logprobs = if config.logprobs { tokens } else { 0 };
        let size = if kernel.is_global() { generate_workspace_len(shape, GPU_WARPS, GPU_TOKENS) } else { 0 };
        let mut blocks = self.gpu.kernels.resident_blocks(&kernel)?.min((count as usize).div_ceil(GPU_WARPS)).max(1);
        if size > 0 {
            blocks = affordable_blocks(blocks, size)?;
        }
        fits(4 * (tokens + logprobs + blocks * size))?;
        let (workspace, prompt) = (zeros(blocks * size)?, upload(config.prompt)?);
        let generated = Generated {
            samples,
            seed: config.seed,
            top_k: config.top_k,
            temperature: config.temperature,
            prompt: config.prompt.to_vec(),
            tokens: uninitialized(tokens)?,
            logprobs: uninitialized(logprobs)?,
        };
        let args = GenerateArgs {
            params: pointer(&self.params, len),
            params_transposed: pointer(&self.transposed, len),
            workspace: pointer(&workspace, blocks * size),
            out: pointer(&generated.tokens, tokens),
            logprobs: if config.logprobs { pointer(&generated.logprobs, logprobs) } else { ptr::null_mut() },
            prompt: pointer(&prompt, config.prompt.len()),
            seed: config.seed,
            first_sample: generated.samples.start,
            samples: count,
            prompt_len: config.prompt.len() as u32,
            top_k: config.top_k as u32,
            inverse_temperature: inverse_temperature(config.temperature),
            shape,
        };
        // SAFETY: `pointer` has seen to the lengths, there is a workspace for each of the blocks, and the configuration has been
        // checked.
        unsafe { self.gpu.launch(&kernel, blocks, args) }?;
        Ok(generated)
    }

    /// What the steps of a launch that is over have reported.
    fn trained(&mut self, steps: usize, launch: &Launch) -> Result<Vec<StepLog>> {
        self.step += steps as u64;
        self.generated = None;
        Ok(step_logs(&download(&launch.log, 0..LOG * steps)?))
    }
}

/// Arrays of one launch of training.
struct Launch {
    coefficients: DeviceBuffer<f32>,
    log: DeviceBuffer<f32>,
}

impl Device for Cuda {
    fn description(&self) -> String {
        self.gpu.kernels.description()
    }

    fn shape(&self) -> RuntimeShape {
        self.gpu.shape
    }

    fn step(&self) -> u64 {
        self.step
    }

    fn train(&mut self, steps: usize) -> Result<Vec<StepLog>> {
        let (train, launch) = self.train_args(steps)?;
        if self.config.batch == 1 {
            // SAFETY: as `train_args` says.
            unsafe { self.gpu.launch_train([train], steps) }?;
            return self.trained(steps, &launch);
        }
        self.barrier.copy_from(&[0]).map_err(failed("copy to the GPU"))?;
        let args = BatchArgs {
            train,
            squares: pointer(&self.squares, self.plan.squares),
            losses: pointer(&self.losses, self.plan.losses),
            barrier: pointer(&self.barrier, 1),
            batch: self.config.batch as u32,
            workspace_stride: (self.plan.workspace / self.plan.blocks) as u64,
        };
        // SAFETY: as `train_args` says; the other arrays are those of the plan for its blocks, and the barrier is zero.
        unsafe { self.gpu.launch(&self.gpu.kernels.train_batch()?, self.plan.blocks, args) }?;
        self.trained(steps, &launch)
    }

    fn evaluate(&mut self, documents: usize) -> Result<Evaluation> {
        let kernel = self.gpu.kernels.evaluate();
        let documents = documents.min(self.gpu.val.len());
        let blocks = self.gpu.evaluate_blocks.min(documents);
        let nll = upload(&vec![0.0f32; documents])?;
        let (len, size) = (Layout(self.gpu.shape).len(), Activations::len(self.gpu.shape));
        let args = EvaluateArgs {
            params: pointer(&self.params, len),
            params_transposed: pointer(&self.transposed, len),
            workspace: pointer(&self.gpu.evaluate_workspace, if kernel.is_global() { blocks * size } else { 0 }),
            tokens: pointer(&self.gpu.val_corpus.tokens, self.gpu.val.tokens().len()),
            offsets: pointer(&self.gpu.val_corpus.offsets, self.gpu.val.len() + 1),
            nll: pointer(&nll, documents),
            documents: documents as u32,
            shape: self.gpu.shape,
        };
        // No grid has no block.
        if documents > 0 {
            // SAFETY: `pointer` has seen to the lengths, there is a workspace for each of the blocks, and `check::model` has
            // seen to the tokens.
            unsafe { self.gpu.launch(&kernel, blocks, args) }?;
        }
        Ok(evaluation(&download(&nll, 0..documents)?, &self.gpu.val, self.gpu.shape))
    }

    fn prepare_samples(&mut self, config: &SampleConfig, samples: Range<u64>) -> Result<()> {
        self.generated = None;
        let count = samples.end.saturating_sub(samples.start);
        let numbers = if config.logprobs { 2 } else { 1 } * self.gpu.shape.block_size() as u64;
        let (free, _) = mem_get_info().map_err(failed("ask for the GPU's free memory"))?;
        // More than that, or what does not fit at once, is generated as it is asked for.
        if count <= MAX_PREPARED && 4 * numbers * count < free as u64 / 2 {
            self.generated = Some(self.run_generate(config, samples)?);
        }
        Ok(())
    }

    fn generate(&mut self, config: &SampleConfig, samples: Range<u64>) -> Result<Vec<Sample>> {
        if let Some(generated) = self.generated.as_ref().filter(|generated| generated.has(config, &samples)) {
            return generated.read(samples, self.gpu.shape.block_size());
        }
        self.run_generate(config, samples.clone())?.read(samples, self.gpu.shape.block_size())
    }

    fn download(&mut self) -> Result<State> {
        Ok(State { step: self.step, weights: self.read(&self.params)?, m: self.read(&self.m)?, v: self.read(&self.v)? })
    }

    fn upload(&mut self, state: &State) -> Result<()> {
        check::state(self.gpu.shape, state)?;
        let len = Layout(self.gpu.shape).len();
        let mut padded = vec![0.0; len];
        let put =
            |array: &mut DeviceBuffer<f32>, padded: &[f32]| array.copy_from(padded).map_err(failed("copy to the GPU"));
        pack(&state.weights, &mut padded);
        put(&mut self.params, &padded)?;
        let mut transposed = vec![0.0; len];
        transpose(self.gpu.shape, &padded, &mut transposed);
        put(&mut self.transposed, &transposed)?;
        pack(&state.m, &mut padded);
        put(&mut self.m, &padded)?;
        pack(&state.v, &mut padded);
        put(&mut self.v, &padded)?;
        (self.step, self.generated) = (state.step, None);
        Ok(())
    }
}
