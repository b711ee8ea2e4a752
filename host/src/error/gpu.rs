//! Failures of GPUs and of their driver.

use std::borrow::Cow;

use super::{Cause, OutOfMemory};

/// A GPU that cannot be used, or a failure of its driver.
///
/// `code` is the driver's result, a `CUresult`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GpuError {
    /// An operating system that the program does not use GPUs on.
    #[error("this program was built for {}, and it uses GPUs on Linux alone", std::env::consts::OS)]
    OperatingSystem,
    /// A build without PTX.
    #[error("this program was built without GPU kernels (MICROGPT_PTX=none)")]
    NoPtx,
    /// A build without one of the kernels.
    #[error("this program was built without the kernel `{kernel}`")]
    NoKernel { kernel: String },
    /// A system without the driver.
    #[error("no NVIDIA driver")]
    NoDriver { source: Cause },
    /// A driver that finds no device. `visible` is the value of `CUDA_VISIBLE_DEVICES`.
    #[error("the NVIDIA driver finds no GPU")]
    NoGpu { visible: Option<String> },
    /// A device that is older than the kernels. Architecture 75 is compute capability 7.5.
    #[error(
        "the GPU is too old: {name} has compute capability {}, the kernels need {}",
        compute_capability(*.arch), compute_capability(*.needed)
    )]
    TooOld { name: String, arch: u32, needed: u32 },
    /// PTX that the driver refuses.
    #[error("cannot compile the kernels for this GPU")]
    Compile { code: Option<i32>, source: Cause },
    /// A device on which blocks cannot wait for each other.
    #[error("{name} has no cooperative launch, which `--batch` needs")]
    NoCooperativeLaunch { name: String },
    /// A device with too little free memory.
    #[error("the GPU's memory is too small: {needed} bytes needed, {free} of {total} free")]
    Memory { needed: usize, free: usize, total: usize },
    /// A set of no models.
    #[error("no model to put on the GPU")]
    NoModels,
    /// A failed call of the driver.
    #[error("cannot {action}")]
    Driver { action: String, code: Option<i32>, source: Cause },
}

fn compute_capability(arch: u32) -> String {
    format!("{}.{}", arch / 10, arch % 10)
}

const USE_CPU: &str = "use `--device cpu`";

impl GpuError {
    pub(super) fn hint(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::NoKernel { .. } | Self::NoModels => return None,
            Self::NoPtx => format!("build it again without that variable, or {USE_CPU}").into(),
            Self::NoDriver { .. } => {
                format!("install NVIDIA's driver (the CUDA toolkit is not needed), or {USE_CPU}").into()
            }
            Self::NoGpu { visible: Some(visible) } => {
                format!("unset CUDA_VISIBLE_DEVICES, which is `{visible}`, or name an existing GPU in it, or {USE_CPU}")
                    .into()
            }
            Self::TooOld { arch: arch @ 70.., .. } => format!("build again with CUDA_ARCH={arch}, or {USE_CPU}").into(),
            // The compilers make no PTX for devices before compute capability 7.0.
            Self::OperatingSystem | Self::NoGpu { visible: None } | Self::TooOld { .. } => USE_CPU.into(),
            Self::NoCooperativeLaunch { .. } => format!("leave `--batch` out, or {USE_CPU}").into(),
            Self::Memory { .. } => format!("{}, or {USE_CPU}", OutOfMemory::HINT).into(),
            Self::Compile { code, .. } | Self::Driver { code, .. } => driver_hint(*code),
        })
    }
}

/// Returns what helps against a result of the driver.
fn driver_hint(code: Option<i32>) -> Cow<'static, str> {
    let cure = match code {
        Some(2) => "end other programs on the GPU, whose memory is full, or make the model smaller",
        Some(218 | 222) => "update the driver, which may be too old for these kernels",
        Some(500) => "update the driver, which is too old",
        Some(803 | 804) => "restart the computer, since the driver was updated while it ran",
        Some(214 | 220 | 700 | 702..=719) => {
            "run again, since the GPU stopped in the middle of its work (please report it if it happens again)"
        }
        _ => return USE_CPU.into(),
    };
    format!("{cure}, or {USE_CPU}").into()
}
