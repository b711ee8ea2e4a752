//! The subcommand `check`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use ptx_emulator::{DeviceProperties, Gpu};

use super::{Error, read};

/// Prints each kernel of a module with its resources, and with the reasons why it does not run or why its results may
/// differ between GPUs. Fails if a kernel does not run.
pub fn check(file: &Path, out: &mut impl Write) -> Result<ExitCode, Error> {
    let text = read(file)?;
    // The check is not about the capability of a device.
    let mut gpu = Gpu::new(DeviceProperties { capability: (12, 1), ..DeviceProperties::default() });
    let module = gpu.load(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut refused = 0;
    for kernel in module.kernels() {
        let params = kernel.params.len();
        writeln!(
            out,
            "kernel `{}`, line {}: {params} parameters of {} bytes, {} bytes of shared memory, {} bytes of local memory",
            kernel.name, kernel.line, kernel.param_size, kernel.shared_size, kernel.local_size
        )?;
        if let Some(error) = &kernel.unsupported {
            refused += 1;
            writeln!(out, "  not supported: {error}")?;
        }
        if let Some(error) = &kernel.inexact {
            writeln!(out, "  results differ between GPUs: {error}")?;
        }
    }
    writeln!(out, "{} kernels, {refused} of them not supported", module.kernels().len())?;
    Ok(if refused > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
