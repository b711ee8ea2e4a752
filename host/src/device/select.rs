//! The choice of a device, and the transfer of corpus and models to it.

use std::error::Error as _;

use super::cpu::Cpu;
use super::reference::Reference;
use super::types::{DeviceKind, ModelSetup, Models};
use crate::corpus::Dataset;
use crate::error::Result;

/// Puts these models and their corpus on a device of this kind. Returns the models and a description of the device, with the
/// reason why [`DeviceKind::Auto`] has taken no GPU.
///
/// # Errors
/// If [`DeviceKind::Cuda`] finds no usable GPU, a model does not fit the corpus, or memory is too small.
pub fn select(kind: DeviceKind, dataset: &Dataset, setups: &[ModelSetup]) -> Result<(Box<dyn Models>, String)> {
    let cpu = || setups.iter().map(|setup| Cpu::new(setup.train, dataset, &setup.state)).collect::<Result<Vec<_>>>();
    let mut models: Box<dyn Models> = match kind {
        DeviceKind::Auto => match gpu(dataset, setups) {
            Ok(gpu) => gpu,
            Err(error) => {
                let mut models = cpu()?;
                // The driver's compiler may have printed a long log, of which the notice has room for one line.
                let cause = error.source().map(|cause| format!(": {}", cause.to_string().lines().next().unwrap_or("")));
                let reason = format!("{error}{}", cause.unwrap_or_default());
                let description = format!("{} (no GPU: {reason})", models.model(0).description());
                return Ok((Box::new(models), description));
            }
        },
        DeviceKind::Cuda => gpu(dataset, setups)?,
        DeviceKind::Cpu => Box::new(cpu()?),
        DeviceKind::Reference => {
            let model = |setup: &ModelSetup| Reference::new(setup.train, dataset, &setup.state);
            Box::new(setups.iter().map(model).collect::<Result<Vec<_>>>()?)
        }
    };
    let description = models.model(0).description();
    Ok((models, description))
}

#[cfg(cuda)]
fn gpu(dataset: &Dataset, setups: &[ModelSetup]) -> Result<Box<dyn Models>> {
    Ok(Box::new(super::cuda::CudaModels::new(dataset, setups)?))
}

#[cfg(not(cuda))]
fn gpu(_: &Dataset, _: &[ModelSetup]) -> Result<Box<dyn Models>> {
    Err(crate::error::Error::NotBuilt { part: "GPU support, which needs Linux or Windows and the feature `cuda`".to_owned() })
}
