//! The PTX, without a GPU: that it is whole and takes what the host passes, and that NVIDIA's assembler makes of it what the
//! kernels were written for.
//!
//! The tests of the assembler are ignored unless asked for, and need `ptxas` and `nvdisasm` on the path (or where the variables
//! `PTXAS` and `NVDISASM` say); `.ci/run` fetches both.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use gpu_kernels::args::{BatchArgs, EvaluateArgs, GenerateArgs, ReplicasArgs};
use gpu_kernels::shape::GPU_WARPS;
use microgpt::device::cuda::{DECLARED_SHARED, PTX};
use rayon::prelude::*;

const KERNELS: [(&str, usize); 4] = [
    ("train", size_of::<ReplicasArgs>()),
    ("train_batch", size_of::<BatchArgs>()),
    ("evaluate", size_of::<EvaluateArgs>()),
    ("generate", size_of::<GenerateArgs>()),
];

fn kernels() -> &'static [(&'static str, &'static str)] {
    PTX.expect("a build with PTX: unset MICROGPT_PTX").kernels
}

fn ptx(kernel: &str) -> &'static str {
    kernels().iter().find(|(name, _)| *name == kernel).unwrap_or_else(|| panic!("no kernel `{kernel}`")).1
}

#[test]
fn every_kernel_is_there_and_takes_the_struct_that_the_host_passes() {
    assert_eq!(kernels().len(), 3 * KERNELS.len());
    for (kernel, size) in KERNELS {
        for name in ["", "_shared", "_global"].map(|suffix| format!("{kernel}{suffix}")) {
            let param = format!("\t.param .align 8 .b8 {name}_param_0[{size}]");
            let head = format!(".visible .entry {name}(\n{param}\n)\n.maxntid {}, 1, 1\n", 32 * GPU_WARPS);
            let ptx = ptx(&name);
            assert!(ptx.contains(&head), "`{name}` has no parameter of {size} bytes");
            assert_eq!(ptx.matches(".visible .entry").count(), 1, "`{name}` stands alone");
        }
    }
}

#[test]
fn the_modules_are_whole() {
    for (kernel, ptx) in kernels() {
        for line in ptx.lines() {
            assert!(!line.starts_with(".extern .func") && !line.contains("call"), "{kernel}: {line}");
            // What is only nearly right, or not the same everywhere.
            assert!(!line.contains(".approx") && !line.contains(".ftz") && !line.contains(".f64"), "{kernel}: {line}");
        }
    }
}

/// Runs a tool of NVIDIA's.
fn tool(variable: &str, name: &str, args: &[&str]) -> String {
    let program = env::var(variable).unwrap_or_else(|_| name.to_owned());
    let output = Command::new(&program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("cannot run `{program}`: {error}; put it on the path or set {variable}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{program} {}` fails:\n{text}", args.join(" "));
    text
}

/// What the assembler says of a kernel's module for this architecture, and the machine code in a file of `dir`.
fn assemble(dir: &Path, kernel: &str, arch: &str) -> (String, String) {
    let (source, cubin) = (dir.join(format!("{kernel}.{arch}.ptx")), dir.join(format!("{kernel}.{arch}.cubin")));
    fs::write(&source, ptx(kernel)).unwrap();
    let (source, cubin) = (source.to_str().unwrap(), cubin.to_str().unwrap().to_owned());
    (tool("PTXAS", "ptxas", &["-v", "-arch", arch, source, "-o", &cubin]), cubin)
}

/// The words after `Function properties for NAME`: stack and spills.
fn properties<'a>(log: &'a str, kernel: &str) -> &'a str {
    let at = log.find(&format!("'{kernel}' for")).or_else(|| log.find(&format!("for {kernel}\n")));
    let log = &log[at.unwrap_or_else(|| panic!("the assembler does not name `{kernel}`:\n{log}"))..];
    log.lines().find(|line| line.contains("stack frame")).unwrap_or_else(|| panic!("no stack frame in:\n{log}")).trim()
}

/// Rust-CUDA's compiler keeps the samples that a warp works on in local memory.
fn keeps_samples_in_local_memory(kernel: &str) -> bool {
    kernel == "generate" && PTX.expect("checked by `kernels`").compiler.contains("nvvm")
}

#[test]
#[ignore = "needs ptxas: see the head of this file"]
fn the_assembler_takes_all_kernels_and_train_needs_no_stack() {
    let dir = tempfile::tempdir().unwrap();
    let archs = ["sm_75", "sm_90", "sm_120"];
    // The run-time-shape kernels take the assembler seconds each.
    let runs: Vec<_> =
        archs.into_iter().flat_map(|arch| kernels().iter().map(move |(kernel, _)| (arch, kernel))).collect();
    runs.into_par_iter().for_each(|(arch, kernel)| {
        let (log, _) = assemble(dir.path(), kernel, arch);
        let properties = properties(&log, kernel);
        println!("{kernel} for {arch}: {properties}");
        if KERNELS.iter().any(|(default, _)| default == kernel) && !keeps_samples_in_local_memory(kernel) {
            let clean = "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads";
            assert_eq!(properties, clean, "`{kernel}` for {arch}");
        }
    });
}

/// The operations of a kernel's machine code, such as `LDS.128`, and its size in bytes.
fn machine_code(cubin: &str, kernel: &str) -> (Vec<String>, u64) {
    let sass = tool("NVDISASM", "nvdisasm", &["-c", cubin]);
    let code = sass.split(&format!(".text.{kernel}:")).nth(1).expect("the kernel's code");
    let code = code.split(".section").next().unwrap_or(code);
    // `/*0010*/ @P0 LDS.128 R4, [R2+0x10] ;`
    let instructions = code.lines().filter_map(|line| line.trim_start().strip_prefix("/*")?.split_once("*/"));
    let mut end = 0;
    let operations = instructions.filter_map(|(address, instruction)| {
        // An instruction is sixteen bytes long.
        end = u64::from_str_radix(address, 16).ok()? + 16;
        let operation = instruction.split_whitespace().find(|word| !word.starts_with('@'))?;
        Some(operation.to_owned())
    });
    (operations.collect(), end)
}

#[test]
#[ignore = "needs ptxas and nvdisasm: see the head of this file"]
fn the_default_kernels_name_the_space_of_every_access() {
    let dir = tempfile::tempdir().unwrap();
    for (kernel, _) in KERNELS {
        let (_, cubin) = assemble(dir.path(), kernel, "sm_90");
        let (operations, _) = machine_code(&cubin, kernel);
        let count =
            |name: &str| operations.iter().filter(|operation| operation.split('.').next() == Some(name)).count();
        println!(
            "{kernel}: {} instructions, LDS {}, STS {}, LDG {}, STG {}",
            operations.len(),
            count("LDS"),
            count("STS"),
            count("LDG"),
            count("STG")
        );
        assert!(count("LDS") > 100 && count("STS") > 40, "`{kernel}` works in shared memory");
        for generic in ["LD", "ST"] {
            assert!(count(generic) == 0 || keeps_samples_in_local_memory(kernel), "`{kernel}` has {generic}");
        }
    }
}

/// The README's rows for the compiler that this build took: a kernel, its registers a thread, its instructions, the shared memory
/// that it takes without being asked to, the size of its machine code.
#[test]
#[ignore = "needs ptxas and nvdisasm: see the head of this file"]
fn comparison_of_the_compilers() {
    let dir = tempfile::tempdir().unwrap();
    for (kernel, _) in KERNELS {
        let (log, cubin) = assemble(dir.path(), kernel, "sm_90");
        let used = log.lines().find(|line| line.contains("Used")).unwrap_or_else(|| panic!("no registers in:\n{log}"));
        // `ptxas info : Used 128 registers, used 1 barriers, 64 bytes smem`
        let before = |unit: &str| {
            let words: Vec<&str> = used.split([' ', ',']).collect();
            words.windows(2).find(|pair| pair[1] == unit).map_or("0", |pair| pair[0])
        };
        let shared = used.split(", ").find_map(|part| part.strip_suffix(" bytes smem")).unwrap_or("0");
        // What the host leaves for it beside what a launch asks for.
        assert!(shared.parse::<usize>().unwrap() <= DECLARED_SHARED, "{used}");
        let (operations, bytes) = machine_code(&cubin, kernel);
        let instructions = operations.iter().filter(|&operation| operation != "NOP").count();
        let compiler = PTX.expect("checked by `kernels`").compiler;
        println!("| `{kernel}` | {compiler} | {} | {instructions} | {shared} | {bytes} |", before("registers"));
        assert!(instructions > 500 && bytes >= 16 * instructions as u64, "`{kernel}` has code");
    }
}
