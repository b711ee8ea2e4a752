//! The subcommand `coverage`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use ptx_emulator::{DeviceProperties, Gpu};

use super::{Error, read};

/// Prints the instructions of the PTX ISA with the forms that run, or counts the instructions of a module.
pub fn coverage(file: Option<&Path>, out: &mut impl Write) -> Result<ExitCode, Error> {
    let Some(file) = file else {
        write_table(out)?;
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
        writeln!(out, "{count:>8}  {mnemonic}")?;
    }
    for kernel in kernels {
        if let Some(error) = &kernel.unsupported {
            writeln!(out, "kernel `{}` is not supported: {error}", kernel.name)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the instructions by section, each with its forms and with the part that is refused.
fn write_table(out: &mut impl Write) -> io::Result<()> {
    let mut last = "";
    for row in ptx_emulator::coverage() {
        if row.section != last {
            writeln!(out, "{}{}", if last.is_empty() { "" } else { "\n" }, row.section)?;
            last = row.section;
        }
        match (row.forms.is_empty(), row.missing) {
            (true, _) => writeln!(out, "  {:<24} refused", row.instruction)?,
            (false, "") => writeln!(out, "  {:<24} runs", row.instruction)?,
            (false, missing) => writeln!(out, "  {:<24} runs without {missing}", row.instruction)?,
        }
        for form in &row.forms {
            writeln!(out, "      {form}")?;
        }
    }
    Ok(())
}
