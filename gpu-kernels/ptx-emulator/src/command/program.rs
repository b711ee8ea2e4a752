//! The programs that the subcommand `run` starts on the emulated driver.

use std::env::{self, consts};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};

use super::Error;

/// The names under which programs open the driver, and nvJitLink, whose place the emulator takes too.
const NAMES: &[&str] = if cfg!(windows) {
    &["nvcuda.dll"]
} else {
    &["libcuda.so.1", "libcuda.so", "libnvJitLink.so.12", "libnvJitLink.so.13"]
};

/// Variables that make compilers inside of libraries give PTX instead of machine code.
const VARIABLES: [(&str, &str); 1] = [("CUPY_COMPILE_WITH_PTX", "1")];

/// Runs a program that finds the emulator before any real driver, and returns its exit status.
pub fn run(program: &[OsString], library: Option<&Path>, settings: &str) -> Result<ExitCode, Error> {
    let library = library.map_or_else(beside, |path| Ok(path.to_path_buf()))?;
    let library = fs::canonicalize(&library)
        .map_err(|error| format!("cannot find the emulator's library `{}`: {error}", library.display()))?;
    // The folder is new and belongs to the user alone, so nobody else can place a library there.
    let folder = tempfile::Builder::new().prefix("ptx-emulator-").tempdir();
    let folder =
        folder.map_err(|error| format!("cannot create a folder in `{}`: {error}", env::temp_dir().display()))?;
    for name in NAMES {
        let link = folder.path().join(name);
        self::link(&library, &link).map_err(|error| format!("cannot create `{}`: {error}", link.display()))?;
    }
    let variable = if cfg!(windows) { "PATH" } else { "LD_LIBRARY_PATH" };
    let present = env::var_os(variable).unwrap_or_default();
    let paths = env::join_paths([folder.path().to_path_buf()].into_iter().chain(env::split_paths(&present)))?;
    let mut command = process::Command::new(&program[0]);
    command.args(&program[1..]).env(variable, paths).env("PTX_EMULATOR", settings);
    for (name, value) in VARIABLES {
        if env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
    let status = command.status().map_err(|error| format!("cannot run `{}`: {error}", program[0].display()))?;
    let code = status.code().unwrap_or(1);
    Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Returns the library beside this command.
fn beside() -> Result<PathBuf, Error> {
    let name = format!("{}ptx_emulator{}", consts::DLL_PREFIX, consts::DLL_SUFFIX);
    let here = env::current_exe()?;
    let folder = here.parent().ok_or("this command has no folder")?;
    let found = [folder.join(&name), folder.join("deps").join(&name)].into_iter().find(|path| path.is_file());
    found.ok_or_else(|| format!("`{name}` is not beside this command; name it by --library").into())
}

#[cfg(unix)]
fn link(file: &Path, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(file, path)
}

#[cfg(not(unix))]
fn link(file: &Path, path: &Path) -> std::io::Result<()> {
    fs::hard_link(file, path).or_else(|_| fs::copy(file, path).map(drop))
}
