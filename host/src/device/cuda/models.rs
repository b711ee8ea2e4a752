//! Several models of one shape on a GPU.

use std::rc::Rc;

use super::super::types::{Device, Evaluation, ModelSetup, Models, State, StepLog};
use super::super::validate;
use super::gpu::Gpu;
use super::kernels::CudaKernels;
use super::memory::Plan;
use super::model::Cuda;
use crate::config::TrainConfig;
use crate::corpus::Dataset;
use crate::error::Result;

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
        let shape = setups[0].state.weights.shape;
        for setup in setups {
            validate::model(&setup.train, dataset, &setup.state)?;
        }
        let bytes = |kernels: &CudaKernels| {
            let plans = setups.iter().map(|setup| Plan::new(kernels, shape, setup.train.batch));
            plans.map(|plan| Ok(plan?.bytes(shape))).sum()
        };
        let gpu = Rc::new(Gpu::open(shape, dataset, bytes)?);
        let on_gpu = |setup: &ModelSetup| Cuda::on(Rc::clone(&gpu), setup.train, &setup.state);
        Ok(Self(setups.iter().map(on_gpu).collect::<Result<_>>()?))
    }

    /// Returns the seconds that the last launch took on the device.
    pub fn device_seconds(&self) -> f64 {
        self.0[0].device_seconds()
    }
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
}

impl Models for CudaModels {
    /// Trains all models in one launch with a block for each, if a step has one document.
    fn train(&mut self, steps: usize) -> Result<Vec<Vec<StepLog>>> {
        if self.0.iter().any(|model| model.config.batch > 1) {
            return self.0.iter_mut().map(|model| model.train(steps)).collect();
        }
        let launches = self.0.iter().map(|model| model.train_launch(steps)).collect::<Result<Vec<_>>>()?;
        // SAFETY: `train_launch` states the lengths, and each model has its own arrays.
        unsafe { self.0[0].gpu.launch_train(launches.iter().map(|launch| launch.args), steps) }?;
        self.0.iter_mut().zip(&launches).map(|(model, launch)| model.finish_launch(launch)).collect()
    }

    fn evaluate(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        self.0.iter_mut().map(|model| model.evaluate(documents)).collect()
    }

    fn model(&mut self, i: usize) -> &mut dyn Device {
        &mut self.0[i]
    }
}
