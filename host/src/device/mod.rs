//! Devices that a model can be trained and sampled on, behind one trait.

pub mod cpu;
#[cfg(cuda)]
pub mod cuda;
mod marshal;
pub mod reference;
mod sampling;
pub mod threads;
mod types;
mod validate;

use self::cpu::Cpu;
use self::reference::Reference;
pub use self::types::{Device, DeviceKind, Evaluation, Executor, ModelSetup, Models, Sample, State, StepLog, total};
use crate::corpus::Dataset;
use crate::error::Result;

/// Puts these models and their corpus on a device of this kind. Returns the models and a description of the device, with
/// the reason why [`DeviceKind::Auto`] has taken no GPU.
///
/// # Errors
/// If [`DeviceKind::Cuda`] finds no usable GPU, a model does not fit the corpus, or memory is too small.
///
/// # Panics
/// If there are no models.
pub fn select(kind: DeviceKind, dataset: &Dataset, setups: &[ModelSetup]) -> Result<(Box<dyn Models>, String)> {
    let cpu = || {
        let (kernels, executor) = (cpu::available()[0], kind.executor());
        let open = |setup: &ModelSetup| Cpu::with_executor(kernels, executor, setup.train, dataset, &setup.state);
        setups.iter().map(open).collect::<Result<Vec<_>>>()
    };
    let reference = |setup: &ModelSetup| Reference::new(setup.train, dataset, &setup.state);
    let mut reason = String::new();
    let mut models: Box<dyn Models> = match kind {
        DeviceKind::Auto => match gpu(dataset, setups) {
            Ok(gpu) => gpu,
            Err(error) => {
                reason = format!(" (no GPU: {})", error.one_line());
                Box::new(cpu()?)
            }
        },
        DeviceKind::Cuda => gpu(dataset, setups)?,
        DeviceKind::Cpu | DeviceKind::CpuTiled => Box::new(cpu()?),
        DeviceKind::Reference => Box::new(setups.iter().map(reference).collect::<Result<Vec<_>>>()?),
    };
    let description = models.model(0).description() + &reason;
    Ok((models, description))
}

#[cfg(cuda)]
fn gpu(dataset: &Dataset, setups: &[ModelSetup]) -> Result<Box<dyn Models>> {
    Ok(Box::new(cuda::CudaModels::new(dataset, setups)?))
}

#[cfg(not(cuda))]
fn gpu(_: &Dataset, _: &[ModelSetup]) -> Result<Box<dyn Models>> {
    Err(crate::error::Error::NotBuilt {
        part: "GPU support, which needs Linux or Windows and the feature `cuda`".to_owned(),
    })
}
