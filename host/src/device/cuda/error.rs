//! The driver's failures as [`Error`]s.

use std::env;

use cuda_driver::{Failure, NO_DEVICE};
use cust::error::CudaError;

use crate::error::Error;

/// Returns the error of a driver that cannot start or finds no device.
pub(super) fn no_gpu(error: CudaError) -> Error {
    match cuda_driver::last_failure() {
        Some(Failure { code: NO_DEVICE, .. }) => Error::NoGpu { visible: env::var("CUDA_VISIBLE_DEVICES").ok() },
        _ => failed("start the NVIDIA driver")(error),
    }
}

/// Returns the error of PTX that the driver refuses, with the log of its compiler.
pub(super) fn not_compiled(error: CudaError, log: &str) -> Error {
    let (code, cause) = describe(error);
    Error::Compile { code, source: format!("{cause}\n{log}").trim_end().into() }
}

/// Returns a function that makes the error of a failed call. `action` completes "cannot ..".
pub(super) fn failed(action: impl Into<String>) -> impl FnOnce(CudaError) -> Error {
    let action = action.into();
    move |error| {
        let (code, cause) = describe(error);
        Error::Driver { action, code, source: cause.into() }
    }
}

/// Returns the code and the description of the driver's last failure, or the description of a failure of `cust` itself.
fn describe(error: CudaError) -> (Option<i32>, String) {
    let Some(Failure { function, code }) = cuda_driver::last_failure() else { return (None, error.to_string()) };
    let cause = match cuda_driver::describe(code) {
        Some((name, text)) => format!("{function}: {name} ({code}): {text}"),
        None => format!("{function}: error {code}"),
    };
    (Some(code), cause)
}
