//! Compiles gpu-kernels to PTX with Rust-CUDA's compiler, `rustc_codegen_nvvm`: `builder ARCH FILE`.
//!
//! The repository's build.rs runs it where LLVM 7 and libNVVM are found.

use std::env;
use std::path::Path;
use std::process::ExitCode;

use cuda_builder::{CudaBuilder, NvvmArch};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [arch, file] = &arguments[..] else {
        eprintln!(
            "error: two arguments: the compute capability without its point, such as 75, and the file for the PTX"
        );
        return ExitCode::FAILURE;
    };
    let Ok(nvvm_arch) = format!("compute_{arch}").parse::<NvvmArch>() else {
        eprintln!("error: rustc_codegen_nvvm knows no architecture `{arch}`");
        return ExitCode::FAILURE;
    };
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernels");
    // A fused multiply-add stands where the kernels say so, and nowhere else: every machine computes the same bits.
    let builder = CudaBuilder::new(kernels)
        .arch(nvvm_arch)
        .fma_contraction(false)
        .override_libm(false)
        .build_args(&["--locked"])
        .copy_to(file);
    match builder.build() {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
