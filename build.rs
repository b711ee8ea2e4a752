//! The build script of `host`, which compiles `gpu-kernels` to PTX for `host` to embed, and reports it in one line.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, exit};

use ptx_build::{LaunchBounds, Ptx, PtxBuild};

/// The kernels of `gpu-kernels`, and how they are compiled.
const KERNELS: PtxBuild = PtxBuild {
    package: "gpu-kernels",
    manifest: "../Cargo.toml",
    sources: &[
        "../Cargo.lock",
        "../rust-toolchain.toml",
        "../gpu-kernels/Cargo.toml",
        "../gpu-kernels/src",
        "../gpu-kernels/simt/Cargo.toml",
        "../gpu-kernels/simt/src",
        "../gpu-kernels/rust-cuda/Cargo.toml",
        "../gpu-kernels/rust-cuda/Cargo.lock",
        "../gpu-kernels/rust-cuda/builder",
        "../gpu-kernels/rust-cuda/kernels",
        "../gpu-kernels/rust-cuda/simt",
    ],
    // `entry/gpu.rs` assigns each kernel to one of these parts.
    parts: &["documents", "models", "tiled"],
    launch_bounds: |kernel| LaunchBounds {
        block_threads: 32 * simt::GPU_WARPS,
        // One model is trained in one block, which may take all registers. Shapes known at run time and the tiled executor
        // would spill into local memory if a multiprocessor had to hold two of their blocks, but its products fit. Evaluation
        // and samples of the default shape fit twice. To hold three blocks, ptxas would spill registers of Rust-CUDA's samples.
        min_blocks: match kernel {
            "evaluate" | "generate" => Some(2),
            _ => ["train", "evaluate_", "generate_", "tiled_attention", "tiled_rows"]
                .iter()
                .any(|name| kernel.starts_with(name))
                .then_some(1),
        },
    },
    // `ld.acquire` needs sm_70 (PTX ISA, `ld`).
    min_arch: 70,
    // This is the oldest architecture that today's CUDA supports.
    default_arch: 75,
    compiler_variable: "MICROGPT_PTX",
    rust_cuda_workspace: Some("../gpu-kernels/rust-cuda"),
};

fn main() {
    if let Err(error) = build() {
        println!("cargo::error={}", error.to_string().replace('\n', "\ncargo::error="));
        exit(1);
    }
}

/// Compiles the kernels, writes `ptx.rs` for `host` to include, and sets `MICROGPT_BUILD` for `--version`.
fn build() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=../build.rs");
    // NVIDIA's driver exists only for Linux and Windows.
    let has_driver = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| ["linux", "windows"].contains(&os.as_str()));
    let has_gpus = has_driver && env::var_os("CARGO_FEATURE_CUDA").is_some();
    println!("cargo::rustc-check-cfg=cfg(cuda)");
    if has_gpus {
        println!("cargo::rustc-cfg=cuda");
    }
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    let ptx = if has_gpus { KERNELS.compile()? } else { None };
    let mut embedded = "None".to_owned();
    let summary = match &ptx {
        Some(ptx @ Ptx { arch, compiler, .. }) => {
            let kernels = ptx.write(&out_dir)?;
            embedded = format!("Some(Ptx {{ arch: {arch}, compiler: {compiler:?}, kernels: {kernels} }})");
            format!("PTX for sm_{arch} by {compiler}")
        }
        None if has_gpus => "no PTX: MICROGPT_PTX=none".to_owned(),
        None if has_driver => "no PTX: built without the feature `cuda`".to_owned(),
        None => "no PTX: NVIDIA's driver needs Linux or Windows".to_owned(),
    };
    fs::write(out_dir.join("ptx.rs"), embedded)?;
    println!("cargo::warning={summary}");

    let version = Command::new(env::var_os("RUSTC").expect("cargo sets RUSTC")).arg("--version").output()?;
    let version = String::from_utf8_lossy(&version.stdout);
    let target = env::var("TARGET")?;
    println!("cargo::rustc-env=MICROGPT_BUILD={} ({}, {target}; {summary})", env!("CARGO_PKG_VERSION"), version.trim());
    Ok(())
}
