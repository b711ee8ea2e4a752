//! The emulated CUDA driver (`gpu-kernels/ptx-emulator`) in the place of the real one.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// A folder where the emulator is `libcuda.so.1`.
pub struct Emulator(TempDir);

impl Emulator {
    /// Returns a folder with the emulator that cargo built with this test.
    pub fn new() -> Self {
        let deps = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
        let library = deps.join("libptx_emulator.so");
        assert!(library.is_file(), "cargo builds `{}` with the tests", library.display());
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(library, folder.path().join("libcuda.so.1")).unwrap();
        Self(folder)
    }

    /// Lets a program find the emulator before any real driver, with these settings (see `ptx_emulator::config`).
    pub fn configure(&self, command: &mut Command, settings: &str) {
        let mut paths = vec![self.0.path().to_path_buf()];
        paths.extend(std::env::var_os("LD_LIBRARY_PATH").iter().flat_map(std::env::split_paths));
        let paths: OsString = std::env::join_paths(paths).unwrap();
        command.env("LD_LIBRARY_PATH", paths).env("PTX_EMULATOR", settings);
    }

    /// Returns the path of a file in the folder.
    #[allow(dead_code)] // Not every test looks at one.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Runs a test of this file that is ignored without a GPU, on the emulator.
#[allow(dead_code)] // Not every file has such tests.
#[track_caller]
pub fn rerun(test: &str, settings: &str) {
    let emulator = Emulator::new();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", test]);
    emulator.configure(&mut command, settings);
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "{test}, {settings}:\n{stdout}\n{stderr}");
}
