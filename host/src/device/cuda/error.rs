//! The driver's failures as [`Error`]s.

use std::env;
use std::fs::File;
use std::io;
use std::path::Path;

use cuda_driver::{Failure, NO_DEVICE};
use cust::CudaApiVersion;
use cust::error::CudaError;

use crate::error::Error;

/// The files by which the driver reaches the first GPU on Linux.
const DEVICE_FILES: [&str; 4] = ["/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-uvm", "/dev/dxg"];

/// Returns the error of a driver whose library cannot be opened.
pub(super) fn no_driver(source: &'static (dyn std::error::Error + Send + Sync)) -> Error {
    // Windows sets the variable in each shell of its Subsystem for Linux, and the device leads to its driver.
    let in_wsl =
        cfg!(target_os = "linux") && (env::var_os("WSL_DISTRO_NAME").is_some() || Path::new("/dev/dxg").exists());
    Error::NoDriver { source: source.into(), in_wsl }
}

/// Returns the error of a driver that cannot start or finds no device.
pub(super) fn no_gpu(error: CudaError) -> Error {
    if let Some(denied) = denied(|path| File::options().read(true).write(true).open(path).map(drop)) {
        return denied;
    }
    match cuda_driver::last_failure() {
        Some(Failure { code: NO_DEVICE, .. }) => Error::NoGpu { visible: env::var("CUDA_VISIBLE_DEVICES").ok() },
        _ => failed("start the NVIDIA driver")(error),
    }
}

/// Returns the error of the first device file whose opening by `open` is not permitted.
fn denied(open: impl Fn(&str) -> io::Result<()>) -> Option<Error> {
    DEVICE_FILES.iter().find_map(|path| {
        let source = open(path).err().filter(|error| error.kind() == io::ErrorKind::PermissionDenied)?;
        Some(Error::DeviceFile { path: path.into(), source })
    })
}

/// Returns the error of PTX that the driver refuses, with the log of its compiler.
pub(super) fn not_compiled(error: CudaError, ptx: &str, log: &str) -> Error {
    let version = CudaApiVersion::get().map(|version| (version.major(), version.minor()));
    let needed = ptx_version(ptx).and_then(least_cuda);
    if let (Ok(version), Some(needed)) = (version, needed)
        && version < needed
    {
        return Error::OldDriver { version, needed };
    }
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

/// Returns the version that PTX states, such as `(6, 3)`.
fn ptx_version(ptx: &str) -> Option<(i32, i32)> {
    let (major, minor) = ptx.lines().find_map(|line| line.strip_prefix(".version "))?.trim().split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Returns the first version of CUDA whose driver compiles PTX of this version, by the table of release notes in NVIDIA's
/// description of PTX.
fn least_cuda(ptx: (i32, i32)) -> Option<(i32, i32)> {
    match ptx {
        (6, minor @ 3..=5) => Some((10, minor - 3)),
        (7, minor @ 0..=8) => Some((11, minor)),
        (8, minor @ 0..=5) => Some((12, minor)),
        (8, minor @ 6..=8) => Some((12, minor + 1)),
        (9, minor) => Some((13, minor)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_driver_follows_from_the_version_in_the_ptx() {
        let least = |text: &str| ptx_version(text).and_then(least_cuda);
        assert_eq!(least("//\n\n.version 6.3\n.target sm_75\n"), Some((10, 0)));
        assert_eq!(least(".version 7.8\n"), Some((11, 8)));
        assert_eq!(least(".version 8.5\n"), Some((12, 5)));
        assert_eq!(least(".version 8.7\n"), Some((12, 8)));
        assert_eq!(least(".version 9.0\n"), Some((13, 0)));
        assert_eq!(least(".target sm_75\n"), None);
    }

    #[test]
    fn a_file_that_may_not_be_opened_is_named() {
        // The other files may be missing, or may be opened.
        let open = |path: &str| match path {
            "/dev/nvidia0" => Err(io::ErrorKind::PermissionDenied.into()),
            "/dev/nvidiactl" => Ok(()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let report = denied(open).unwrap().report();
        assert!(report.contains("cannot open the GPU's file `/dev/nvidia0`"), "{report}");
        assert!(report.contains("\nhint: ask for the permission to read and write it"), "{report}");
        assert!(denied(|_| Err(io::ErrorKind::NotFound.into())).is_none());
    }
}
