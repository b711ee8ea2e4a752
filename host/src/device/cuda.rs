//! NVIDIA GPUs, with kernels in PTX that the driver compiles for the device.
//!
//! Corpus, weights, gradients and moments stay on the device. A call of `train` is one launch, after which the host
//! reads the launch's log.

mod error;
mod gpu;
mod kernels;
mod memory;
mod model;
mod pace;
mod tiled;

pub use self::kernels::{DECLARED_SHARED, PTX, Ptx};
pub use self::model::{Cuda, CudaModels};
