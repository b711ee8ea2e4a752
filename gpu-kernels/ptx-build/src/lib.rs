//! The step from Rust to PTX for a crate of kernels, inside the build script of the program that embeds the PTX.
//!
//! Two compilers can take this step. rustc's own NVPTX back end needs only the Rust target `nvptx64-nvidia-cuda`.
//! Rust-CUDA's `rustc_codegen_nvvm` needs LLVM 7 and libNVVM, and is preferred where both are found.
//!
//! The compiler's output is split into one module per kernel, so that the CUDA driver compiles only what a run needs.
//!
//! # A build script
//!
//! ```no_run
//! use std::path::PathBuf;
//!
//! use ptx_build::{LaunchBounds, PtxBuild};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let build = PtxBuild {
//!         package: "kernels",
//!         manifest: "kernels/Cargo.toml",
//!         sources: &["kernels/Cargo.lock", "kernels/src"],
//!         parts: &[],
//!         launch_bounds: |_kernel| LaunchBounds { block_threads: 256, min_blocks: None },
//!         min_arch: 70,
//!         default_arch: 75,
//!         compiler_variable: "MY_PTX",
//!         rust_cuda_workspace: None,
//!     };
//!     let out_dir = PathBuf::from(std::env::var("OUT_DIR")?);
//!     let kernels = build.compile()?.map_or(Ok("&[]".to_owned()), |ptx| ptx.write(&out_dir))?;
//!     // The program has `const KERNELS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/kernels.rs"));`.
//!     Ok(std::fs::write(out_dir.join("kernels.rs"), kernels)?)
//! }
//! ```
//!
//! A package whose library holds its own kernels needs no more than a call of [`embed`].
//!
//! # The kernels
//!
//! For rustc's back end, the package's library is `no_std`, defines a panic handler, and exports each kernel as
//! `#[unsafe(no_mangle)] pub unsafe extern "ptx-kernel" fn`. The library may depend on other crates. `tests/kernels` of
//! this package is an example. For Rust-CUDA, the caller provides a workspace that builds the same sources with
//! `cuda_builder` (see [`PtxBuild::rust_cuda_workspace`]).

#![deny(missing_docs)]

mod assembler;
mod build;
mod costs;
mod embed;
mod error;
pub mod modules;
pub mod offsets;
mod rust_cuda;

pub use build::{Ptx, PtxBuild};
pub use embed::embed;
pub use error::Error;
pub use modules::{LaunchBounds, Module};
pub use rust_cuda::Toolchain;
