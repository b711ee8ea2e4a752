//! Devices that a model can be trained and sampled on, behind one trait.

pub mod cpu;
#[cfg(cuda)]
pub mod cuda;
#[cfg(feature = "mpi")]
pub(crate) mod division;
pub mod gpu;
#[cfg(all(feature = "program", target_os = "linux"))]
mod limits;
mod marshal;
pub mod memory;
pub mod reference;
mod sampling;
#[cfg(feature = "mpi")]
pub(crate) mod sharded;
pub mod threads;
mod tiled_rows;
mod types;
mod validate;
#[cfg(feature = "mpi")]
pub(crate) mod values;

use gpu_kernels::shape::{RuntimeShape, Shape};

use self::cpu::Cpu;
use self::memory::Demand;
use self::reference::Reference;
pub use self::types::{
    Device, DeviceKind, Evaluation, Executor, Executors, ModelSetup, Models, Sample, State, StepLog, total,
};
use crate::config::num_params;
use crate::corpus::Dataset;
use crate::error::Result;

/// Returns the bytes that a model of this shape needs on a device of this kind. A GPU's memory is known once the GPU is
/// open, so of a model that may be there, this is the copy of its state on the host.
///
/// # Errors
/// If a step has more tokens than the device can index, or the system refuses the threads of the CPU.
pub fn demand(kind: DeviceKind, shape: RuntimeShape, batch: usize, dataset: &Dataset) -> Result<Demand> {
    // The windows of a step are drawn on the host. Their offsets are as many as the windows.
    let tokens = u128::from(dataset.window_tokens(1, batch, shape.block_size())?);
    let windows = Demand::of_floats(0, 0, tokens + batch as u128 * u128::from(tokens > 0));
    let model = match kind {
        DeviceKind::Auto | DeviceKind::Cuda => {
            let params = num_params(shape) as u128;
            Demand::of_floats(params, 2 * params, 0)
        }
        DeviceKind::Reference => reference::demand(shape, dataset),
        DeviceKind::Cpu => {
            threads::start(None)?;
            // A batch of no document is refused when the model is made.
            cpu::demand(Executors::new(shape, batch), shape, batch.max(1), dataset)?
        }
    };
    Ok([model, windows].into_iter().sum())
}

/// Puts these models and their corpus on a device of this kind. Returns the models and a description of the device, with
/// the reason why [`DeviceKind::Auto`] has taken no GPU. The memory that they need goes to `announce` before it is allocated.
///
/// # Errors
/// If [`DeviceKind::Cuda`] finds no usable GPU, a model does not fit the corpus, or memory is too small.
///
/// # Panics
/// If there are no models.
pub fn select(
    kind: DeviceKind,
    dataset: &Dataset,
    setups: &[ModelSetup],
    announce: &mut dyn FnMut(&Demand),
) -> Result<(Box<dyn Models>, String)> {
    let mut reason = String::new();
    let mut models: Box<dyn Models> = match kind {
        DeviceKind::Auto => match on_gpu(dataset, setups, announce) {
            Ok(gpu) => gpu,
            Err(error) => {
                reason = format!(" (no GPU: {})", error.one_line());
                host(DeviceKind::Cpu, dataset, setups, announce)?
            }
        },
        DeviceKind::Cuda => on_gpu(dataset, setups, announce)?,
        DeviceKind::Cpu | DeviceKind::Reference => host(kind, dataset, setups, announce)?,
    };
    let description = models.model(0).description() + &reason;
    Ok((models, description))
}

/// Puts models on the CPU or the reference.
fn host(
    kind: DeviceKind,
    dataset: &Dataset,
    setups: &[ModelSetup],
    announce: &mut dyn FnMut(&Demand),
) -> Result<Box<dyn Models>> {
    let demand = |setup: &ModelSetup| demand(kind, setup.state.weights.shape, setup.train.batch, dataset);
    let demand: Demand = setups.iter().map(demand).collect::<Result<Vec<_>>>()?.into_iter().sum();
    demand.validate()?;
    announce(&demand);
    if kind == DeviceKind::Reference {
        let reference = |setup: &ModelSetup| Reference::new(setup.train, dataset, &setup.state);
        return Ok(Box::new(setups.iter().map(reference).collect::<Result<Vec<_>>>()?));
    }
    let open = |setup: &ModelSetup| Cpu::new(setup.train, dataset, &setup.state);
    Ok(Box::new(setups.iter().map(open).collect::<Result<Vec<_>>>()?))
}

/// Puts a model on a device of this kind, for steps that several ranks share. Returns the model and a description of the
/// device, as [`select`] does.
///
/// # Errors
/// Those of [`select`], and an error for the reference.
#[cfg(feature = "mpi")]
pub(crate) fn open_sharded(
    kind: DeviceKind,
    dataset: &Dataset,
    setup: &ModelSetup,
    announce: &mut dyn FnMut(&Demand),
) -> Result<(Box<dyn sharded::Sharded>, String)> {
    let mut reason = String::new();
    if matches!(kind, DeviceKind::Auto | DeviceKind::Cuda) {
        match sharded_on_gpu(dataset, setup, announce) {
            Ok(mut model) => {
                let description = format!("{}, {}", model.device().description(), gpu::sums_description());
                return Ok((model, description));
            }
            Err(error) if kind == DeviceKind::Cuda => return Err(error),
            Err(error) => reason = format!(" (no GPU: {})", error.one_line()),
        }
    }
    if kind == DeviceKind::Reference {
        let hint = "give `--device cpu`, train several models by `--seeds` or `--sweep`, or start one process";
        return Err(crate::error::Error::usage("the reference shares no model between ranks", hint));
    }
    let demand = demand(DeviceKind::Cpu, setup.state.weights.shape, setup.train.batch, dataset)?;
    demand.validate()?;
    announce(&demand);
    let cpu = Cpu::new(setup.train, dataset, &setup.state)?;
    let description = cpu.description() + &reason;
    Ok((Box::new(cpu::sharded::ShardedCpu::new(cpu)?), description))
}

#[cfg(cuda)]
fn on_gpu(dataset: &Dataset, setups: &[ModelSetup], announce: &mut dyn FnMut(&Demand)) -> Result<Box<dyn Models>> {
    Ok(Box::new(cuda::CudaModels::announced(dataset, setups, announce)?))
}

#[cfg(all(cuda, feature = "mpi"))]
fn sharded_on_gpu(
    dataset: &Dataset,
    setup: &ModelSetup,
    announce: &mut dyn FnMut(&Demand),
) -> Result<Box<dyn sharded::Sharded>> {
    let setups = std::slice::from_ref(setup);
    Ok(Box::new(cuda::CudaModels::announced(dataset, setups, announce)?.into_sharded()?))
}

#[cfg(not(cuda))]
fn on_gpu(_: &Dataset, _: &[ModelSetup], _: &mut dyn FnMut(&Demand)) -> Result<Box<dyn Models>> {
    Err(no_gpu_support())
}

#[cfg(all(not(cuda), feature = "mpi"))]
fn sharded_on_gpu(_: &Dataset, _: &ModelSetup, _: &mut dyn FnMut(&Demand)) -> Result<Box<dyn sharded::Sharded>> {
    Err(no_gpu_support())
}

#[cfg(not(cuda))]
fn no_gpu_support() -> crate::error::Error {
    let part = "GPU support, which needs Linux or Windows and the feature `cuda`".to_owned();
    crate::error::Error::NotBuilt { part }
}
