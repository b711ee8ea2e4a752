//! The kernels as a WebAssembly module.

use std::env;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};

/// How the module multiplies and adds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fma {
    /// Exactly, in software: the page's module.
    Exact,
    /// As the processor does, by relaxed SIMD: to compare with.
    Relaxed,
}

/// Builds the module and returns it as text: base64 of gzip.
///
/// The pinned toolchain has no standard library for WebAssembly, so that is built too. The bytes depend on the sources
/// and the toolchain alone: no path of this machine is in them.
pub fn build(root: &Path, fma: Fma) -> Result<String> {
    let home = |variable: &str, folder: &str| match env::var(variable) {
        Ok(path) => Ok(path),
        Err(_) => env::var("HOME").map(|home| format!("{home}/{folder}")),
    };
    let sysroot = Command::new("rustc").current_dir(root).args(["--print", "sysroot"]).output()?;
    let sysroot = String::from_utf8(sysroot.stdout)?;
    let cargo_home = home("CARGO_HOME", ".cargo")?;
    let (features, folder) = match fma {
        Fma::Exact => ("+simd128", "target/page"),
        Fma::Relaxed => ("+simd128,+relaxed-simd", "target/page-relaxed"),
    };
    let mut flags = vec![
        format!("-Ctarget-feature={features}"),
        format!("--remap-path-prefix={}=/microgpt", root.display()),
        format!("--remap-path-prefix={cargo_home}=/cargo"),
        format!("--remap-path-prefix={}=/rust", sysroot.trim()),
    ];
    // After the folder of all of them, since the last that fits counts. Their names tell registries apart.
    for registry in fs::read_dir(Path::new(&cargo_home).join("registry/src")).into_iter().flatten().flatten() {
        flags.push(format!("--remap-path-prefix={}=/registry", registry.path().display()));
    }
    let target = root.join(folder);
    let status = Command::new("cargo")
        .current_dir(root)
        .args(["build", "--quiet", "--package", "page-wasm", "--lib", "--profile", "wasm"])
        .args(["--target", "wasm32-unknown-unknown", "-Zbuild-std=std,panic_abort", "--target-dir"])
        .arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        // Of another build that this one may be part of.
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        // A page has no use for the GPU's kernels.
        .env("MICROGPT_PTX", "none")
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "the WebAssembly module does not build");
    let module = target.join("wasm32-unknown-unknown/wasm/page_wasm.wasm");
    let wasm = fs::read(&module).with_context(|| format!("cannot read `{}`", module.display()))?;
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    gzip.write_all(&wasm)?;
    Ok(STANDARD.encode(gzip.finish()?))
}
