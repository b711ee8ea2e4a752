//! The place of the library nvJitLink, which turns PTX into machine code that the emulator cannot run.
//!
//! Programs that find a nvJitLink without the functions of CUDA 12.3 link by the driver instead, which keeps PTX. The
//! emulator is such a library. A program finds it if the folder of `libcuda.so.1` has it under the name that the program
//! opens, such as `libnvJitLink.so.13`.

/// Opens this library under the names of nvJitLink that the folder of the driver has. A program that opens one of them
/// later gets this library, even if it would look elsewhere first.
#[cfg(unix)]
pub fn preload() {
    use std::{env, fs};
    let paths = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    for folder in env::split_paths(&paths) {
        let Ok(driver) = fs::canonicalize(folder.join("libcuda.so.1")) else { continue };
        for name in ["libnvJitLink.so.12", "libnvJitLink.so.13"] {
            if fs::canonicalize(folder.join(name)).is_ok_and(|found| found == driver) {
                // SAFETY: the file is this library, whose initialisers have run.
                let library = unsafe { libloading::os::unix::Library::new(name) };
                // The name must stay known until the program ends.
                std::mem::forget(library);
            }
        }
        return;
    }
}

/// Does nothing, because other systems do not keep a library under several names.
#[cfg(not(unix))]
pub fn preload() {}
