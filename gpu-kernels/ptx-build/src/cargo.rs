//! cargo, as a build script runs it for the kernels.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use crate::error::Error;

/// A cargo process that compiles kernels.
pub(crate) struct Run {
    /// The command.
    pub(crate) cargo: Command,
    /// The file to which it writes the PTX.
    pub(crate) ptx: PathBuf,
}

impl Run {
    /// Runs cargo, and returns the PTX.
    fn ptx(mut self, compiler: &'static str, hint: &str) -> Result<String, Error> {
        let output = self.cargo.output().map_err(Error::io("run", "cargo"))?;
        if !output.status.success() {
            let log = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Error::Compile { compiler, hint: hint.to_owned(), log });
        }
        fs::read_to_string(&self.ptx).map_err(Error::io("read", &self.ptx))
    }
}

/// Runs all of these in parallel, and returns their PTX. The error of a failure has the compiler's name and this hint.
pub(crate) fn run_all(runs: Vec<Run>, compiler: &'static str, hint: &str) -> Result<Vec<String>, Error> {
    // The scope ends when all of them have ended, so that a failure leaves no child process running.
    thread::scope(|scope| {
        let threads: Vec<_> = runs.into_iter().map(|run| scope.spawn(|| run.ptx(compiler, hint))).collect();
        threads.into_iter().map(|thread| thread.join().expect("the thread only waits for cargo")).collect()
    })
}

/// Returns a cargo command without the flags and profile settings of the build that runs the build script, which are meant for the
/// CPU.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
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
