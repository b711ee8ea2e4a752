//! NVIDIA GPUs, with kernels in PTX that the driver compiles for the device.
//!
//! Weights, gradients and moments stay on the device. A call of `train` is one launch of the fused executor, or a launch for
//! each op of a step of the tiled one. Afterwards the host reads the log.

mod error;
mod gpu;
#[cfg(feature = "mpi")]
mod host_copies;
mod kernels;
mod launch_times;
mod memory;
mod model;
mod pace;
mod tiled;

pub use self::kernels::{DECLARED_SHARED, PTX, Ptx};
pub use self::launch_times::LaunchTime;
pub use self::model::{Cuda, CudaModels};
