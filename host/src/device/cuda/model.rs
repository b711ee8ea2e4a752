//! Models on a GPU.

use std::ops::Range;
use std::rc::Rc;

use cust::memory::DeviceBuffer;
use gpu_kernels::layout::Layout;
use gpu_kernels::part::BatchLaunchArgs;
use gpu_kernels::shape::RuntimeShape;

use super::super::marshal::{pack, transpose, unpack};
use super::super::memory::Demand;
use super::super::types::{Device, Evaluation, Executor, Executors, ModelSetup, Models, Sample, State, StepLog};
use super::super::validate;
use super::gpu::{DeviceDocuments, Gpu};
use super::kernels::CudaKernels;
use super::launch_times::LaunchTime;
use super::memory::{Plan, download, overwrite, upload, zeros};
use super::tiled::Tiled;
use crate::config::{SampleConfig, TrainConfig};
use crate::corpus::Dataset;
use crate::error::Result;
use crate::weights::Weights;

mod fused_steps;
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
            return Ok(Self::train_side_by_side(&mut [self], steps)?.remove(0));
        }
        let (gpu, mut logs) = (Rc::clone(&self.gpu), Vec::with_capacity(steps));
        gpu.in_launches::<BatchLaunchArgs>(steps, |range| {
            logs.extend(self.train_batches(range.len())?);
            Ok(())
        })?;
        Ok(logs)
    }

    fn evaluate_each(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        let documents = documents.min(self.gpu.dataset.val.len());
        if self.executors.evaluation == Executor::Tiled {
            return self.evaluate_tiled(documents);
        }
        self.evaluate_fused(documents)
    }

    fn samples_per_launch(&self, work: u64) -> u64 {
        // So many samples fill a GPU, and need less than a gigabyte on the host.
        ((1 << 36) / work).clamp(1, 1 << 18)
    }

    fn extend(&mut self, config: &SampleConfig, starts: &[u32], samples: Range<u64>) -> Result<Vec<Sample>> {
        self.refresh_transposed()?;
        self.generate_fused(config, starts, samples)
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
            Cuda::train_side_by_side(&mut models, steps)?
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
