//! The build, which selects a compiler, runs it, and splits its output.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::error::Error;
use crate::modules::{LaunchBounds, Module, shorten_comments, split};
use crate::rust_cuda::{Toolchain, VARIABLES};

/// The Rust target of rustc's back end.
const TARGET: &str = "nvptx64-nvidia-cuda";

/// The kernels and the settings of their compilation. Paths are relative to the folder of the build script's package.
#[derive(Clone, Copy, Debug)]
pub struct PtxBuild<'a> {
    /// The package whose library holds the kernels.
    pub package: &'a str,
    /// The manifest of the package, or of its workspace. Line numbers in the PTX name files relative to the manifest's
    /// folder.
    pub manifest: &'a str,
    /// The other files and folders whose changes make cargo run the build script again. Each must exist.
    pub sources: &'a [&'a str],
    /// The values of `cfg(part = "..")` for which rustc compiles the package in parallel, one process each. Every
    /// kernel belongs to one part. If empty, rustc compiles the package once, without such a `cfg`.
    pub parts: &'a [&'a str],
    /// The launch bounds of a kernel by its name.
    pub launch_bounds: fn(&str) -> LaunchBounds,
    /// The oldest architecture that the kernels support, such as 70.
    pub min_arch: u32,
    /// The architecture if the environment variable `CUDA_ARCH` is unset.
    pub default_arch: u32,
    /// The environment variable that selects the compiler: `rust-cuda`, `rustc` or `none`. If it is unset, the build
    /// takes Rust-CUDA where its toolchain is found, else rustc.
    pub compiler_variable: &'a str,
    /// The workspace in which Rust-CUDA compiles the kernels, if there is one. Its package `builder` is a program which
    /// takes the architecture and the path of the PTX file as arguments, and which runs `cuda_builder`.
    pub rust_cuda_workspace: Option<&'a str>,
}

/// The compiled kernels.
#[derive(Clone, Debug)]
pub struct Ptx {
    /// The oldest architecture that runs the PTX. For example, 75 is compute capability 7.5.
    pub arch: u32,
    /// The human-readable name of the compiler.
    pub compiler: &'static str,
    /// The modules, one per kernel.
    pub modules: Vec<Module>,
}

impl Ptx {
    /// Writes each module to `dir` as `KERNEL.ptx`. Returns the source of a Rust expression that includes these files,
    /// a `&[(&str, &str)]` of kernel names and PTX.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<String, Error> {
        let write = |Module { kernel, ptx }: &Module| {
            let path = dir.join(format!("{kernel}.ptx"));
            fs::write(&path, ptx).map_err(Error::io("write", &path))?;
            Ok(format!("({kernel:?}, include_str!({:?})),", path.display().to_string()))
        };
        Ok(format!("&[{}]", self.modules.iter().map(write).collect::<Result<String, _>>()?))
    }
}

/// A compiler that turns the kernels into PTX.
enum Compiler<'a> {
    RustCuda { toolchain: Toolchain, workspace: &'a str },
    Rustc,
}

/// A cargo process that compiles kernels, and the file to which it writes the PTX.
struct Run {
    cargo: Command,
    ptx: PathBuf,
}

impl Run {
    /// Returns a run of cargo without the flags and profiles of the outer build. These are for the CPU.
    fn new(name: &str, arch: u32, ptx_dir: &Path) -> Self {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let flags =
            ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_W", "CARGO_INCREMENTAL", "CARGO_BUILD_", "CARGO_PROFILE_"];
        let is_flag = |name: &OsString| flags.iter().any(|prefix| name.to_string_lossy().starts_with(prefix));
        env::vars_os().filter(|(name, _)| is_flag(name)).for_each(|(name, _)| _ = cargo.env_remove(name));
        Self { cargo, ptx: ptx_dir.join(format!("sm_{arch}-{name}.ptx")) }
    }
}

impl PtxBuild<'_> {
    /// Compiles the kernels, and prints the directives that make cargo run the build script again after a change.
    /// Returns `None` if the environment asks for no PTX.
    ///
    /// All profiles and targets share the folder `ptx` in cargo's target folder, so the kernels are compiled once for
    /// all of them.
    ///
    /// # Errors
    /// If cargo has not set `OUT_DIR`, and in the cases of [`Self::compile_in`].
    pub fn compile(&self) -> Result<Option<Ptx>, Error> {
        for variable in ["CUDA_ARCH", self.compiler_variable].iter().chain(&VARIABLES) {
            println!("cargo::rerun-if-env-changed={variable}");
        }
        for path in [self.manifest].iter().chain(self.sources) {
            println!("cargo::rerun-if-changed={path}");
        }
        let out_dir = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
        let expected = || format!("OUT_DIR={}: expected target/PROFILE/build/PACKAGE/out", out_dir.display());
        let mut target_dir = out_dir.ancestors().nth(4).ok_or_else(|| Error(expected()))?;
        // With `--target`, the profile's folder is in a folder that has the target's name.
        if target_dir.file_name() == env::var_os("TARGET").as_deref() {
            target_dir = target_dir.parent().ok_or_else(|| Error(expected()))?;
        }
        self.compile_in(target_dir, |name| env::var_os(name))
    }

    /// Compiles the kernels as the variables of `environment` ask, into the folder `ptx` of `target_dir`. Returns
    /// `None` if the variables ask for no PTX.
    ///
    /// # Errors
    /// If a variable has an unusable value, the compiler fails, its output cannot be split, or a file cannot be used.
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
        let (name, mut runs, hint) = match compiler {
            Compiler::RustCuda { toolchain, workspace } => {
                let mut run = Run::new("rust-cuda", arch, &ptx_dir);
                toolchain.prepare(&mut run.cargo, workspace, target_dir);
                run.cargo.arg(arch.to_string()).arg(&run.ptx);
                let hint = format!("set {variable}=rustc to use rustc's own back end");
                ("Rust-CUDA's rustc_codegen_nvvm", vec![run], hint)
            }
            Compiler::Rustc => {
                let names = if self.parts.is_empty() { &[self.package][..] } else { self.parts };
                let runs = names.iter().map(|name| self.rustc(arch, name, &ptx_dir)).collect::<Result<Vec<_>, _>>()?;
                let hint = "run `rustup toolchain install` to install what is missing";
                ("rustc's NVPTX backend", runs, format!("{hint}, or set {variable}=none"))
            }
        };
        let children: Vec<_> = runs.iter_mut().map(|run| run.cargo.spawn()).collect();
        // All runs end before any output is checked, so that a failure leaves no process running.
        let outputs: Vec<_> = children.into_iter().map(|child| child.and_then(Child::wait_with_output)).collect();
        let mut modules = Vec::new();
        for (Run { ptx, .. }, output) in runs.into_iter().zip(outputs) {
            let output = output.map_err(Error::io("run", "cargo"))?;
            if !output.status.success() {
                let log = String::from_utf8_lossy(&output.stderr);
                return Err(Error(format!("{name} does not compile the kernels; hint: {hint}\n{log}")));
            }
            let ptx = fs::read_to_string(&ptx).map_err(Error::io("read", ptx))?;
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
            let (value, least) = (value.display(), self.min_arch);
            Error(format!("CUDA_ARCH={value}: expected an integer from {least} to 999; hint: {hint}"))
        })
    }

    /// Returns the compiler that [`Self::compiler_variable`] asks for, or `None` if the variable asks for no PTX.
    fn compiler(&self, environment: impl Fn(&str) -> Option<OsString>) -> Result<Option<Compiler<'_>>, Error> {
        let rust_cuda = || -> Result<_, String> {
            let workspace = self.rust_cuda_workspace.ok_or("the kernels have no workspace for Rust-CUDA")?;
            Ok(Compiler::RustCuda { toolchain: Toolchain::find(&environment)?, workspace })
        };
        let variable = self.compiler_variable;
        let Some(value) = environment(variable) else { return Ok(Some(rust_cuda().unwrap_or(Compiler::Rustc))) };
        match value.to_string_lossy().as_ref() {
            "none" => Ok(None),
            "rustc" => Ok(Some(Compiler::Rustc)),
            "rust-cuda" => rust_cuda().map(Some).map_err(|missing| {
                let container = "ghcr.io/rust-gpu/rust-cuda-ubuntu24-cuda12";
                let hint = format!("use Rust-CUDA's container, {container}, or set {variable}=rustc");
                Error(format!("{variable}=rust-cuda: {missing}; hint: {hint}"))
            }),
            value => Err(Error(format!("{variable}={value}: expected `rust-cuda`, `rustc` or `none`"))),
        }
    }

    /// Returns the run in which rustc compiles the part `name` of the kernels, or the whole package `name`.
    fn rustc(&self, arch: u32, name: &str, ptx_dir: &Path) -> Result<Run, Error> {
        let mut run = Run::new(name, arch, ptx_dir);
        let cargo = &mut run.cargo;
        cargo.args(["rustc", "--lib", "--release", "--target", TARGET, "--package", self.package]);
        cargo.arg("--target-dir").arg(ptx_dir.join(name)).arg("--manifest-path").arg(self.manifest);
        cargo.env("CARGO_ENCODED_RUSTFLAGS", self.flags_of_all_crates(arch)?);
        // Only the packages of the workspace get line numbers. Packages of the registry would name files relative to
        // their own folders, so paths in the PTX would be ambiguous.
        cargo.args(["--config", "profile.release.debug='line-directives-only'"]);
        cargo.args(["--config", "profile.release.package.'*'.debug=false"]);
        // A static library holds all code that the kernels call, core included, and needs no linker. LLVM optimises all
        // of this code as one module, and `--emit=asm` writes that module as PTX.
        cargo.args(["--crate-type", "staticlib", "--", "-Clto=fat", "-Cembed-bitcode=yes"]);
        cargo.arg(format!("--emit=asm={}", run.ptx.display()));
        cargo.args(self.parts.contains(&name).then(|| format!("--cfg=part=\"{name}\"")));
        // The flag disables the unrolling of loops whose length is known only at run time. Unrolling such loops
        // fourfold hardly helps on a GPU, and LLVM takes a third longer.
        cargo.arg("-Cllvm-args=-unroll-runtime=false");
        // The comments of a verbose listing say where each line was inlined. LLVM 22 writes no directive for inlined
        // code.
        cargo.arg("-Zverbose-asm");
        Ok(run)
    }

    /// Returns rustc's flags for the kernels and all their dependencies, as `CARGO_ENCODED_RUSTFLAGS` takes them. LLVM
    /// inlines only functions of the same target CPU, and every crate records its own attributes and source paths.
    fn flags_of_all_crates(&self, arch: u32) -> Result<String, Error> {
        // rustc only warns of an unknown architecture, and writes PTX that no driver accepts.
        let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
        let output = Command::new(&rustc).args(["--print=target-cpus", "--target", TARGET]).output();
        let known = output.map_err(Error::io("run", rustc))?.stdout;
        if !String::from_utf8_lossy(&known).split_whitespace().any(|cpu| cpu == format!("sm_{arch}")) {
            return Err(Error(format!("CUDA_ARCH={arch}: rustc's NVPTX backend knows no such architecture")));
        }
        // Without the second flag, a kernel would read jump tables and lookup tables from memory.
        let mut flags = vec![format!("-Ctarget-cpu=sm_{arch}"), "-Cjump-tables=no".to_owned()];
        let manifest = fs::canonicalize(self.manifest).map_err(Error::io("find", self.manifest))?;
        let root = manifest.parent().map(|root| (root.to_owned(), "."));
        // rustc applies the last prefix that fits, so the root follows the home folder.
        for (path, name) in env::home_dir().map(|home| (home, "~")).into_iter().chain(root) {
            flags.push(format!("--remap-path-prefix={}={name}", without_verbatim(&path.display().to_string())));
        }
        Ok(flags.join("\x1f"))
    }
}

/// Returns a path without the prefix `\\?\` of Windows, which [`fs::canonicalize`] adds and cargo leaves out.
fn without_verbatim(path: &str) -> String {
    let Some(verbatim) = path.strip_prefix(r"\\?\") else { return path.to_owned() };
    verbatim.strip_prefix(r"UNC\").map_or_else(|| verbatim.to_owned(), |share| format!(r"\\{share}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_windows_loses_its_verbatim_prefix() {
        for (path, expected) in [
            (r"\\?\C:\my repo\kernels", r"C:\my repo\kernels"),
            (r"\\?\UNC\server\share\repo", r"\\server\share\repo"),
            (r"D:\repo", r"D:\repo"),
            ("/repo", "/repo"),
        ] {
            assert_eq!(without_verbatim(path), expected);
        }
    }

    #[test]
    fn included_files_have_paths_that_are_valid_literals() {
        let folder = tempfile::tempdir().unwrap();
        // On Unix, a folder's name may contain backslashes, quotes and colons.
        let name = if cfg!(windows) { "my repo" } else { r#"C:\new "repo"\target"# };
        let out_dir = folder.path().join(name);
        fs::create_dir(&out_dir).unwrap();
        let modules = vec![Module { kernel: "train".to_owned(), ptx: "ret;\n".to_owned() }];
        let source = Ptx { arch: 86, compiler: "rustc", modules }.write(&out_dir).unwrap();
        let program = folder.path().join("included.rs");
        fs::write(&program, format!("fn main() {{ let k: &[(&str, &str)] = {source}; print!(\"{{k:?}}\"); }}"))
            .unwrap();
        let executable = folder.path().join(format!("included{}", env::consts::EXE_SUFFIX));
        let rustc = Command::new("rustc").arg(&program).arg("-o").arg(&executable).output().unwrap();
        assert!(rustc.status.success(), "{}", String::from_utf8_lossy(&rustc.stderr));
        let output = Command::new(&executable).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), r#"[("train", "ret;\n")]"#);
    }
}
