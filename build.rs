//! The build script of `host`: compiles `gpu-kernels` to PTX, which `host` embeds, and says so in one line.
//!
//! Two compilers can do it. Rust-CUDA's (`rustc_codegen_nvvm`) does where its toolchain is found: LLVM 7 and libNVVM. Elsewhere
//! rustc's own NVPTX backend does, which needs nothing that rust-toolchain.toml does not install: no linker, no CUDA toolkit.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, exit};

#[path = "host/build/modules.rs"]
mod modules;
#[path = "gpu-kernels/rust-cuda/toolchain.rs"]
mod rust_cuda;
#[allow(dead_code)] // A part of the kernels, of which this is not all.
#[path = "gpu-kernels/simt/src/target.rs"]
mod target;

/// The oldest architecture that the kernels can be compiled for: they synchronise single warps.
const OLDEST_ARCH: u32 = 70;

/// Threads of a block.
const BLOCK_THREADS: usize = 32 * target::GPU_WARPS;

/// What compiles the kernels.
enum Compiler {
    /// Rust-CUDA's `rustc_codegen_nvvm`.
    RustCuda(rust_cuda::Toolchain),
    /// rustc's own NVPTX backend.
    Rustc,
}

fn main() {
    println!("cargo::rerun-if-changed=../build.rs");
    println!("cargo::rerun-if-changed=build/modules.rs");
    println!("cargo::rerun-if-changed=../rust-toolchain.toml");
    println!("cargo::rerun-if-changed=../Cargo.toml");
    println!("cargo::rerun-if-changed=../Cargo.lock");
    println!("cargo::rerun-if-changed=../gpu-kernels/Cargo.toml");
    println!("cargo::rerun-if-changed=../gpu-kernels/src");
    println!("cargo::rerun-if-changed=../gpu-kernels/simt/src");
    for file in rust_cuda::FILES {
        println!("cargo::rerun-if-changed=../gpu-kernels/rust-cuda/{file}");
    }
    for variable in ["CUDA_ARCH", "MICROGPT_PTX"].iter().chain(&rust_cuda::VARIABLES) {
        println!("cargo::rerun-if-env-changed={variable}");
    }

    let arch = arch().unwrap_or_else(|error| fail(&error));
    let compiler = choose().unwrap_or_else(|error| fail(&error));
    let modules = compiler.as_ref().map(|compiler| compiler.compile(arch).unwrap_or_else(|error| fail(&error)));
    let summary = match &compiler {
        Some(compiler) => format!("PTX for sm_{arch} by {}", compiler.name()),
        None if has_gpus() => "no PTX: MICROGPT_PTX=none".to_owned(),
        None => "no PTX: GPUs need Linux".to_owned(),
    };
    println!("cargo::warning={summary}");
    embed(arch, compiler.as_ref().map_or("", Compiler::name), modules);

    let rustc = env::var_os("RUSTC").expect("cargo sets RUSTC");
    let version = Command::new(rustc).arg("--version").output().expect("rustc runs");
    let version = String::from_utf8_lossy(&version.stdout);
    let target = env::var("TARGET").expect("cargo sets TARGET");
    println!("cargo::rustc-env=MICROGPT_BUILD={} ({}, {target}; {summary})", env!("CARGO_PKG_VERSION"), version.trim());
}

/// Whether the program will open a GPU's driver.
fn has_gpus() -> bool {
    env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux")
}

/// The compiler that `MICROGPT_PTX` asks for; where it is not set, Rust-CUDA's if its toolchain is here.
fn choose() -> Result<Option<Compiler>, String> {
    if !has_gpus() {
        return Ok(None);
    }
    match env::var("MICROGPT_PTX").as_deref() {
        Ok("none") => Ok(None),
        Ok("rustc") => Ok(Some(Compiler::Rustc)),
        Ok("rust-cuda") => match rust_cuda::Toolchain::find(&|name| env::var_os(name)) {
            Ok(toolchain) => Ok(Some(Compiler::RustCuda(toolchain))),
            Err(missing) => Err(format!("MICROGPT_PTX=rust-cuda: {missing}; hint: {}", rust_cuda::HINT)),
        },
        Ok(other) => Err(format!("MICROGPT_PTX={other}: none of `rust-cuda`, `rustc` and `none`")),
        Err(_) => {
            let toolchain = rust_cuda::Toolchain::find(&|name| env::var_os(name));
            Ok(Some(toolchain.map_or(Compiler::Rustc, Compiler::RustCuda)))
        }
    }
}

/// Ends the build with this message.
fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    exit(1);
}

/// The architecture from `CUDA_ARCH`: 75, the oldest that today's CUDA runs, if it is not set.
fn arch() -> Result<u32, String> {
    let Ok(text) = env::var("CUDA_ARCH") else { return Ok(75) };
    let hint = "give the compute capability without its point, such as 75, 90 or 120";
    let arch: u32 = text.parse().map_err(|_| format!("CUDA_ARCH={text}: not a number; {hint}"))?;
    if !(OLDEST_ARCH..1000).contains(&arch) {
        return Err(format!("CUDA_ARCH={text}: the kernels need at least {OLDEST_ARCH}; {hint}"));
    }
    Ok(arch)
}

impl Compiler {
    fn name(&self) -> &'static str {
        match self {
            Self::RustCuda(_) => "Rust-CUDA's rustc_codegen_nvvm",
            Self::Rustc => "rustc's NVPTX backend",
        }
    }

    /// Each kernel's name and PTX module.
    fn compile(&self, arch: u32) -> Result<Vec<(String, String)>, String> {
        // Shared by all builds of `host`, for each of which this script runs, so that the kernels are compiled once.
        let out_dir = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
        let target_dir = out_dir.ancestors().nth(4).expect("OUT_DIR is target/<profile>/build/<package>/out");
        let ptx_dir = target_dir.join("ptx");
        fs::create_dir_all(&ptx_dir).map_err(|error| format!("cannot create `{}`: {error}", ptx_dir.display()))?;
        let (runs, hint) = match self {
            Self::RustCuda(toolchain) => {
                let file = ptx_dir.join(format!("sm_{arch}-rust-cuda.ptx"));
                let cargo = toolchain.command(cargo_for_kernels(), arch, &target_dir.join("rust-cuda"), &file);
                (vec![(cargo, file)], "MICROGPT_PTX=rustc takes rustc's own backend instead")
            }
            Self::Rustc => (
                PARTS.iter().map(|part| rustc_command(arch, &ptx_dir, part)).collect(),
                "`rustup toolchain install` in the repository installs what is missing; MICROGPT_PTX=none builds without",
            ),
        };
        let failed = |error: io::Error| format!("cannot run cargo for the kernels: {error}");
        let runs: Vec<_> = runs
            .into_iter()
            .map(|(mut cargo, file)| {
                cargo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
                Ok((cargo.spawn().map_err(failed)?, file))
            })
            .collect::<Result<_, String>>()?;
        // Of all before any is judged: none is left behind.
        let outputs: Vec<_> = runs.into_iter().map(|(cargo, file)| (cargo.wait_with_output(), file)).collect();
        let mut modules = Vec::new();
        for (output, file) in outputs {
            let output = output.map_err(failed)?;
            if !output.status.success() {
                let log = String::from_utf8_lossy(&output.stderr);
                let message = format!("{} does not compile the kernels: {hint}\n{log}", self.name());
                return Err(message.replace('\n', "\ncargo::error="));
            }
            let ptx =
                fs::read_to_string(&file).map_err(|error| format!("cannot read `{}`: {error}", file.display()))?;
            // A compiler that does not know an architecture only warns.
            if !ptx.lines().any(|line| line.trim_end_matches(", debug") == format!(".target sm_{arch}")) {
                return Err(format!("CUDA_ARCH={arch}: the compiler knows no such architecture"));
            }
            modules.extend(modules::split(&modules::without_comments(&ptx), BLOCK_THREADS)?);
        }
        Ok(modules)
    }
}

/// Cargo without what it was told for `host`, which is not meant for the kernels.
fn cargo_for_kernels() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"));
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let flags =
            ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "RUSTC_WRAPPER", "CARGO_INCREMENTAL"];
        if flags.contains(&&*name) || name.starts_with("CARGO_BUILD_") || name.starts_with("CARGO_PROFILE_") {
            cargo.env_remove(&*name);
        }
    }
    cargo
}

/// The parts of the kernels that rustc compiles at the same time, one thread each (`entry/gpu.rs`).
const PARTS: [&str; 2] = ["documents", "models"];

/// Cargo that lets rustc compile a part of the kernels, and the file that takes its PTX.
fn rustc_command(arch: u32, ptx_dir: &Path, part: &str) -> (Command, PathBuf) {
    let ptx = ptx_dir.join(format!("sm_{arch}-{part}.ptx"));
    let mut cargo = cargo_for_kernels();
    cargo.args(["rustc", "--package", "gpu-kernels", "--lib", "--release", "--target", "nvptx64-nvidia-cuda"]);
    cargo.arg("--target-dir").arg(ptx_dir.join(part)).arg("--manifest-path").arg("../Cargo.toml");
    // A static library holds all code that the kernels call, core's included, and needs no linker; what LLVM then makes of
    // the whole is written out as PTX. Tables of jumps and of constants would have to be fetched from memory.
    cargo.args(["--crate-type", "staticlib", "--"]);
    cargo.arg(format!("--emit=asm={}", ptx.display())).arg(format!("-Ctarget-cpu=sm_{arch}"));
    cargo.arg(format!("--cfg=part=\"{part}\""));
    cargo.args(["-Clto=fat", "-Cembed-bitcode=yes", "-Cjump-tables=no", "-Cdebuginfo=line-directives-only"]);
    // Loops whose length is known at run time stay loops. Fourfold they gain the GPU next to nothing, and take LLVM a third longer.
    cargo.arg("-Cllvm-args=-unroll-runtime=false");
    // Comments say where the code of each line was inlined, for which LLVM 22 has no directive.
    cargo.arg("-Zverbose-asm");
    // Line numbers name files relative to the repository.
    let root = env::current_dir().ok().and_then(|dir| Some(dir.parent()?.to_owned()));
    // The last that fits counts.
    for (path, name) in env::home_dir().map(|home| (home, "~")).into_iter().chain(root.map(|root| (root, "."))) {
        cargo.arg(format!("--remap-path-prefix={}={name}", path.display()));
    }
    (cargo, ptx)
}

/// Writes the modules, and a source for `host` to include them.
fn embed(arch: u32, compiler: &str, modules: Option<Vec<(String, String)>>) {
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let text = modules.map_or("None".to_owned(), |modules| {
        let include = |(name, ptx): (String, String)| {
            let path = out_dir.join(format!("{name}.ptx"));
            write(&path, &ptx);
            format!("({name:?}, include_str!({:?})),", path.display().to_string())
        };
        let kernels: String = modules.into_iter().map(include).collect();
        format!("Some(Ptx {{ arch: {arch}, compiler: {compiler:?}, kernels: &[{kernels}] }})")
    });
    write(&out_dir.join("ptx.rs"), &text);
}

fn write(path: &Path, text: &str) {
    if let Err(error) = fs::write(path, text) {
        fail(&format!("cannot write `{}`: {error}", path.display()));
    }
}
