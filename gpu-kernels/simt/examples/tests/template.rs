//! The template, copied to an empty folder as an author of kernels would, with the crates in their packaged form.
#![cfg(not(feature = "race-check"))]
#![allow(missing_docs)]

use std::env;
use std::fs;
use std::path::Path;
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

/// Returns a command of cargo in this folder, without the flags of the outer build.
fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(folder).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo
}

/// Packages the crates, and unpacks them in the folder `to`.
fn package(to: &Path) {
    let packages = ["microgpt-simt", "ptx-build", "ptx-emulator"];
    let mut cargo = cargo(env!("CARGO_MANIFEST_DIR").as_ref());
    cargo.args(["package", "--offline", "--no-verify", "--allow-dirty", "--target-dir"]).arg(to);
    cargo.args(packages.iter().flat_map(|package| ["--package", package]));
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for package in packages {
        let archive = to.join("package").join(format!("{package}-{}.crate", env!("CARGO_PKG_VERSION")));
        let status = Command::new("tar").arg("xzf").arg(archive).current_dir(to).status();
        assert!(status.expect("tar runs").success());
    }
}

/// Runs the tests of the package, and returns whether they pass, with their output.
fn test(package: &Path) -> (bool, String) {
    let mut cargo = cargo(package);
    cargo.args(["test", "--offline", "--test", "saxpy"]);
    let output = cargo.env("CARGO_TARGET_DIR", package.join("target")).output().expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

/// Runs the package's program with the driver in this folder, and returns what it writes.
#[cfg(target_os = "linux")]
fn run(package: &Path, driver: &Path) -> String {
    let mut cargo = cargo(package);
    cargo.args(["run", "--offline", "--quiet"]).env("CARGO_TARGET_DIR", package.join("target"));
    let output = cargo.env("LD_LIBRARY_PATH", driver).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_template_passes_its_test_and_finds_an_access_out_of_bounds() {
    let folder = tempfile::tempdir().expect("an empty folder");
    package(folder.path());
    let my_kernels = folder.path().join("my-kernels");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../template"), &my_kernels);
    let manifest = my_kernels.join("Cargo.toml");
    for (path, package) in
        [("..", "microgpt-simt"), ("../../ptx-build", "ptx-build"), ("../../ptx-emulator", "ptx-emulator")]
    {
        let unpacked = format!("path = \"../{package}-{}\"", env!("CARGO_PKG_VERSION"));
        replace(&manifest, &format!("path = \"{path}\""), &unpacked);
    }
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../host");
    replace(&manifest, "\"../../../host/", &format!("\"{}/", host.display()));
    let (passes, output) = test(&my_kernels);
    assert!(passes, "{output}");
    #[cfg(target_os = "linux")]
    {
        let driver = folder.path().join("driver");
        fs::create_dir(&driver).expect("the folder is made");
        // An empty library cannot be opened, as on a computer without the driver.
        fs::write(driver.join("libcuda.so.1"), "").expect("the file is written");
        let output = run(&my_kernels, &driver);
        assert!(output.contains("[2.5, 4.5, 6.5, 8.5, 10.5]") && output.contains("no GPU is used: "), "{output}");
        fs::copy(my_kernels.join("target/debug/deps/libptx_emulator.so"), driver.join("libcuda.so.1"))
            .expect("the emulated driver is copied");
        let output = run(&my_kernels, &driver);
        assert!(output.contains("[2.5, 4.5, 6.5, 8.5, 10.5]") && !output.contains("no GPU is used"), "{output}");
    }
    replace(&my_kernels.join("src/lib.rs"), "y.store_where(inside, i, sum)", "y.store_lanes(i, sum)");
    let (passes, output) = test(&my_kernels);
    assert!(!passes, "{output}");
    assert!(output.contains("access to elements 1003..1004 of `y`, expected a range within 0..1003"), "{output}");
}
