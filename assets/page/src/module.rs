//! The kernels as a WebAssembly module, in two forms.
//!
//! A multiply-add is either the instruction of relaxed SIMD, which is fused on most processors, or a call of a function
//! that computes the exact result. Two modules would take half a megabyte of the page more. But the instruction and a
//! call have three bytes each, so the worker makes one form from the other, by a table of the instructions' places.

use std::env;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};
use wasmparser::{ExternalKind, Operator, Payload};

/// The function of the module that takes the place of the instruction `f32x4.relaxed_madd`.
const EXACT: &str = "exact_mul_add";

/// Builds the module and returns it as text, base64 of gzip, after a table.
///
/// The table is the number of its own bytes as a `u32`, then numbers in LEB128: the index of the function
/// `exact_mul_add`, and the gap from each instruction `f32x4.relaxed_madd` to the next one in bytes.
///
/// # Errors
/// If the module does not build, or has another instruction of relaxed SIMD.
pub fn build(root: &Path) -> Result<String> {
    let mut wasm = compile(root)?;
    let Relaxed { exact, multiply_adds, extrema } = relaxed(&wasm)?;
    for (place, strict) in extrema {
        wasm[place as usize..][..3].copy_from_slice(&strict);
    }
    ensure!(exact < 1 << 14, "the function `{EXACT}` has the index {exact}, which needs more than two bytes");
    let mut table = leb128(exact);
    let mut last = 0;
    for place in multiply_adds {
        table.extend(leb128((place - last) as u32));
        last = place;
    }
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    gzip.write_all(&(table.len() as u32).to_le_bytes())?;
    gzip.write_all(&table)?;
    gzip.write_all(&wasm)?;
    Ok(STANDARD.encode(gzip.finish()?))
}

/// Compiles the module with relaxed SIMD.
///
/// The pinned toolchain has no standard library for WebAssembly, so the library is built too.
fn compile(root: &Path) -> Result<Vec<u8>> {
    let mut flags = remapped_paths(root)?;
    flags.push("-Ctarget-feature=+simd128,+relaxed-simd".to_owned());
    let target = root.join("target/page");
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
    fs::read(&module).with_context(|| format!("cannot read `{}`", module.display()))
}

/// The instructions of relaxed SIMD in a module, by their offsets.
struct Relaxed {
    /// The index of the function that takes the place of a multiply-add.
    exact: u32,
    /// The multiply-adds, in ascending order.
    multiply_adds: Vec<u64>,
    /// The minima and maxima, each with the bytes of a strict instruction. LLVM takes the relaxed ones only for operands
    /// that give the same result in all of their variants, and the strict instruction is one of these.
    extrema: Vec<(u64, [u8; 3])>,
}

/// Finds the instructions of relaxed SIMD in a module.
///
/// # Errors
/// If there are others than multiply-adds, minima and maxima.
fn relaxed(wasm: &[u8]) -> Result<Relaxed> {
    let (mut exact, mut multiply_adds, mut extrema) = (None, Vec::new(), Vec::new());
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    if export.name == EXACT && export.kind == ExternalKind::Func {
                        exact = Some(export.index);
                    }
                }
            }
            Payload::CodeSectionEntry(function) => {
                for instruction in function.get_operators_reader()?.into_iter_with_offsets() {
                    let (operator, offset) = instruction?;
                    match operator {
                        Operator::F32x4RelaxedMadd => multiply_adds.push(offset),
                        // The bytes are those of `f32x4.pmin`, `f32x4.pmax`, `f64x2.pmin` and `f64x2.pmax`.
                        Operator::F32x4RelaxedMin => extrema.push((offset, [0xfd, 0xea, 0x01])),
                        Operator::F32x4RelaxedMax => extrema.push((offset, [0xfd, 0xeb, 0x01])),
                        Operator::F64x2RelaxedMin => extrema.push((offset, [0xfd, 0xf6, 0x01])),
                        Operator::F64x2RelaxedMax => extrema.push((offset, [0xfd, 0xf7, 0x01])),
                        other => ensure!(!format!("{other:?}").contains("Relaxed"), "the module has {other:?}"),
                    }
                }
            }
            _ => {}
        }
    }
    let exact = exact.with_context(|| format!("the module has no function `{EXACT}`"))?;
    Ok(Relaxed { exact, multiply_adds, extrema })
}

/// Returns a number in LEB128.
fn leb128(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
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
