//! Several models of one shape on a GPU.

use std::rc::Rc;

use super::super::check;
use super::super::{Device, Evaluation, Models, State, StepLog};
use super::gpu::Gpu;
use super::kernels::Kernels;
use super::{Cuda, Plan};
use crate::config::TrainConfig;
use crate::corpus::Dataset;
use crate::error::{Error, Result};

/// Models of one shape on a GPU.
pub struct CudaModels(pub(super) Vec<Cuda>);

impl CudaModels {
    /// These models on the first GPU, to be trained on this dataset.
    ///
    /// # Errors
    /// As for [`Cuda::new`], or models of several shapes.
    pub fn new(dataset: &Dataset, models: &[(TrainConfig, State)]) -> Result<Self> {
        let shape = models.first().ok_or_else(|| Error::new("no model to put on the GPU"))?.1.weights.shape;
        for (config, state) in models {
            check::model(config, dataset, state)?;
        }
        let bytes = |kernels: &Kernels| {
            let plans = models.iter().map(|(config, _)| Plan::new(kernels, shape, config.batch));
            plans.map(|plan| Ok(plan?.bytes(shape))).sum()
        };
        let gpu = Rc::new(Gpu::open(shape, dataset, bytes)?);
        let on = |(config, state): &(TrainConfig, State)| Cuda::on(Rc::clone(&gpu), *config, state);
        Ok(Self(models.iter().map(on).collect::<Result<_>>()?))
    }

    /// Seconds that the last launch took on the device.
    pub fn device_seconds(&self) -> f64 {
        self.0.first().map_or(0.0, Cuda::device_seconds)
    }
}

impl Models for CudaModels {
    fn count(&self) -> usize {
        self.0.len()
    }

    /// Models of one document a step are trained in one launch, a block each.
    fn train(&mut self, steps: usize) -> Result<Vec<Vec<StepLog>>> {
        if self.0.iter().any(|model| model.config.batch > 1) {
            return self.0.iter_mut().map(|model| model.train(steps)).collect();
        }
        let prepared = self.0.iter().map(|model| model.train_args(steps)).collect::<Result<Vec<_>>>()?;
        // SAFETY: as `train_args` says; each model has arrays of its own.
        unsafe { self.0[0].gpu.launch_train(prepared.iter().map(|(args, _)| *args), steps) }?;
        self.0.iter_mut().zip(&prepared).map(|(model, (_, launch))| model.trained(steps, launch)).collect()
    }

    fn evaluate(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        self.0.iter_mut().map(|model| model.evaluate(documents)).collect()
    }

    fn model(&mut self, i: usize) -> &mut dyn Device {
        &mut self.0[i]
    }
}
