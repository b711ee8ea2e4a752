//! The kernels as the host calls them, which are functions on the CPU and the entries of the PTX on a GPU. Each kernel
//! is compiled for the default shape as constants, and for shapes known at run time.

#[cfg(not(target_arch = "nvptx64"))]
mod cpu;
#[cfg(target_arch = "nvptx64")]
mod gpu;

#[cfg(not(target_arch = "nvptx64"))]
pub use cpu::{ALL, CpuKernels, Team};
