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

/// The fused multiply-add of a module.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fma {
    /// The exact operation in software, for the page.
    Exact,
    /// The processor's instruction, by relaxed SIMD, for a comparison of speeds.
    Relaxed,
}

/// Builds the module and returns it as text, base64 of gzip.
///
/// The pinned toolchain has no standard library for WebAssembly, so the library is built too.
pub fn build(root: &Path, fma: Fma) -> Result<String> {
    let (features, folder) = match fma {
        Fma::Exact => ("+simd128", "target/page"),
        Fma::Relaxed => ("+simd128,+relaxed-simd", "target/page-relaxed"),
    };
    let mut flags = remapped_paths(root)?;
    flags.push(format!("-Ctarget-feature={features}"));
    let target = root.join(folder);
    let status = Command::new("cargo")
        .current_dir(root)
        .args(["build", "--quiet", "--package", "page-wasm", "--lib", "--profile", "wasm"])
        .args(["--target", "wasm32-unknown-unknown", "-Zbuild-std=std,panic_abort", "--target-dir"])
        .arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        // Variables of an enclosing `cargo clippy` or `cargo test` would change the module.
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        // The page has no use for the GPU's kernels.
        .env("MICROGPT_PTX", "none")
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "cannot build the WebAssembly module: cargo ended with {status}");
    let module = target.join("wasm32-unknown-unknown/wasm/page_wasm.wasm");
    let wasm = fs::read(&module).with_context(|| format!("cannot read `{}`", module.display()))?;
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    gzip.write_all(&wasm)?;
    Ok(STANDARD.encode(gzip.finish()?))
}

/// Returns flags that keep local paths out of the module, so that its bytes depend on sources and toolchain alone.
fn remapped_paths(root: &Path) -> Result<Vec<String>> {
    let sysroot = Command::new("rustc").current_dir(root).args(["--print", "sysroot"]).output()?;
    let sysroot = String::from_utf8(sysroot.stdout)?;
    let cargo_home = env::var("CARGO_HOME").or_else(|_| env::var("HOME").map(|home| format!("{home}/.cargo")))?;
    let mut flags = vec![
        format!("--remap-path-prefix={}=/microgpt", root.display()),
        format!("--remap-path-prefix={cargo_home}=/cargo"),
        format!("--remap-path-prefix={}=/rust", sysroot.trim()),
    ];
    // The folder of a registry is named after its address. rustc applies the last prefix that fits, so the registries
    // come after Cargo's home.
    for registry in fs::read_dir(Path::new(&cargo_home).join("registry/src")).into_iter().flatten().flatten() {
        flags.push(format!("--remap-path-prefix={}=/registry", registry.path().display()));
    }
    Ok(flags)
}
