//! The whole build script of a package whose library holds its own kernels.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::exit;

use crate::build::PtxBuild;
use crate::error::Error;
use crate::modules::LaunchBounds;

/// Compiles the library of the build script's package to PTX, and writes `kernels.rs` to `OUT_DIR`, an expression of
/// the type `&[(&str, &str)]` with the name and the PTX of each kernel. A launch has at most `BLOCK_THREADS` threads in
/// a block.
///
/// The library includes the expression everywhere but on the GPU:
///
/// ```ignore
/// #[cfg(not(target_arch = "nvptx64"))]
/// pub const PTX: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/kernels.rs"));
/// ```
///
/// rustc's own back end compiles the PTX, for the architecture in the environment variable `CUDA_ARCH`, by default 75.
/// With `PTX_COMPILER=none` the list is empty. An error ends the build with its text.
///
/// If `ptxas` is on the search path, or at the path in the environment variable `PTXAS`, the build prints a table of each
/// kernel's registers, spills, stack, shared memory and instructions, and after an edit the rows of which a value rose.
pub fn embed<const BLOCK_THREADS: usize>() {
    // The same script runs when the library is compiled to PTX.
    if env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "nvptx64") {
        return;
    }
    if let Err(error) = write::<BLOCK_THREADS>() {
        println!("cargo::error={}", error.to_string().replace('\n', "\ncargo::error="));
        exit(1);
    }
}

/// Compiles the kernels and writes `kernels.rs`.
fn write<const BLOCK_THREADS: usize>() -> Result<(), Error> {
    let variable =
        |name: &str| env::var(name).map_err(|error| Error(format!("{name}: {error}, expected cargo's value")));
    let (package, out_dir) = (variable("CARGO_PKG_NAME")?, PathBuf::from(variable("OUT_DIR")?));
    let build = PtxBuild {
        package: &package,
        manifest: "Cargo.toml",
        sources: &["src"],
        parts: &[],
        launch_bounds: |_| LaunchBounds { block_threads: BLOCK_THREADS, min_blocks: None },
        min_arch: 70,
        default_arch: 75,
        compiler_variable: "PTX_COMPILER",
        rust_cuda_workspace: None,
    };
    println!("cargo::rerun-if-env-changed=PTXAS");
    let ptx = build.compile()?;
    let kernels = ptx.as_ref().map_or(Ok("&[]".to_owned()), |ptx| ptx.write(&out_dir))?;
    if let Some(ptx) = ptx {
        for line in ptx.risen_costs(&out_dir.join("costs.txt"))?.lines() {
            println!("cargo::warning={line}");
        }
    }
    let path = out_dir.join("kernels.rs");
    fs::write(&path, kernels).map_err(Error::io("write", &path))
}
