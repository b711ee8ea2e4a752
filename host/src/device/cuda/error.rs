//! The driver's errors as messages that a person can act on.

use std::env;

use cust::error::CudaError;

use super::super::driver::{self, Failure};
use crate::error::Error;

const USE_CPU: &str = "`--device cpu` needs no GPU";

/// There is no driver to open.
pub(super) fn no_driver(error: &'static libloading::Error) -> Error {
    Error::new("no NVIDIA driver")
        .caused_by(error)
        .hint(format!("install NVIDIA's driver (the CUDA toolkit is not needed); {USE_CPU}"))
}

/// The driver cannot start, or finds no device.
pub(super) fn no_gpu(error: CudaError) -> Error {
    let visible = env::var("CUDA_VISIBLE_DEVICES").ok();
    match (driver::last_failure().map(|failure| failure.code), visible) {
        (Some(100), Some(visible)) => Error::new("the NVIDIA driver finds no GPU")
            .hint(format!("CUDA_VISIBLE_DEVICES is `{visible}`: unset it, or name a GPU that there is; {USE_CPU}")),
        (Some(100), None) => Error::new("the NVIDIA driver finds no GPU").hint(USE_CPU),
        _ => failed("start the NVIDIA driver")(error),
    }
}

/// The device is older than the kernels.
pub(super) fn too_old(name: &str, arch: u32, needed: u32) -> Error {
    let version = |arch: u32| format!("{}.{}", arch / 10, arch % 10);
    let (has, needs) = (version(arch), version(needed));
    Error::new(format!("the GPU is too old: {name} has compute capability {has}, the kernels need {needs}"))
        .hint(if arch < 70 { USE_CPU.to_owned() } else { format!("build again with CUDA_ARCH={arch}; {USE_CPU}") })
}

/// The driver refuses the PTX.
pub(super) fn not_loaded(error: CudaError, log: &str) -> Error {
    let (failure, what) = (driver::last_failure(), "cannot compile the kernels for this GPU");
    let cause = format!("{}\n{log}", cause(failure, error));
    Error::new(what).caused_by(cause.trim_end()).hint(hint_for(failure))
}

/// What the driver says of a failure; `cust` itself, if it is none of the driver's.
fn cause(failure: Option<Failure>, error: CudaError) -> String {
    match failure {
        Some(Failure { function, code }) => match driver::describe(code) {
            Some((name, text)) => format!("{function}: {name} ({code}): {text}"),
            None => format!("{function}: error {code}"),
        },
        None => error.to_string(),
    }
}

/// Makes an error of a failed call: what it was to do, what the driver says, and what helps.
pub(super) fn failed(what: impl Into<String>) -> impl FnOnce(CudaError) -> Error {
    let what = what.into();
    move |error| {
        let failure = driver::last_failure();
        let cause = cause(failure, error);
        Error::new(format!("cannot {what}")).caused_by(cause).hint(hint_for(failure))
    }
}

/// What helps against an error of the driver.
fn hint_for(failure: Option<Failure>) -> String {
    match failure.map(|failure| failure.code) {
        Some(2) => format!("the GPU's memory is full: end other programs on it, or make the model smaller; {USE_CPU}"),
        Some(218 | 222) => format!("the driver may be too old for these kernels: update it; {USE_CPU}"),
        Some(500) => format!("the driver is too old: update it; {USE_CPU}"),
        Some(803 | 804) => format!("the driver was updated while it ran: restart the machine; {USE_CPU}"),
        Some(214 | 220 | 700 | 702..=719) => format!(
            "the GPU stopped in the middle of its work and what it held is lost: run again; if it happens again, please \
             report it; {USE_CPU}"
        ),
        _ => USE_CPU.to_owned(),
    }
}
