//! The subcommand `coverage`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use ptx_emulator::{DeviceProperties, Gpu, variants};

use super::{Error, read};

/// Prints the forms of arithmetic instructions that are supported, or counts the instructions of a module.
pub fn coverage(file: Option<&Path>) -> Result<ExitCode, Error> {
    let Some(file) = file else {
        for variant in variants() {
            println!("{}{}", variant.form, if variant.exact { "" } else { "  (differs between GPUs)" });
        }
        return Ok(ExitCode::SUCCESS);
    };
    let mut gpu = Gpu::new(DeviceProperties { capability: (12, 1), ..DeviceProperties::default() });
    let module = gpu.load(&read(file)?).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let kernels = module.kernels();
    for inst in kernels.iter().flat_map(|kernel| &kernel.code) {
        *counts.entry(&inst.mnemonic).or_default() += 1;
    }
    for (mnemonic, count) in counts {
        println!("{count:>8}  {mnemonic}");
    }
    for kernel in kernels {
        if let Some(error) = &kernel.unsupported {
            println!("kernel `{}` is not supported: {error}", kernel.name);
        }
    }
    Ok(ExitCode::SUCCESS)
}
