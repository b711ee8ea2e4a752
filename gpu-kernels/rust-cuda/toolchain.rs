//! Rust-CUDA's toolchain: whether this machine has it, and how it compiles the kernels. A part of the repository's build.rs.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a CUDA toolkit may be, as Rust-CUDA itself looks for it: variables, then folders.
const CUDA_VARIABLES: [&str; 3] = ["CUDA_PATH", "CUDA_ROOT", "CUDA_TOOLKIT_ROOT_DIR"];
const CUDA_FOLDERS: [&str; 3] = ["/usr/lib/cuda", "/usr/local/cuda", "/opt/cuda"];

/// The variables on which the search depends.
pub const VARIABLES: [&str; 5] = ["LLVM_CONFIG", "PATH", CUDA_VARIABLES[0], CUDA_VARIABLES[1], CUDA_VARIABLES[2]];

/// Files and folders on which the result depends beside the kernels themselves.
pub const FILES: [&str; 5] = ["toolchain.rs", "Cargo.toml", "Cargo.lock", "builder", "kernels"];

/// How to come by what is missing.
pub const HINT: &str = "Rust-CUDA's guide (https://rust-gpu.github.io/rust-cuda/guide/getting_started.html) provides both in a \
                        container, ghcr.io/rust-gpu/rust-cuda-ubuntu24-cuda12; MICROGPT_PTX=rustc needs neither";

/// What Rust-CUDA's compiler needs beside the Rust toolchain.
pub struct Toolchain {
    llvm_config: OsString,
    cuda: PathBuf,
}

impl Toolchain {
    /// Looks for the toolchain in an environment with these variables; what is missing if it is not there.
    pub fn find(variable: &impl Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        match (llvm_config(variable), cuda(variable)) {
            (Ok(llvm_config), Ok(cuda)) => Ok(Self { llvm_config, cuda }),
            (Ok(_), Err(missing)) | (Err(missing), Ok(_)) => Err(missing),
            (Err(llvm), Err(cuda)) => Err(format!("{llvm}; {cuda}")),
        }
    }

    /// Lets `cargo` compile the kernels to the file `ptx`, with `target_dir` for what is made on the way.
    pub fn command(&self, mut cargo: Command, arch: u32, target_dir: &Path, ptx: &Path) -> Command {
        cargo.args(["run", "--release", "--locked", "--package", "builder"]);
        cargo.args(["--manifest-path", "../gpu-kernels/rust-cuda/Cargo.toml", "--"]);
        cargo.arg(arch.to_string()).arg(ptx);
        cargo.env("CARGO_TARGET_DIR", target_dir).env("LLVM_CONFIG", &self.llvm_config).env("CUDA_PATH", &self.cuda);
        // The backend is linked to libNVVM, and cargo's and rustc's own libraries are looked for in the same variable.
        let own = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let libraries = [self.cuda.join(LIBNVVM)]
            .into_iter()
            .chain(env::split_paths(&own).filter(|path| !path.as_os_str().is_empty()));
        cargo.env("LD_LIBRARY_PATH", env::join_paths(libraries).expect("no path of the search path has a colon"));
        // For these cuda_builder would take itself for a build script.
        for name in ["OUT_DIR", "PROFILE", "TARGET", "HOST"] {
            cargo.env_remove(name);
        }
        cargo
    }
}

/// The folder of libNVVM in a CUDA toolkit.
const LIBNVVM: &str = "nvvm/lib64";

/// The `llvm-config` of an LLVM 7.
fn llvm_config(variable: &impl Fn(&str) -> Option<OsString>) -> Result<OsString, String> {
    let candidates = match variable("LLVM_CONFIG") {
        Some(path) => vec![path],
        None => vec!["llvm-config-7".into(), "llvm-config".into()],
    };
    let is_7 = |path: &OsString| {
        let output = Command::new(path).arg("--version").output();
        output.is_ok_and(|output| output.status.success() && output.stdout.starts_with(b"7."))
    };
    let names: Vec<_> = candidates.iter().map(|path| format!("`{}`", path.display())).collect();
    candidates.into_iter().find(is_7).ok_or(format!("no LLVM 7: {} does not say that it is one", names.join(" or ")))
}

/// The root of a CUDA toolkit with libNVVM.
fn cuda(variable: &impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, String> {
    let named = CUDA_VARIABLES.iter().filter_map(|name| variable(name)).map(PathBuf::from);
    let mut roots = named.chain(CUDA_FOLDERS.iter().map(PathBuf::from));
    let is_toolkit = |root: &PathBuf| {
        let library = root.join(LIBNVVM).join("libnvvm.so");
        root.join("include/cuda.h").is_file() && library.is_file()
    };
    roots.find(is_toolkit).ok_or(format!(
        "no CUDA toolkit with libNVVM: neither {} names one, nor is it in {}",
        CUDA_VARIABLES.join(", "),
        CUDA_FOLDERS.join(", ")
    ))
}
