//! Choosing the machine, and putting corpus and models on it.

use std::error::Error as _;

use super::cpu::Cpu;
use super::reference::Reference;
use super::{DeviceChoice, Models, State};
use crate::config::TrainConfig;
use crate::corpus::Dataset;
use crate::error::Result;

/// The machine that the user chose, with the corpus and these models on it, and its description.
///
/// # Errors
/// The machine is not there, or too small.
pub fn open(
    choice: DeviceChoice,
    dataset: &Dataset,
    models: &[(TrainConfig, State)],
) -> Result<(Box<dyn Models>, String)> {
    let cpu = || models.iter().map(|(config, state)| Cpu::new(*config, dataset, state)).collect::<Result<Vec<_>>>();
    let mut opened: Box<dyn Models> = match choice {
        DeviceChoice::Auto => match gpu(dataset, models) {
            Ok(gpu) => gpu,
            Err(error) => {
                let mut cpu = cpu()?;
                // One line, whatever the driver's compiler has to say.
                let cause = error.source().map(|cause| format!(": {}", cause.to_string().lines().next().unwrap_or("")));
                let why = format!("{error}{}", cause.unwrap_or_default());
                let description = format!("{} (no GPU: {why})", cpu.model(0).description());
                return Ok((Box::new(cpu), description));
            }
        },
        DeviceChoice::Cuda => gpu(dataset, models)?,
        DeviceChoice::Cpu => Box::new(cpu()?),
        DeviceChoice::Reference => {
            let model = |(config, state): &(TrainConfig, State)| Reference::new(*config, dataset, state);
            Box::new(models.iter().map(model).collect::<Vec<_>>())
        }
    };
    let description = opened.model(0).description();
    Ok((opened, description))
}

#[cfg(target_os = "linux")]
fn gpu(dataset: &Dataset, models: &[(TrainConfig, State)]) -> Result<Box<dyn Models>> {
    Ok(Box::new(super::cuda::CudaModels::new(dataset, models)?))
}

#[cfg(not(target_os = "linux"))]
fn gpu(_: &Dataset, _: &[(TrainConfig, State)]) -> Result<Box<dyn Models>> {
    use crate::error::Error;
    let system = std::env::consts::OS;
    Err(Error::new(format!("this program was built without GPU support, which there is for Linux, not for {system}"))
        .hint("use `--device cpu`"))
}
