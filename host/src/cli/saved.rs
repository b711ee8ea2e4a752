//! A saved model on a device, for the commands that use it.

use std::path::Path;

use super::console::Console;
use super::shared_args::DeviceArgs;
use crate::config::TrainConfig;
use crate::corpus::Dataset;
use crate::device::cpu::useful_threads;
use crate::device::memory::Demand;
use crate::device::{ModelSetup, Models, State, select};
use crate::error::Result;

/// Puts a saved model and documents on the device that the flags ask for, and says so.
pub(super) fn open<W: std::io::Write>(
    path: &Path,
    state: State,
    dataset: &Dataset,
    args: &DeviceArgs,
    console: &Console<W>,
) -> Result<Box<dyn Models>> {
    console.notice(format_args!("model: `{}`, step {}", path.display(), state.step));
    args.start_threads(useful_threads(1, 1), None, console)?;
    let setup = ModelSetup { train: TrainConfig::default(), state };
    let mut announce = |demand: &Demand| console.notice(format_args!("memory: {demand}"));
    let (models, description) = select(args.device, dataset, &[setup], &mut announce)?;
    console.notice(format_args!("device: {description}"));
    Ok(models)
}
