//! NVIDIA's assembler and disassembler, which say what the kernels cost without a GPU. The tests of kernels use this file
//! too.
//!
//! The programs `ptxas` and `nvdisasm` are taken from the search path, or from the environment variables `PTXAS` and
//! `NVDISASM`.
#![allow(dead_code, reason = "each user takes a part")]

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The resources of an assembled kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    /// The number of registers of a thread.
    pub registers: u32,
    /// The shared memory that the kernel declares, in bytes.
    pub shared: usize,
    /// The stack frame of a thread, in bytes.
    pub stack: usize,
    /// The size of the registers that a thread spills to its stack, in bytes.
    pub spill_stores: usize,
    /// The size of the spilled registers that a thread reloads from its stack, in bytes.
    pub spill_loads: usize,
}

impl Resources {
    /// Reads the log that `ptxas -v` prints for a kernel.
    ///
    /// # Errors
    /// If the log does not describe the kernel.
    pub fn parse(log: &str, kernel: &str) -> Result<Self, String> {
        let read = || {
            let (_, entry) = log.split_once(&format!("Compiling entry function '{kernel}' for"))?;
            let entry = entry.split("Compiling entry function").next()?;
            // An example is `Used 128 registers, used 1 barriers, 64 bytes smem`.
            let amount = |unit: &str| {
                let (before, _) = entry.split_once(unit)?;
                before.rsplit([' ', '\n']).next()?.parse::<usize>().ok()
            };
            Some(Self {
                registers: amount(" registers")? as u32,
                shared: amount(" bytes smem").unwrap_or(0),
                stack: amount(" bytes stack frame")?,
                spill_stores: amount(" bytes spill stores")?,
                spill_loads: amount(" bytes spill loads")?,
            })
        };
        read().ok_or_else(|| format!("the log of ptxas does not describe the kernel `{kernel}`:\n{log}"))
    }
}

/// The machine code of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineCode {
    /// The operation of each instruction, such as `LDS.128`, in order.
    pub operations: Vec<String>,
    /// The length in bytes.
    pub bytes: u64,
}

impl MachineCode {
    /// Reads the listing that `nvdisasm -c` prints for a module.
    ///
    /// # Errors
    /// If the listing has no such kernel.
    pub fn parse(listing: &str, kernel: &str) -> Result<Self, String> {
        let (_, code) = listing
            .split_once(&format!(".text.{kernel}:"))
            .ok_or_else(|| format!("the listing of nvdisasm has no kernel `{kernel}`"))?;
        let code = code.split(".section").next().unwrap_or(code);
        // An example is `/*0010*/ @P0 LDS.128 R4, [R2+0x10] ;`.
        let instructions = code.lines().filter_map(|line| line.trim_start().strip_prefix("/*")?.split_once("*/"));
        let mut bytes = 0;
        let operations = instructions.filter_map(|(address, instruction)| {
            // An instruction is sixteen bytes long.
            bytes = u64::from_str_radix(address, 16).ok()? + 16;
            instruction.split_whitespace().find(|word| !word.starts_with('@')).map(str::to_owned)
        });
        Ok(Self { operations: operations.collect(), bytes })
    }

    /// Returns the number of instructions whose operation has this name, with any modifiers. For example, `LDS` counts
    /// `LDS.128`.
    pub fn count(&self, name: &str) -> usize {
        self.operations.iter().filter(|operation| operation.split('.').next() == Some(name)).count()
    }
}

/// Assembles a module for an architecture such as 90, writes the machine code to the file `cubin`, and returns the
/// resources of this kernel. The PTX is written beside the file `cubin`, with the extension `ptx`.
///
/// # Errors
/// If a file cannot be written, or ptxas fails.
pub fn assemble(ptx: &str, kernel: &str, arch: u32, cubin: &Path) -> Result<Resources, String> {
    let source = cubin.with_extension("ptx");
    fs::write(&source, ptx).map_err(|error| format!("cannot write `{}`: {error}", source.display()))?;
    let arch = format!("sm_{arch}");
    let args = ["-v".as_ref(), "-arch".as_ref(), arch.as_ref(), source.as_os_str(), "-o".as_ref(), cubin.as_os_str()];
    Resources::parse(&run("PTXAS", "ptxas", &args)?, kernel)
}

/// Disassembles a kernel of the file `cubin`.
///
/// # Errors
/// If nvdisasm fails.
pub fn disassemble(cubin: &Path, kernel: &str) -> Result<MachineCode, String> {
    MachineCode::parse(&run("NVDISASM", "nvdisasm", &["-c".as_ref(), cubin.as_os_str()])?, kernel)
}

/// Returns whether ptxas can be run.
pub fn is_found() -> bool {
    run("PTXAS", "ptxas", &["--version".as_ref()]).is_ok()
}

/// Runs the tool that the environment variable `variable` names, by default `name`, and returns its output.
fn run(variable: &str, name: &str, args: &[&OsStr]) -> Result<String, String> {
    let mut tool = Command::new(env::var_os(variable).unwrap_or(name.into()));
    let output = tool.args(args).output();
    let hint = format!("put it on the search path or set {variable}");
    let output = output.map_err(|error| format!("{tool:?} fails: {error}; hint: {hint}"))?;
    let log = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(log) } else { Err(format!("{tool:?} fails: {log}")) }
}
