//! The emulated CUDA driver (`gpu-kernels/ptx-emulator`) in place of the real driver.
#![allow(dead_code, reason = "no test uses all of it")]

use std::env::{self, consts};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A folder where the emulator has the name of the driver's library.
pub struct Emulator(TempDir);

impl Emulator {
    /// Returns a folder with the emulator that cargo built with this test.
    pub fn new() -> Self {
        let deps = env::current_exe().unwrap().parent().unwrap().to_path_buf();
        let library = deps.join(format!("{}ptx_emulator{}", consts::DLL_PREFIX, consts::DLL_SUFFIX));
        assert!(library.is_file(), "cargo builds `{}` with the tests", library.display());
        let emulator = Self(tempfile::tempdir().unwrap());
        link(&library, &emulator.path(if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" }));
        emulator
    }

    /// Returns a command for `program` with the strictest checks and these settings (see `ptx_emulator::config`). The
    /// program finds the emulator before any real driver.
    pub fn command(&self, program: &Path, settings: &str) -> Command {
        let mut command = if cfg!(windows) {
            // Windows searches the program's folder for a library before all other places.
            let program_here = self.path(Path::new(program.file_name().unwrap()));
            if !program_here.exists() {
                link(program, &program_here);
            }
            Command::new(program_here)
        } else {
            let present = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
            let paths = [self.path("")].into_iter().chain(env::split_paths(&present));
            let mut command = Command::new(program);
            command.env("LD_LIBRARY_PATH", env::join_paths(paths).unwrap());
            command
        };
        // Strict checks refuse approximate instructions, and `train` has one that a test of the PTX allows.
        command.env("PTX_EMULATOR", format!("checks=strict,approximate=allow,{settings}"));
        command
    }

    /// Returns the path of a file in the folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Gives a file a second path, by a hard link or a copy where symbolic links need privileges.
fn link(file: &Path, path: &Path) {
    #[cfg(unix)]
    std::os::unix::fs::symlink(file, path).unwrap();
    #[cfg(not(unix))]
    std::fs::hard_link(file, path).or_else(|_| std::fs::copy(file, path).map(drop)).unwrap();
}

/// Runs an ignored test of this executable on the emulator.
#[track_caller]
pub fn rerun(test: &str, settings: &str) {
    let emulator = Emulator::new();
    let mut command = emulator.command(&env::current_exe().unwrap(), settings);
    let output = command.args(["--ignored", "--exact", "--nocapture", test]).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "{test}, {settings}:\n{stdout}\n{stderr}");
}
