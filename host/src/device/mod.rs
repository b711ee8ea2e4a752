//! Devices that a model can be trained and sampled on, behind one trait.

pub mod cpu;
#[cfg(cuda)]
pub mod cuda;
mod marshal;
pub mod reference;
mod select;
mod types;
mod validate;

pub use self::select::select;
pub use self::types::{Device, DeviceKind, Evaluation, ModelSetup, Models, Sample, State, StepLog};
