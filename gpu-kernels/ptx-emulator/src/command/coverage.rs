//! The subcommand `coverage`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use ptx_emulator::{DeviceProperties, Gpu};

use super::{Error, read};

/// Prints the instructions of the PTX ISA with the forms that run, or counts the instructions of a module.
pub fn coverage(file: Option<&Path>) -> Result<ExitCode, Error> {
    let Some(file) = file else {
        print_table();
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

/// Prints the instructions by section, each with its forms and with the part that is refused.
fn print_table() {
    let mut last = "";
    for row in ptx_emulator::coverage() {
        if row.section != last {
            println!("{}{}", if last.is_empty() { "" } else { "\n" }, row.section);
            last = row.section;
        }
        match (row.forms.is_empty(), row.missing) {
            (true, _) => println!("  {:<24} refused", row.instruction),
            (false, "") => println!("  {:<24} runs", row.instruction),
            (false, missing) => println!("  {:<24} runs without {missing}", row.instruction),
        }
        row.forms.iter().for_each(|form| println!("      {form}"));
    }
}
