//! Models on a GPU.

use std::ops::Range;
use std::ptr;
use std::rc::Rc;

use cust::memory::DeviceBuffer;
use gpu_kernels::evaluate::EvaluateArgs;
use gpu_kernels::generate::GenerateArgs;
use gpu_kernels::layout::{Arrays, Layout};
use gpu_kernels::part::{BatchLaunchArgs, StepPart};
use gpu_kernels::shape::{RuntimeShape, Shape};
use gpu_kernels::train::batch::BatchArgs;
use gpu_kernels::train::{TrainArgs, TrainModelsArgs};
use simt::GPU_WARPS;

use super::super::marshal::{
    LOG_LEN, evaluations, optimizer, pack, sampling_params, step_coefficients, step_logs, to_samples, transpose, unpack,
};
use super::super::memory::Demand;
use super::super::types::{Device, Evaluation, Executor, Executors, ModelSetup, Models, Sample, State, StepLog};
use super::super::{sampling, validate};
use super::gpu::{DeviceDocuments, Gpu};
use super::kernels::CudaKernels;
use super::launch_times::LaunchTime;
use super::memory::{Plan, affordable_blocks, download, ensure_free, overwrite, pointer, uninitialized, upload, zeros};
use super::tiled::Tiled;
use crate::config::{SampleConfig, TrainConfig};
use crate::corpus::{Batches, Dataset};
use crate::error::Result;
use crate::weights::Weights;

#[cfg(feature = "mpi")]
mod sharded;
mod tiled_steps;

/// A model on a GPU.
pub struct Cuda {
    config: TrainConfig,
    step: u64,
    executors: Executors,
    plan: Plan,
    params: DeviceBuffer<f32>,
    transposed: DeviceBuffer<f32>,
    /// Whether the transposed copies are those of the parameters. The tiled executor does not update them.
    transposed_is_current: bool,
    grads: DeviceBuffer<f32>,
    m: DeviceBuffer<f32>,
    v: DeviceBuffer<f32>,
    workspace: DeviceBuffer<f32>,
    squares: DeviceBuffer<f32>,
    losses: DeviceBuffer<f32>,
    barrier: DeviceBuffer<u32>,
    /// The coefficients of the steps of the last launch.
    coefficients: DeviceBuffer<f32>,
    /// The log of the last launch.
    log: DeviceBuffer<f32>,
    /// The windows of a continuous text of the last launch.
    windows: Option<DeviceDocuments>,
    /// The tiled executor's memory.
    tiled: Tiled,
    gpu: Rc<Gpu>,
}

impl Cuda {
    /// Returns a model with this state on the first GPU, to be trained on this dataset.
    ///
    /// # Errors
    /// If the model does not fit the dataset, or the GPU cannot be used.
    pub fn new(config: TrainConfig, dataset: &Dataset, state: &State) -> Result<Self> {
        let setup = ModelSetup { train: config, state: state.clone() };
        let mut models = CudaModels::new(dataset, &[setup])?;
        Ok(models.0.remove(0))
    }

    fn on(gpu: Rc<Gpu>, config: TrainConfig, state: &State) -> Result<Self> {
        let (len, plan) = (Layout(gpu.shape).len(), Plan::new(&gpu.kernels, gpu.shape, config.batch)?);
        let executors = Executors::new(gpu.shape, config.batch);
        let mut cuda = Self {
            config,
            step: 0,
            executors,
            params: zeros(len)?,
            transposed: zeros(len)?,
            transposed_is_current: true,
            grads: zeros(plan.grads)?,
            m: zeros(len)?,
            v: zeros(len)?,
            workspace: zeros(plan.workspace)?,
            squares: zeros(plan.squares)?,
            losses: zeros(plan.losses)?,
            barrier: upload(&[0])?,
            coefficients: zeros(0)?,
            log: zeros(0)?,
            windows: None,
            tiled: Tiled::new(gpu.shape)?,
            plan,
            gpu,
        };
        cuda.upload(state)?;
        Ok(cuda)
    }

    /// Returns the seconds that the last launch took on the device.
    pub fn device_seconds(&self) -> f64 {
        self.gpu.seconds.get()
    }

    /// Returns the times of the launches that `launches` makes, in their order.
    ///
    /// # Errors
    /// Those of `launches`.
    pub fn launch_times(&mut self, launches: impl FnOnce(&mut Self) -> Result<()>) -> Result<Vec<LaunchTime>> {
        let gpu = Rc::clone(&self.gpu);
        gpu.launch_times.record(|| launches(self))
    }

    fn read(&self, array: &DeviceBuffer<f32>) -> Result<Weights> {
        Ok(unpack(self.gpu.shape, &download(array, 0..Layout(self.gpu.shape).len())?))
    }

    /// Returns the arguments of a launch of the next `steps` steps.
    ///
    /// Each array has the length that [`TrainArgs`] states, or for a batch the length that the plan states. Otherwise
    /// `pointer` panics. `validate::model` has checked the documents.
    fn train_args(&mut self, steps: usize) -> Result<TrainArgs> {
        let coefficients = step_coefficients(&self.config, self.step, steps);
        (self.coefficients, self.log) = (upload(&coefficients)?, zeros(LOG_LEN * steps)?);
        let (gpu, len) = (&self.gpu, Layout(self.gpu.shape).len());
        let Batches { documents, first } =
            gpu.dataset.batches(self.step, steps, self.config.batch, gpu.shape.block_size())?;
        if gpu.dataset.windows.is_some() {
            self.windows = Some(DeviceDocuments::upload(&documents)?);
        }
        let train = self.windows.as_ref().unwrap_or(&gpu.train);
        Ok(TrainArgs {
            arrays: Arrays {
                w: pointer(&self.params, len),
                transposed: pointer(&self.transposed, len),
                grads: pointer(&self.grads, self.plan.grads),
                m: pointer(&self.m, len),
                v: pointer(&self.v, len),
            },
            workspace: pointer(&self.workspace, self.plan.workspace),
            tokens: pointer(&train.tokens, documents.tokens().len()),
            offsets: pointer(&train.offsets, documents.len() + 1),
            coefficients: pointer(&self.coefficients, coefficients.len()).cast(),
            log: pointer(&self.log, LOG_LEN * steps).cast(),
            first_document: first,
            documents: documents.len() as u32,
            steps: steps as u32,
            shape: gpu.shape,
            optimizer: optimizer(&self.config.optimizer),
        })
    }

    /// Makes the transposed copies that the fused kernels read, unless they are current.
    fn refresh_transposed(&mut self) -> Result<()> {
        if !self.transposed_is_current {
            let len = Layout(self.gpu.shape).len();
            let (params, mut transposed) = (download(&self.params, 0..len)?, vec![0.0; len]);
            transpose(self.gpu.shape, &params, &mut transposed);
            overwrite(&mut self.transposed, &transposed)?;
            self.transposed_is_current = true;
        }
        Ok(())
    }

    /// Takes steps of several documents in one launch.
    fn launch_batches(&mut self, steps: usize) -> Result<Vec<StepLog>> {
        let train = self.train_args(steps)?;
        self.launch_part(train, StepPart::whole(self.config.batch))?;
        self.finish_launch(steps)
    }

    /// Computes a part of each of a launch's steps. Its arguments are those of [`Self::train_args`].
    fn launch_part(&mut self, train: TrainArgs, part: StepPart) -> Result<()> {
        overwrite(&mut self.barrier, &[0])?;
        let batch = BatchArgs {
            train,
            squares: pointer(&self.squares, self.plan.squares),
            losses: pointer(&self.losses, self.plan.losses),
            barrier: pointer(&self.barrier, 1),
            batch: self.config.batch as u32,
            workspace_stride: (self.plan.workspace / self.plan.blocks) as u64,
        };
        let args = BatchLaunchArgs { batch, part };
        // SAFETY: `train_args` states the lengths of its arrays, the plan those of the others, and the barrier is 0.
        unsafe { self.gpu.launch(&self.gpu.kernels.choose()?, self.plan.blocks, args) }
    }

    /// Counts the steps of a launch that has ended, and returns their logs.
    fn finish_launch(&mut self, steps: usize) -> Result<Vec<StepLog>> {
        self.step += steps as u64;
        Ok(step_logs(&download(&self.log, 0..LOG_LEN * steps)?))
    }
}

/// Trains models that share a GPU, each in a block of its own and on one document a step.
fn train_side_by_side(models: &mut [&mut Cuda], steps: usize) -> Result<Vec<Vec<StepLog>>> {
    let (gpu, mut logs) = (Rc::clone(&models[0].gpu), vec![Vec::with_capacity(steps); models.len()]);
    gpu.in_launches::<TrainModelsArgs>(steps, |range| {
        let steps = range.len();
        let args = models.iter_mut().map(|model| model.train_args(steps)).collect::<Result<Vec<_>>>()?;
        // SAFETY: `train_args` states the lengths, and each model has its own arrays.
        unsafe { gpu.launch_train(args, steps) }?;
        for (model, logs) in models.iter_mut().zip(&mut logs) {
            logs.extend(model.finish_launch(steps)?);
        }
        Ok(())
    })?;
    Ok(logs)
}

impl Device for Cuda {
    fn description(&self) -> String {
        self.gpu.kernels.description() + self.executors.description()
    }

    fn shape(&self) -> RuntimeShape {
        self.gpu.shape
    }

    fn train(&mut self, steps: usize) -> Result<Vec<StepLog>> {
        if self.executors.training == Executor::Tiled {
            return self.train_tiled(steps);
        }
        if self.config.batch == 1 {
            return Ok(train_side_by_side(&mut [self], steps)?.remove(0));
        }
        let (gpu, mut logs) = (Rc::clone(&self.gpu), Vec::with_capacity(steps));
        gpu.in_launches::<BatchLaunchArgs>(steps, |range| {
            logs.extend(self.launch_batches(range.len())?);
            Ok(())
        })?;
        Ok(logs)
    }

    fn evaluate_each(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        let documents = documents.min(self.gpu.dataset.val.len());
        if self.executors.evaluation == Executor::Tiled {
            return self.evaluate_tiled(documents);
        }
        let kernel = self.gpu.kernels.choose::<EvaluateArgs>()?;
        let nll = upload(&vec![0.0f32; documents])?;
        let len = Layout(self.gpu.shape).len();
        let (offsets, nll_pointer) = (&self.gpu.val.offsets, pointer(&nll, documents));
        self.gpu.in_launches::<EvaluateArgs>(documents, |range| {
            let blocks = self.gpu.evaluate_blocks.min(range.len());
            let args = EvaluateArgs {
                params: pointer(&self.params, len),
                transposed: pointer(&self.transposed, len),
                workspace: pointer(&self.gpu.evaluate_workspace, blocks * kernel.workspace),
                tokens: pointer(&self.gpu.val.tokens, self.gpu.dataset.val.tokens().len()),
                offsets: pointer(offsets, self.gpu.dataset.val.len() + 1).wrapping_add(range.start),
                nll: nll_pointer.wrapping_add(range.start),
                documents: range.len() as u32,
                shape: self.gpu.shape,
            };
            // SAFETY: `pointer` has checked the lengths, which cover the range and a workspace for each of the blocks,
            // and `validate::model` has checked the tokens.
            unsafe { self.gpu.launch(&kernel, blocks, args) }
        })?;
        Ok(evaluations(&download(&nll, 0..documents)?, &self.gpu.dataset.val, self.gpu.shape))
    }

    fn samples_per_launch(&self, work: u64) -> u64 {
        // So many samples fill a GPU, and need less than a gigabyte on the host.
        ((1 << 36) / work).clamp(1, 1 << 18)
    }

    fn extend(&mut self, config: &SampleConfig, starts: &[u32], samples: Range<u64>) -> Result<Vec<Sample>> {
        self.refresh_transposed()?;
        let (kernel, shape) = (self.gpu.kernels.choose::<GenerateArgs>()?, self.gpu.shape);
        let count = sampling::count(&samples, shape)?;
        let start_len = sampling::validate(shape, config, starts, count)?;
        let (len, tokens) = (Layout(shape).len(), count as usize * shape.block_size());
        let logprobs_len = if config.logprobs { tokens } else { 0 };
        let blocks = self.gpu.kernels.resident_blocks(&kernel)?.min((count as usize).div_ceil(GPU_WARPS)).max(1);
        let blocks = affordable_blocks(blocks, kernel.workspace)?;
        let workspace_len = blocks * kernel.workspace;
        ensure_free(4 * (tokens + logprobs_len + workspace_len + starts.len()) as u64)?;
        let (workspace, prompt) = (zeros(workspace_len)?, upload(starts)?);
        let (out, logprobs) = (uninitialized(tokens)?, uninitialized(logprobs_len)?);
        let args = GenerateArgs {
            params: pointer(&self.params, len),
            transposed: pointer(&self.transposed, len),
            workspace: pointer(&workspace, workspace_len),
            out: pointer(&out, tokens),
            logprobs: if config.logprobs { pointer(&logprobs, tokens) } else { ptr::null_mut() },
            prompt: pointer(&prompt, starts.len()),
            seed: config.seed,
            first_sample: samples.start,
            samples: 0,
            prompt_len: start_len,
            sampling: sampling_params(config),
            shape,
        };
        self.gpu.in_launches::<GenerateArgs>(count as usize, |range| {
            let first = range.start * shape.block_size();
            let args = GenerateArgs {
                out: args.out.wrapping_add(first),
                logprobs: if config.logprobs { args.logprobs.wrapping_add(first) } else { args.logprobs },
                prompt: args.prompt.wrapping_add(range.start * start_len as usize),
                first_sample: args.first_sample.wrapping_add(range.start as u64),
                samples: range.len() as u32,
                ..args
            };
            // SAFETY: `pointer` has checked the lengths, which cover the range and a workspace for each of the blocks,
            // and `sampling::validate` has checked configuration and starts.
            unsafe { self.gpu.launch(&kernel, blocks, args) }
        })?;
        Ok(to_samples(&download(&out, 0..tokens)?, &download(&logprobs, 0..logprobs_len)?, shape.block_size()))
    }

    fn download(&mut self) -> Result<State> {
        Ok(State { step: self.step, weights: self.read(&self.params)?, m: self.read(&self.m)?, v: self.read(&self.v)? })
    }

    fn upload(&mut self, state: &State) -> Result<()> {
        validate::state(self.gpu.shape, state)?;
        let len = Layout(self.gpu.shape).len();
        let (mut padded, mut transposed) = (vec![0.0; len], vec![0.0; len]);
        let arrays = [(&state.m, &mut self.m), (&state.v, &mut self.v), (&state.weights, &mut self.params)];
        for (values, array) in arrays {
            pack(values, &mut padded);
            overwrite(array, &padded)?;
        }
        transpose(self.gpu.shape, &padded, &mut transposed);
        overwrite(&mut self.transposed, &transposed)?;
        self.transposed_is_current = true;
        self.step = state.step;
        Ok(())
    }
}

/// Models of one shape on a GPU.
pub struct CudaModels(Vec<Cuda>);

impl CudaModels {
    /// Returns these models on the first GPU, to be trained on this dataset.
    ///
    /// # Errors
    /// Those of [`Cuda::new`], and an error if the shapes of the models differ.
    ///
    /// # Panics
    /// If there are no models.
    pub fn new(dataset: &Dataset, setups: &[ModelSetup]) -> Result<Self> {
        Self::announced(dataset, setups, &mut |_| ())
    }

    /// Returns the models of [`Self::new`]. The memory that they need goes to `announce` before it is allocated.
    pub(crate) fn announced(
        dataset: &Dataset,
        setups: &[ModelSetup],
        announce: &mut dyn FnMut(&Demand),
    ) -> Result<Self> {
        let shape = setups[0].state.weights.shape;
        for setup in setups {
            validate::model(&setup.train, dataset, &setup.state)?;
        }
        let demand = |kernels: &CudaKernels| {
            let demand = |batch| Plan::new(kernels, shape, batch)?.demand(shape, batch);
            Ok(setups.iter().map(|setup| demand(setup.train.batch)).collect::<Result<Vec<_>>>()?.into_iter().sum())
        };
        let gpu = Rc::new(Gpu::open(shape, dataset, demand, announce)?);
        let on_gpu = |setup: &ModelSetup| Cuda::on(Rc::clone(&gpu), setup.train, &setup.state);
        Ok(Self(setups.iter().map(on_gpu).collect::<Result<_>>()?))
    }

    /// Returns the seconds that the last launch took on the device.
    pub fn device_seconds(&self) -> f64 {
        self.0[0].device_seconds()
    }
}

impl Models for CudaModels {
    /// Trains the active models side by side, if a step has one document.
    fn train(&mut self, steps: usize, active: &[bool]) -> Result<Vec<Vec<StepLog>>> {
        let models = self.0.iter_mut().zip(active).filter(|(_, active)| **active);
        let mut models: Vec<&mut Cuda> = models.map(|(model, _)| model).collect();
        // Only the fused executor trains a model in one block.
        let in_one_block = |model: &&mut Cuda| model.config.batch == 1 && model.executors.training == Executor::Fused;
        let logs = if models.iter().all(in_one_block) {
            train_side_by_side(&mut models, steps)?
        } else {
            models.iter_mut().map(|model| model.train(steps)).collect::<Result<Vec<_>>>()?
        };
        let mut logs = logs.into_iter();
        Ok(active.iter().map(|active| active.then(|| logs.next()).flatten().unwrap_or_default()).collect())
    }

    fn evaluate(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        self.0.iter_mut().map(|model| model.evaluate(documents)).collect()
    }

    fn model(&mut self, i: usize) -> &mut dyn Device {
        &mut self.0[i]
    }
}
