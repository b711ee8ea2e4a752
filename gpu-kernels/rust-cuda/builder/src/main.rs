//! The command `builder ARCH FILE`, which compiles `gpu-kernels` to PTX with Rust-CUDA's compiler,
//! `rustc_codegen_nvvm`. The crate `ptx-build` runs this command where LLVM 7 and libNVVM are found.

use std::env;
use std::path::Path;
use std::process::exit;

use cuda_builder::{CudaBuilder, NvvmArch};

fn main() {
    if let Err(error) = build() {
        eprintln!("error: {error}");
        exit(1);
    }
}

/// Compiles the kernels as the command line asks.
fn build() -> Result<(), String> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [arch, file] = &args[..] else {
        return Err(format!("expected two arguments, an architecture such as 75 and the PTX file, got {}", args.len()));
    };
    let nvvm_arch: NvvmArch =
        format!("compute_{arch}").parse().map_err(|_| format!("rustc_codegen_nvvm knows no architecture `{arch}`"))?;
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernels");
    // The kernels request each fused multiply-add explicitly. Contraction would make results differ between devices.
    let builder = CudaBuilder::new(kernels)
        .arch(nvvm_arch)
        .fma_contraction(false)
        .override_libm(false)
        .build_args(&["--locked"])
        .copy_to(file);
    builder.build().map(drop).map_err(|error| error.to_string())
}
