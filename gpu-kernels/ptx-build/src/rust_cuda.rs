//! Rust-CUDA's toolchain beside Rust's own: an LLVM 7 and a CUDA toolkit with libNVVM.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{Run, cargo};

/// The variables that name a CUDA toolkit, and the folders where one may be. Rust-CUDA itself looks at the same ones.
const CUDA_VARIABLES: [&str; 3] = ["CUDA_PATH", "CUDA_ROOT", "CUDA_TOOLKIT_ROOT_DIR"];
const CUDA_FOLDERS: [&str; 3] = ["/usr/lib/cuda", "/usr/local/cuda", "/opt/cuda"];

/// The environment variables on which [`Toolchain::find`] depends.
pub(crate) const VARIABLES: [&str; 5] =
    ["LLVM_CONFIG", "PATH", CUDA_VARIABLES[0], CUDA_VARIABLES[1], CUDA_VARIABLES[2]];

/// The folder of libNVVM in a CUDA toolkit.
const LIBNVVM: &str = "nvvm/lib64";

/// The paths of what Rust-CUDA's compiler needs beside the Rust toolchain.
#[derive(Clone, Debug)]
pub struct Toolchain {
    llvm_config: OsString,
    cuda: PathBuf,
}

impl Toolchain {
    /// Looks for the toolchain in an environment with these variables.
    ///
    /// # Errors
    /// A text that names the missing parts.
    pub fn find(environment: impl Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        match (llvm_config(&environment), cuda(&environment)) {
            (Ok(llvm_config), Ok(cuda)) => Ok(Self { llvm_config, cuda }),
            (Ok(_), Err(missing)) | (Err(missing), Ok(_)) => Err(missing),
            (Err(llvm), Err(cuda)) => Err(format!("{llvm}; {cuda}")),
        }
    }

    /// Returns the run of the workspace's package `builder`, which compiles the kernels.
    pub(crate) fn run(&self, workspace: &str, arch: u32, target_dir: &Path) -> Run {
        let ptx = target_dir.join("ptx").join(format!("sm_{arch}-rust-cuda.ptx"));
        let mut cargo = cargo();
        cargo.args(["run", "--release", "--locked", "--package", "builder", "--manifest-path"]);
        cargo.arg(Path::new(workspace).join("Cargo.toml")).arg("--").arg(arch.to_string()).arg(&ptx);
        cargo.env("CARGO_TARGET_DIR", target_dir.join("rust-cuda"));
        cargo.env("LLVM_CONFIG", &self.llvm_config).env("CUDA_PATH", &self.cuda);
        // The compiler is linked to libNVVM. The same variable leads to the libraries of cargo and rustc.
        let present = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let present = env::split_paths(&present).filter(|path| !path.as_os_str().is_empty());
        let libraries = [self.cuda.join(LIBNVVM)].into_iter().chain(present);
        cargo.env("LD_LIBRARY_PATH", env::join_paths(libraries).expect("no path of a search path has a colon"));
        // With these variables cuda_builder would behave as in a build script.
        for name in ["OUT_DIR", "PROFILE", "TARGET", "HOST"] {
            cargo.env_remove(name);
        }
        Run { cargo, ptx }
    }
}

/// Returns the `llvm-config` of an LLVM 7.
fn llvm_config(environment: &impl Fn(&str) -> Option<OsString>) -> Result<OsString, String> {
    let candidates = match environment("LLVM_CONFIG") {
        Some(path) => vec![path],
        None => vec!["llvm-config-7".into(), "llvm-config".into()],
    };
    let is_7 = |path: &OsString| {
        let output = Command::new(path).arg("--version").output();
        output.is_ok_and(|output| output.status.success() && output.stdout.starts_with(b"7."))
    };
    let names: Vec<_> = candidates.iter().map(|path| format!("`{}`", path.display())).collect();
    candidates.into_iter().find(is_7).ok_or(format!("no LLVM 7: {} does not report version 7", names.join(" or ")))
}

/// Returns the root of a CUDA toolkit with libNVVM.
fn cuda(environment: &impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, String> {
    let named = CUDA_VARIABLES.iter().filter_map(|name| environment(name)).map(PathBuf::from);
    let mut roots = named.chain(CUDA_FOLDERS.iter().map(PathBuf::from));
    let is_toolkit = |root: &PathBuf| {
        let library = root.join(LIBNVVM).join("libnvvm.so");
        root.join("include/cuda.h").is_file() && library.is_file()
    };
    roots.find(is_toolkit).ok_or(format!(
        "no CUDA toolkit with libNVVM: looked where {} point, and in {}",
        CUDA_VARIABLES.join(", "),
        CUDA_FOLDERS.join(", ")
    ))
}
