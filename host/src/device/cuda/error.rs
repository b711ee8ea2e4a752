//! The driver's failures as [`Error`]s.

use std::env;

use cust::error::CudaError;

use super::super::driver::{self, Failure, NO_DEVICE};
use crate::error::Error;

/// Returns the error of a driver that cannot start or finds no device.
pub(super) fn no_gpu(error: CudaError) -> Error {
    match driver::last_failure() {
        Some(Failure { code: NO_DEVICE, .. }) => Error::NoGpu { visible: env::var("CUDA_VISIBLE_DEVICES").ok() },
        _ => failed("start the NVIDIA driver")(error),
    }
}

/// Returns the error of PTX that the driver refuses, with the log of its compiler.
pub(super) fn not_compiled(error: CudaError, log: &str) -> Error {
    let failure = driver::last_failure();
    let cause = format!("{}\n{log}", describe(failure, error));
    Error::Compile { code: failure.map(|failure| failure.code), source: cause.trim_end().into() }
}

/// Returns a function that makes the error of a failed call. `action` completes "cannot ..".
pub(super) fn failed(action: impl Into<String>) -> impl FnOnce(CudaError) -> Error {
    let action = action.into();
    move |error| {
        let failure = driver::last_failure();
        let source = describe(failure, error).into();
        Error::Driver { action, code: failure.map(|failure| failure.code), source }
    }
}

/// Returns the driver's description of a failure, or that of `cust` if the failure is its own.
fn describe(failure: Option<Failure>, error: CudaError) -> String {
    match failure {
        Some(Failure { function, code }) => match driver::describe(code) {
            Some((name, text)) => format!("{function}: {name} ({code}): {text}"),
            None => format!("{function}: error {code}"),
        },
        None => error.to_string(),
    }
}
