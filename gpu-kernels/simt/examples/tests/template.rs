//! The template, copied to an empty folder as an author of kernels would.
#![cfg(not(feature = "race-check"))]
#![allow(missing_docs)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Copies a folder.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder is made");
    for entry in fs::read_dir(from).expect("the folder is read") {
        let (from, to) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).expect("the folder is read");
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("the file is copied");
        }
    }
}

/// Replaces a text that the file has.
fn replace(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).expect("the file is read");
    assert!(text.contains(from), "`{}` has no `{from}`", file.display());
    fs::write(file, text.replace(from, to)).expect("the file is written");
}

/// Runs the tests of the package, and returns whether they pass, with their output.
fn test(package: &Path) -> (bool, String) {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["test", "--offline", "--test", "saxpy"]).current_dir(package);
    cargo.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("template"));
    // The flags of the outer build are not those of an author's build.
    let output = cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").output().expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

#[test]
fn the_template_passes_its_test_and_finds_an_access_out_of_bounds() {
    let simt = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder").to_owned();
    let folder = tempfile::tempdir().expect("an empty folder");
    let package = folder.path().join("my-kernels");
    copy(&simt.join("template"), &package);
    let crates = simt.parent().expect("a folder");
    let manifest = package.join("Cargo.toml");
    // A TOML string takes slashes on every system.
    let path = |path: &Path| format!("path = \"{}", path.display().to_string().replace('\\', "/"));
    replace(&manifest, "path = \"../../", &format!("{}/", path(crates)));
    replace(&manifest, "path = \"..\"", &format!("{}\"", path(&simt)));
    let (passes, output) = test(&package);
    assert!(passes, "{output}");
    replace(&package.join("src/lib.rs"), "y.store_where(inside, i, sum)", "y.store_lanes(i, sum)");
    let (passes, output) = test(&package);
    assert!(!passes, "{output}");
    assert!(output.contains("access to elements 1003..1004 of `y`, expected a range within 0..1003"), "{output}");
}
