//! The build script of `host`: what `microgpt --version` says of the build.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=../build.rs");
    println!("cargo::rerun-if-changed=../rust-toolchain.toml");
    let rustc = env::var_os("RUSTC").expect("cargo sets RUSTC");
    let version = Command::new(rustc).arg("--version").output().expect("rustc runs");
    let version = String::from_utf8_lossy(&version.stdout);
    let target = env::var("TARGET").expect("cargo sets TARGET");
    println!("cargo::rustc-env=MICROGPT_BUILD={} ({}, {target})", env!("CARGO_PKG_VERSION"), version.trim());
}
