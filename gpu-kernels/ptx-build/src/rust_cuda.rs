//! Rust-CUDA's toolchain beside Rust's own, an LLVM 7 and a CUDA toolkit with libNVVM.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The environment variables on which [`Toolchain::find`] depends. The last three name a CUDA toolkit.
pub(crate) const VARIABLES: [&str; 5] = ["LLVM_CONFIG", "PATH", "CUDA_PATH", "CUDA_ROOT", "CUDA_TOOLKIT_ROOT_DIR"];

/// The folders where a CUDA toolkit may be. Rust-CUDA itself searches these folders and the variables of [`VARIABLES`].
const CUDA_FOLDERS: [&str; 3] = ["/usr/lib/cuda", "/usr/local/cuda", "/opt/cuda"];

/// The paths of the tools that Rust-CUDA's compiler needs beside the Rust toolchain.
#[derive(Clone, Debug)]
pub struct Toolchain {
    llvm_config: OsString,
    cuda: PathBuf,
}

impl Toolchain {
    /// Looks for the toolchain in an environment with these variables.
    ///
    /// # Errors
    /// If parts are missing. The error is a text that names them.
    pub fn find(environment: impl Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        match (llvm_config(&environment), cuda(&environment)) {
            (Ok(llvm_config), Ok(cuda)) => Ok(Self { llvm_config, cuda }),
            (llvm, cuda) => Err([llvm.err(), cuda.err()].into_iter().flatten().collect::<Vec<_>>().join("; ")),
        }
    }

    /// Prepares a run of the workspace's package `builder`, which compiles the kernels.
    pub(crate) fn prepare(&self, cargo: &mut Command, workspace: &str, target_dir: &Path) {
        let manifest = Path::new(workspace).join("Cargo.toml");
        cargo.args(["run", "--release", "--locked", "--package", "builder", "--manifest-path"]).arg(manifest).arg("--");
        cargo.env("CARGO_TARGET_DIR", target_dir.join("rust-cuda"));
        cargo.env("LLVM_CONFIG", &self.llvm_config).env("CUDA_PATH", &self.cuda);
        // The compiler is linked to libNVVM. The present value leads to the libraries of cargo and rustc.
        let present = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let present = env::split_paths(&present).filter(|path| !path.as_os_str().is_empty());
        let libraries = [self.cuda.join("nvvm/lib64")].into_iter().chain(present);
        cargo.env("LD_LIBRARY_PATH", env::join_paths(libraries).expect("no path of a search path has a colon"));
        // With these variables cuda_builder would behave as in a build script.
        for name in ["OUT_DIR", "PROFILE", "TARGET", "HOST"] {
            cargo.env_remove(name);
        }
    }
}

/// Returns the `llvm-config` of an LLVM 7.
fn llvm_config(environment: &impl Fn(&str) -> Option<OsString>) -> Result<OsString, String> {
    let default = || vec!["llvm-config-7".into(), "llvm-config".into()];
    let candidates = environment("LLVM_CONFIG").map_or_else(default, |path| vec![path]);
    let names: Vec<_> = candidates.iter().map(|path| format!("`{}`", path.display())).collect();
    let is_7 = |path: &OsString| {
        let output = Command::new(path).arg("--version").output();
        output.is_ok_and(|output| output.status.success() && output.stdout.starts_with(b"7."))
    };
    candidates.into_iter().find(is_7).ok_or(format!("no LLVM 7: {} does not report version 7", names.join(" or ")))
}

/// Returns the root of a CUDA toolkit with libNVVM.
fn cuda(environment: &impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, String> {
    let variables = &VARIABLES[2..];
    let named = variables.iter().filter_map(|name| environment(name)).map(PathBuf::from);
    let mut roots = named.chain(CUDA_FOLDERS.iter().map(PathBuf::from));
    let has = |root: &PathBuf, file: &str| root.join(file).is_file();
    let found = roots.find(|root| has(root, "include/cuda.h") && has(root, "nvvm/lib64/libnvvm.so"));
    let (variables, folders) = (variables.join(", "), CUDA_FOLDERS.join(", "));
    found.ok_or(format!("no CUDA toolkit with libNVVM: looked where {variables} point, and in {folders}"))
}
