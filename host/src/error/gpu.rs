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
    #[error("this program was built without GPU support, which there is for Linux, not for {}", std::env::consts::OS)]
    OperatingSystem,
    /// A build without PTX.
    #[error("this program was built without GPU kernels (MICROGPT_PTX=none)")]
    NoPtx,
    /// A build without one of the kernels.
    #[error("this program was built without the kernel `{kernel}`")]
    NoKernel {
        /// The kernel's name in the PTX.
        kernel: String,
    },
    /// A system without the driver.
    #[error("no NVIDIA driver")]
    NoDriver {
        /// The cause.
        source: Cause,
    },
    /// A driver that finds no device.
    #[error("the NVIDIA driver finds no GPU")]
    NoGpu {
        /// The value of `CUDA_VISIBLE_DEVICES`, if it is set.
        visible: Option<String>,
    },
    /// A device that is older than the kernels.
    #[error(
        "the GPU is too old: {name} has compute capability {}, the kernels need {}",
        compute_capability(*.arch), compute_capability(*.needed)
    )]
    TooOld {
        /// The device.
        name: String,
        /// Its architecture: 75 is compute capability 7.5.
        arch: u32,
        /// The architecture of the kernels.
        needed: u32,
    },
    /// PTX that the driver refuses.
    #[error("cannot compile the kernels for this GPU")]
    Compile {
        /// The driver's result, if the failure is the driver's.
        code: Option<i32>,
        /// The driver's description and the log of its compiler.
        source: Cause,
    },
    /// A device on which blocks cannot wait for each other.
    #[error("{name} has no cooperative launch, which `--batch` needs")]
    NoCooperativeLaunch {
        /// The device.
        name: String,
    },
    /// A device with too little free memory.
    #[error("the GPU's memory is too small: {needed} bytes needed, {free} of {total} free")]
    Memory {
        /// The bytes that the models need.
        needed: usize,
        /// The bytes that are free.
        free: usize,
        /// The bytes that the device has.
        total: usize,
    },
    /// A set of no models.
    #[error("no model to put on the GPU")]
    NoModels,
    /// A call of the driver that failed.
    #[error("cannot {action}")]
    Driver {
        /// The purpose of the call.
        action: String,
        /// The driver's result, if the failure is the driver's.
        code: Option<i32>,
        /// The driver's description.
        source: Cause,
    },
}

fn compute_capability(arch: u32) -> String {
    format!("{}.{}", arch / 10, arch % 10)
}

const USE_CPU: &str = "`--device cpu` needs no GPU";

impl GpuError {
    pub(super) fn hint(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::NoKernel { .. } | Self::NoModels => return None,
            Self::OperatingSystem => "use `--device cpu`".into(),
            Self::NoPtx => "build it again without that variable, or use `--device cpu`".into(),
            Self::NoDriver { .. } => {
                format!("install NVIDIA's driver (the CUDA toolkit is not needed); {USE_CPU}").into()
            }
            Self::NoGpu { visible: Some(visible) } => {
                format!("CUDA_VISIBLE_DEVICES is `{visible}`: unset it, or name a GPU that there is; {USE_CPU}").into()
            }
            Self::TooOld { arch: arch @ 70.., .. } => format!("build again with CUDA_ARCH={arch}; {USE_CPU}").into(),
            // The compilers make no PTX for devices before compute capability 7.0.
            Self::NoGpu { visible: None } | Self::TooOld { .. } => USE_CPU.into(),
            Self::NoCooperativeLaunch { .. } => "leave `--batch` out, or use `--device cpu`".into(),
            Self::Memory { .. } => format!("{}, or use `--device cpu`", OutOfMemory::HINT).into(),
            Self::Compile { code, .. } | Self::Driver { code, .. } => driver_hint(*code),
        })
    }
}

/// Returns what helps against a result of the driver.
fn driver_hint(code: Option<i32>) -> Cow<'static, str> {
    let cure = match code {
        Some(2) => "the GPU's memory is full: end other programs on it, or make the model smaller",
        Some(218 | 222) => "the driver may be too old for these kernels: update it",
        Some(500) => "the driver is too old: update it",
        Some(803 | 804) => "the driver was updated while it ran: restart the machine",
        Some(214 | 220 | 700 | 702..=719) => {
            "the GPU stopped in the middle of its work and what it held is lost: run again; if it happens again, please \
             report it"
        }
        _ => return USE_CPU.into(),
    };
    format!("{cure}; {USE_CPU}").into()
}
