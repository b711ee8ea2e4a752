//! rustc's own NVPTX back end, run by cargo.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cargo::{Run, cargo};
use crate::error::Error;

/// The Rust target of the kernels.
const TARGET: &str = "nvptx64-nvidia-cuda";

/// The arguments of rustc's runs.
pub(crate) struct Rustc<'a> {
    pub(crate) package: &'a str,
    pub(crate) manifest: &'a str,
    pub(crate) arch: u32,
    /// The folder of the PTX, and of cargo's target folder for each part.
    pub(crate) ptx_dir: &'a Path,
}

impl Rustc<'_> {
    /// Fails if rustc does not know the architecture. When it compiles, it only warns, and writes PTX that no driver accepts.
    pub(crate) fn check_arch(&self) -> Result<(), Error> {
        let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
        let output = Command::new(&rustc).args(["--print=target-cpus", "--target", TARGET]).output();
        let known = output.map_err(Error::io("run", rustc))?.stdout;
        if String::from_utf8_lossy(&known).split_whitespace().any(|cpu| cpu == format!("sm_{}", self.arch)) {
            return Ok(());
        }
        Err(Error::variable("CUDA_ARCH", self.arch, "rustc's NVPTX backend knows no such architecture".to_owned()))
    }

    /// Returns the run that compiles this part of the kernels, or all of them.
    pub(crate) fn run(&self, part: Option<&str>) -> Result<Run, Error> {
        let name = part.unwrap_or(self.package);
        let ptx = self.ptx_dir.join(format!("sm_{}-{name}.ptx", self.arch));
        let mut cargo = cargo();
        cargo.args(["rustc", "--lib", "--release", "--target", TARGET, "--package", self.package]);
        cargo.arg("--target-dir").arg(self.ptx_dir.join(name)).arg("--manifest-path").arg(self.manifest);
        cargo.env("CARGO_ENCODED_RUSTFLAGS", self.flags_of_all_crates()?);
        // The packages of the workspace have line numbers. Those of the registry name files relative to their own folders, which a
        // reader of the PTX could not tell apart.
        cargo.args(["--config", "profile.release.debug='line-directives-only'"]);
        cargo.args(["--config", "profile.release.package.'*'.debug=false"]);
        // A static library holds all code that the kernels call, core included, and needs no linker. LLVM optimises all of it
        // as one module, and `--emit=asm` writes that module as PTX.
        cargo.args(["--crate-type", "staticlib", "--", "-Clto=fat", "-Cembed-bitcode=yes"]);
        cargo.arg(format!("--emit=asm={}", ptx.display()));
        cargo.args(part.map(|part| format!("--cfg=part=\"{part}\"")));
        // Loops whose length is known only at run time stay loops. Unrolled fourfold they hardly gain on a GPU, and LLVM takes a
        // third longer.
        cargo.arg("-Cllvm-args=-unroll-runtime=false");
        // The comments of this listing say where the code of each line was inlined. LLVM 22 writes no directive for it.
        cargo.arg("-Zverbose-asm");
        Ok(Run { cargo, ptx })
    }

    /// Returns the flags for the kernels and all their dependencies, as `CARGO_ENCODED_RUSTFLAGS` takes them. LLVM inlines only
    /// functions of the same target CPU, and every crate records its own attributes and source paths.
    fn flags_of_all_crates(&self) -> Result<String, Error> {
        // A kernel would fetch the tables of jumps and of constants from memory.
        let mut flags = vec![format!("-Ctarget-cpu=sm_{}", self.arch), "-Cjump-tables=no".to_owned()];
        let manifest = Path::new(self.manifest);
        let manifest = fs::canonicalize(manifest).map_err(Error::io("find", manifest))?;
        let root = manifest.parent().map(|root| (root.to_owned(), "."));
        // The last prefix that fits counts.
        for (path, name) in env::home_dir().map(|home| (home, "~")).into_iter().chain(root) {
            flags.push(format!("--remap-path-prefix={}={name}", path.display()));
        }
        Ok(flags.join("\x1f"))
    }
}
