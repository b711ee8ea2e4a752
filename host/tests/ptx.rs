//! The embedded PTX, tested without a GPU. The PTX is complete, and its kernels take the structs that the host passes.
//! NVIDIA's assembler must turn the PTX into the machine code that the kernels were written for.
//!
//! The tests of the assembler are ignored by default, because they need `ptxas` and `nvdisasm`. Both are found on the
//! search path, or by the variables `PTXAS` and `NVDISASM`. `.ci/run` installs both.
#![allow(missing_docs)]
#![cfg(cuda)]

#[path = "../../gpu-kernels/ptx-build/src/assembler.rs"]
mod ptxas;

use std::path::{Path, PathBuf};

use gpu_kernels::evaluate::EvaluateArgs;
use gpu_kernels::generate::GenerateArgs;
use gpu_kernels::part::{AddArgs, BatchLaunchArgs};
use gpu_kernels::tiled::launch::{PhaseArgs as TiledPhaseArgs, ProductsArgs};
use gpu_kernels::train::TrainModelsArgs;
use microgpt::device::cuda::{DECLARED_SHARED, PTX};
use ptxas::{MachineCode, Resources, assemble, disassemble};
use rayon::prelude::*;
use simt::GPU_WARPS;

/// The kernels that the host launches, by their names for the default shape, with the sizes of their arguments.
const KERNELS: [(&str, usize); 4] = [
    ("train", size_of::<TrainModelsArgs>()),
    ("train_batch", size_of::<BatchLaunchArgs>()),
    ("evaluate", size_of::<EvaluateArgs>()),
    ("generate", size_of::<GenerateArgs>()),
];

/// The kernels of the tiled executor, and the addition of gradients, with the sizes of their arguments.
const TILED: [(&str, usize); 6] = [
    ("tiled_forward", size_of::<ProductsArgs>()),
    ("tiled_backward", size_of::<ProductsArgs>()),
    ("tiled_attention", size_of::<TiledPhaseArgs>()),
    ("tiled_attention_global", size_of::<TiledPhaseArgs>()),
    ("tiled_rows", size_of::<TiledPhaseArgs>()),
    ("add", size_of::<AddArgs>()),
];

/// The kernels that divide by `Warp::divide`.
const DIVIDING: [&str; 2] = ["train", "train_batch"];

fn kernels() -> &'static [(&'static str, &'static str)] {
    PTX.expect("a build with PTX: unset MICROGPT_PTX").kernels
}

fn ptx(kernel: &str) -> &'static str {
    kernels().iter().find(|(name, _)| *name == kernel).unwrap_or_else(|| panic!("no kernel `{kernel}`")).1
}

#[test]
fn every_kernel_exists_and_takes_the_struct_that_the_host_passes() {
    let fused = KERNELS
        .into_iter()
        .flat_map(|(kernel, size)| ["", "_shared", "_global"].map(|suffix| (format!("{kernel}{suffix}"), size)));
    for (name, size) in fused.chain(TILED.map(|(kernel, size)| (kernel.to_owned(), size))) {
        let param = format!("\t.param .align 8 .b8 {name}_param_0[{size}]");
        let head = format!(".visible .entry {name}(\n{param}\n)\n.maxntid {}, 1, 1\n", 32 * GPU_WARPS);
        let ptx = ptx(&name);
        assert!(ptx.contains(&head), "`{name}` has no parameter of {size} bytes");
        assert_eq!(ptx.matches(".visible .entry").count(), 1, "`{name}` stands alone");
    }
}

#[test]
fn the_modules_are_complete_and_round_as_ieee_754_does() {
    for (kernel, ptx) in kernels() {
        for line in ptx.lines() {
            assert!(!line.starts_with(".extern .func") && !line.contains("call"), "{kernel}: {line}");
            // Approximations, flushed denormals and double precision would give other bits than the CPU. The estimate of
            // `Warp::divide` does not, because `quotient_from_estimate` corrects it.
            if DIVIDING.contains(kernel) && line.trim_start().starts_with("rcp.approx.ftz.f32") {
                continue;
            }
            assert!(!line.contains(".approx") && !line.contains(".ftz") && !line.contains(".f64"), "{kernel}: {line}");
        }
    }
}

/// Assembles a kernel's module for this architecture, and returns its resources and the file of its machine code in
/// `dir`.
fn assembled(dir: &Path, kernel: &str, arch: u32) -> (Resources, PathBuf) {
    let cubin = dir.join(format!("{kernel}.sm_{arch}.cubin"));
    (assemble(ptx(kernel), kernel, arch, &cubin).unwrap(), cubin)
}

/// Assembles and disassembles a kernel of the default shape for `sm_90`.
fn disassembled(kernel: &str) -> (Resources, MachineCode) {
    let dir = tempfile::tempdir().unwrap();
    let (resources, cubin) = assembled(dir.path(), kernel, 90);
    (resources, disassemble(&cubin, kernel).unwrap())
}

#[test]
#[ignore = "needs ptxas: see the head of this file"]
fn the_assembler_accepts_all_kernels_and_none_needs_a_stack() {
    let dir = tempfile::tempdir().unwrap();
    let runs: Vec<_> =
        [75, 90, 120].into_iter().flat_map(|arch| kernels().iter().map(move |(kernel, _)| (arch, kernel))).collect();
    // The kernels are assembled in parallel, because each kernel for run-time shapes takes seconds.
    runs.into_par_iter().for_each(|(arch, kernel)| {
        let (Resources { stack, spill_stores, spill_loads, .. }, _) = assembled(dir.path(), kernel, arch);
        println!(
            "{kernel} for sm_{arch}: {stack} bytes stack, {spill_stores} stored and {spill_loads} loaded by spills"
        );
        assert_eq!(stack, 0, "the stack of `{kernel}` for sm_{arch} in bytes");
    });
}

#[test]
#[ignore = "needs ptxas and nvdisasm: see the head of this file"]
fn the_default_kernels_name_the_space_of_every_access() {
    for (kernel, _) in KERNELS {
        let (_, code) = disassembled(kernel);
        let [lds, sts, ldg, stg] = ["LDS", "STS", "LDG", "STG"].map(|name| code.count(name));
        println!("{kernel}: {} instructions, LDS {lds}, STS {sts}, LDG {ldg}, STG {stg}", code.operations.len());
        assert!(lds > 100 && sts > 40, "`{kernel}` works in shared memory");
        for generic in ["LD", "ST"] {
            assert_eq!(code.count(generic), 0, "`{kernel}` has {generic}");
        }
    }
}

#[test]
#[ignore = "needs ptxas: see the head of this file"]
fn the_default_kernels_declare_no_more_shared_memory_than_the_host_leaves_them() {
    let dir = tempfile::tempdir().unwrap();
    for (kernel, _) in KERNELS {
        let (Resources { shared, .. }, _) = assembled(dir.path(), kernel, 90);
        assert!(shared <= DECLARED_SHARED, "`{kernel}` declares {shared} bytes");
    }
}

/// Prints a table row for each kernel, to compare compilers. The columns are the compiler of this build, the registers
/// of a thread, the instructions, the declared shared memory, and the size of the machine code.
#[test]
#[ignore = "needs ptxas and nvdisasm: see the head of this file"]
fn every_default_kernel_has_more_than_500_instructions() {
    let compiler = PTX.expect("a build with PTX: unset MICROGPT_PTX").compiler;
    for (kernel, _) in KERNELS {
        let (Resources { registers, shared, .. }, code) = disassembled(kernel);
        let instructions = code.operations.len() - code.count("NOP");
        println!("| `{kernel}` | {compiler} | {registers} | {instructions} | {shared} | {} |", code.bytes);
        assert!(
            instructions > 500 && code.bytes >= 16 * instructions as u64,
            "`{kernel}`: {instructions} instructions"
        );
    }
}
