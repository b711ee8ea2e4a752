//! The build as its caller describes it: selects a compiler, runs it, and splits what it has written.

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::cargo::run_all;
use crate::error::Error;
use crate::modules::{LaunchBounds, Module, shorten_comments, split};
use crate::rust_cuda::{Toolchain, VARIABLES};
use crate::rustc::Rustc;

/// A description of the kernels and of how to compile them. Paths are relative to the folder of the build script's package.
#[derive(Clone, Copy, Debug)]
pub struct PtxBuild<'a> {
    /// The package whose library holds the kernels.
    pub package: &'a str,
    /// The manifest of the package, or of its workspace. Line numbers in the PTX name files relative to its folder.
    pub manifest: &'a str,
    /// The other files and folders whose changes make cargo run the build script again. Each must exist, because cargo takes a
    /// missing one for changed.
    pub sources: &'a [&'a str],
    /// The values of `cfg(part = "..")` for which rustc compiles the package in parallel, one process each. Every kernel belongs to
    /// one part. If empty, rustc compiles the package once, without such a `cfg`.
    pub parts: &'a [&'a str],
    /// The launch bounds of a kernel by its name.
    pub launch_bounds: fn(&str) -> LaunchBounds,
    /// The oldest architecture that the kernels support, such as 70.
    pub min_arch: u32,
    /// The architecture if the environment variable `CUDA_ARCH` is unset.
    pub default_arch: u32,
    /// The environment variable that selects the compiler: `rust-cuda`, `rustc` or `none`. If it is unset, the build takes
    /// Rust-CUDA where its toolchain is found, else rustc.
    pub compiler_variable: &'a str,
    /// The workspace in which Rust-CUDA compiles the kernels, if there is one. Its package `builder` is a program which takes the
    /// architecture and the path of the PTX file as arguments, and which runs `cuda_builder`.
    pub rust_cuda_workspace: Option<&'a str>,
}

/// The compiled kernels.
#[derive(Clone, Debug)]
pub struct Ptx {
    /// The oldest architecture that runs the PTX: 75 is compute capability 7.5.
    pub arch: u32,
    /// The human-readable name of the compiler.
    pub compiler: &'static str,
    /// One module per kernel.
    pub modules: Vec<Module>,
}

impl Ptx {
    /// Writes each module to `dir` as `KERNEL.ptx`. Returns the source of a Rust expression that includes these files, a
    /// `&[(&str, &str)]` of kernel names and PTX.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<String, Error> {
        let mut elements = String::new();
        for Module { kernel, ptx } in &self.modules {
            let path = dir.join(format!("{kernel}.ptx"));
            fs::write(&path, ptx).map_err(Error::io("write", &path))?;
            let _ = write!(elements, "({kernel:?}, include_str!({:?})),", path.display().to_string());
        }
        Ok(format!("&[{elements}]"))
    }
}

/// A compiler that turns the kernels into PTX.
enum Compiler<'a> {
    RustCuda { toolchain: Toolchain, workspace: &'a str },
    Rustc,
}

impl PtxBuild<'_> {
    /// Compiles the kernels in a build script, and prints the directives that make cargo run it again after a change. Returns
    /// `None` if the environment asks for no PTX.
    ///
    /// All profiles share the folder `ptx` in cargo's target folder, so the kernels are compiled once for all of them.
    ///
    /// # Errors
    /// See [`Self::compile_in`].
    ///
    /// # Panics
    /// If cargo has not set `OUT_DIR`, as it does for a build script.
    pub fn compile(&self) -> Result<Option<Ptx>, Error> {
        for variable in ["CUDA_ARCH", self.compiler_variable].iter().chain(&VARIABLES) {
            println!("cargo::rerun-if-env-changed={variable}");
        }
        for path in [self.manifest].iter().chain(self.sources) {
            println!("cargo::rerun-if-changed={path}");
        }
        let out_dir = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
        let target_dir = Path::new(&out_dir).ancestors().nth(4);
        let target_dir = target_dir.expect("OUT_DIR is target/<profile>/build/<package>/out");
        self.compile_in(target_dir, |name| env::var_os(name))
    }

    /// Compiles the kernels as the variables of `environment` ask, into the folder `ptx` of `target_dir`. Returns `None` if they ask
    /// for no PTX.
    ///
    /// # Errors
    /// [`Error::Variable`] if a variable has a value that the build cannot use, [`Error::Compile`] if the compiler fails,
    /// [`Error::Ptx`] if its output cannot be split, [`Error::Io`] if cargo cannot be started or a file cannot be used.
    pub fn compile_in(
        &self,
        target_dir: &Path,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<Ptx>, Error> {
        let arch = self.arch(&environment)?;
        let Some(compiler) = self.compiler(&environment)? else { return Ok(None) };
        let ptx_dir = target_dir.join("ptx");
        fs::create_dir_all(&ptx_dir).map_err(Error::io("create", &ptx_dir))?;
        let variable = self.compiler_variable;
        let (name, runs, hint) = match compiler {
            Compiler::RustCuda { toolchain, workspace } => (
                "Rust-CUDA's rustc_codegen_nvvm",
                vec![toolchain.run(workspace, arch, target_dir)],
                format!("set {variable}=rustc to use rustc's own back end"),
            ),
            Compiler::Rustc => {
                let rustc = Rustc { package: self.package, manifest: self.manifest, arch, ptx_dir: &ptx_dir };
                rustc.check_arch()?;
                let whole = self.parts.is_empty().then_some(None);
                let parts = self.parts.iter().copied().map(Some).chain(whole);
                (
                    "rustc's NVPTX backend",
                    parts.map(|part| rustc.run(part)).collect::<Result<_, _>>()?,
                    format!("run `rustup toolchain install` to install what is missing, or set {variable}=none"),
                )
            }
        };
        let mut modules = Vec::new();
        for ptx in run_all(runs, name, &hint)? {
            modules.extend(split(&shorten_comments(&ptx), self.launch_bounds)?);
        }
        Ok(Some(Ptx { arch, compiler: name, modules }))
    }

    /// Returns the architecture that `CUDA_ARCH` asks for.
    fn arch(&self, environment: impl Fn(&str) -> Option<OsString>) -> Result<u32, Error> {
        let Some(value) = environment("CUDA_ARCH") else { return Ok(self.default_arch) };
        let arch = value.to_str().and_then(|value| value.parse().ok());
        arch.filter(|arch| (self.min_arch..1000).contains(arch)).ok_or_else(|| {
            let hint = "give the compute capability without its point, such as 75, 90 or 120";
            let expected = format!("expected an integer from {} to 999; hint: {hint}", self.min_arch);
            Error::variable("CUDA_ARCH", value.display(), expected)
        })
    }

    /// Returns the compiler that [`Self::compiler_variable`] asks for, or `None` if it asks for no PTX.
    fn compiler(&self, environment: impl Fn(&str) -> Option<OsString>) -> Result<Option<Compiler<'_>>, Error> {
        let rust_cuda = || -> Result<_, String> {
            let workspace = self.rust_cuda_workspace.ok_or("the kernels have no workspace for Rust-CUDA")?;
            Ok(Compiler::RustCuda { toolchain: Toolchain::find(&environment)?, workspace })
        };
        let variable = self.compiler_variable;
        let Some(value) = environment(variable) else {
            return Ok(Some(rust_cuda().unwrap_or(Compiler::Rustc)));
        };
        match value.to_string_lossy().as_ref() {
            "none" => Ok(None),
            "rustc" => Ok(Some(Compiler::Rustc)),
            "rust-cuda" => rust_cuda().map(Some).map_err(|missing| {
                let container = "ghcr.io/rust-gpu/rust-cuda-ubuntu24-cuda12";
                let hint = format!("use Rust-CUDA's container, {container}, or set {variable}=rustc");
                Error::variable(variable, "rust-cuda", format!("{missing}; hint: {hint}"))
            }),
            value => Err(Error::variable(variable, value, "expected `rust-cuda`, `rustc` or `none`".to_owned())),
        }
    }
}
