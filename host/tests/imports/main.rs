//! The structure of the repository, in which imports run one way, inside each crate and between crates.
//!
//! The tests read every `use` and every path that begins with `crate`, `self` or `super`, and resolve each path to the
//! deepest module that has a file of its own. Paths inside macro calls stay unread.
#![allow(missing_docs)]

mod graph;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use graph::Crate;

/// The source folder of each crate.
const CRATES: [&str; 9] = [
    "gpu-kernels/simt/src",
    "gpu-kernels/src",
    "gpu-kernels/ptx-build/src",
    "gpu-kernels/ptx-emulator/src",
    "host/cuda-driver/src",
    "host/reference/src",
    "host/src",
    "assets/page/src",
    "assets/page/wasm/src",
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host lies in the repository").to_owned()
}

fn read(source: &str) -> Crate {
    Crate::read(&repository().join(source))
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    for source in CRATES {
        let circles = read(source).circles();
        assert!(circles.is_empty(), "{source}: these files import each other in a circle: {circles:#?}");
    }
}

#[test]
fn the_library_never_imports_the_command_line() {
    let is_cli = |file: &str| file == "main.rs" || file == "cli.rs" || file.starts_with("cli/");
    for (from, to) in read("host/src").edges() {
        assert!(is_cli(&from) || !is_cli(&to) || from == "lib.rs", "host/src/{from} imports host/src/{to}");
    }
}

/// Returns the crates that a source imports, the standard library excluded.
fn imported_crates(source: &str) -> BTreeSet<String> {
    read(source).crates().into_iter().filter(|name| !["std", "core", "alloc"].contains(&&**name)).collect()
}

/// Returns the names in a manifest's table `[dependencies]`.
fn dependencies(package: &str) -> Vec<String> {
    let manifest = fs::read_to_string(repository().join(package).join("Cargo.toml")).expect("the manifest is there");
    let section = manifest.split("[dependencies]").nth(1).unwrap_or_default();
    let lines = section.lines().skip(1).take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned())).collect()
}

#[test]
fn the_reference_imports_nothing() {
    assert_eq!(imported_crates("host/reference/src"), BTreeSet::new());
    assert_eq!(dependencies("host/reference"), [""; 0]);
}

#[test]
fn simt_imports_no_kernel() {
    // `cuda_std` is Rust-CUDA's library. `simt` imports it only under the feature `rust-cuda`.
    assert_eq!(imported_crates("gpu-kernels/simt/src"), BTreeSet::from(["cuda_std".to_owned()]));
    assert_eq!(dependencies("gpu-kernels/simt"), [""; 0]);
}

#[test]
fn the_kernels_import_simt_alone() {
    let crates = imported_crates("gpu-kernels/src");
    assert_eq!(crates, ["rand_xoshiro", "simt"].map(str::to_owned).into());
}

#[test]
fn the_build_step_and_the_emulator_know_nothing_of_microgpt() {
    for source in ["gpu-kernels/ptx-build/src", "gpu-kernels/ptx-emulator/src"] {
        for (file, text) in read(source).texts() {
            assert!(!text.to_lowercase().contains("microgpt"), "{source}/{file} mentions microgpt");
        }
    }
}

#[test]
fn a_circle_and_an_import_of_the_command_line_are_found() {
    let planted = tempfile::tempdir().expect("a folder for the planted crate");
    for (file, text) in [
        ("lib.rs", "mod a; mod b; mod c; mod cli;"),
        ("a.rs", "use crate::b::inner::B;"),
        ("b/mod.rs", "pub mod inner;"),
        ("b/inner.rs", "pub struct B; fn f() -> crate::c::C { super::super::c::g() }"),
        ("c.rs", "mod d { use super::super::a; }"),
        ("cli.rs", "use std::io; use serde::Serialize;"),
    ] {
        let path = planted.path().join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    let planted = Crate::read(planted.path());
    assert_eq!(planted.circles(), [["a.rs", "b/inner.rs", "c.rs"]]);
    assert_eq!(planted.crates(), BTreeSet::from(["serde".to_owned(), "std".to_owned()]));
    assert!(planted.edges().contains(&("b/inner.rs".to_owned(), "c.rs".to_owned())));
}
