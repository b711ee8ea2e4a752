//! Tests of the search for Rust-CUDA's toolchain, and of the error that names its missing parts.
#![allow(missing_docs)]
#![cfg(unix)]

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ptx_build::Toolchain;

/// Writes a program that reports this version of LLVM, and returns its path.
fn llvm_config(dir: &Path, version: &str) -> PathBuf {
    let path = dir.join("llvm-config");
    fs::write(&path, format!("#!/bin/sh\necho {version}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Creates the files by which a CUDA toolkit is recognised, and returns its folder.
fn cuda(dir: &Path) -> PathBuf {
    let root = dir.join("cuda");
    for file in ["include/cuda.h", "nvvm/lib64/libnvvm.so"] {
        let file = root.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }
    root
}

fn find(llvm_config: PathBuf, variable: &str, cuda: PathBuf) -> Result<Toolchain, String> {
    let variables = [("LLVM_CONFIG", OsString::from(llvm_config)), (variable, cuda.into())];
    Toolchain::find(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone()))
}

// All cases are in one test, because tests run in parallel threads. A child process that another thread starts may
// inherit the file of a program that is being written. Running that program then fails with ETXTBSY.
#[test]
fn the_toolchain_is_an_llvm_7_and_a_cuda_toolkit_with_libnvvm() {
    let dir = tempfile::tempdir().unwrap();
    for variable in ["CUDA_PATH", "CUDA_ROOT", "CUDA_TOOLKIT_ROOT_DIR"] {
        assert!(find(llvm_config(dir.path(), "7.1.0"), variable, cuda(dir.path())).is_ok(), "{variable}");
    }
    for version in ["14.0.6", "17.0.1"] {
        let path = llvm_config(dir.path(), version);
        let missing = find(path.clone(), "CUDA_PATH", cuda(dir.path())).err().unwrap();
        assert_eq!(missing, format!("no LLVM 7: `{}` does not report version 7", path.display()));
    }
    let missing = find(dir.path().join("none"), "CUDA_PATH", cuda(dir.path())).err().unwrap();
    assert!(missing.starts_with("no LLVM 7: "), "{missing}");
}
