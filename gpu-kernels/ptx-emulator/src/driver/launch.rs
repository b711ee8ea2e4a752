//! Loading of modules and launches of kernels.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use super::codes::{self, Code};
use super::state::{Handle, State};
use crate::ptx;
use crate::simulator::{Dims, FaultKind};

/// The shared memory in bytes that a block may have without opting in to more.
pub const SHARED_PER_BLOCK: u32 = 48 * 1024;

/// The most threads of a block.
pub const MAX_THREADS: u32 = 1024;

/// Returns the newest PTX version that a CUDA version supports (PTX ISA, chapter "Release Notes").
fn newest_ptx((major, minor): (u32, u32)) -> (u32, u32) {
    match major {
        ..=10 => (6, 3 + minor),
        11 => (7, minor),
        // CUDA 12.6 has the PTX version of CUDA 12.5.
        12 => (8, if minor < 6 { minor } else { minor - 1 }),
        major => (major - 4, minor),
    }
}

impl State {
    /// Compiles PTX and returns the handle of the module, or the code and the compiler's message.
    pub fn load(&mut self, text: &str) -> Result<Handle, (Code, String)> {
        let invalid = |error: ptx::Error| (codes::INVALID_PTX, format!("ptx input, {error}"));
        let module = ptx::parse(text).map_err(invalid)?;
        if module.version > newest_ptx(self.config.driver) {
            let ((major, minor), newest) = (module.version, newest_ptx(self.config.driver));
            let message =
                format!(".version {major}.{minor} is unsupported, expected at most {}.{}", newest.0, newest.1);
            return Err((codes::UNSUPPORTED_PTX_VERSION, message));
        }
        if module.target > self.config.device.architecture() {
            let (major, minor) = self.config.device.capability;
            let message = format!(".target sm_{} is unsupported, expected at most sm_{major}{minor}", module.target);
            return Err((codes::INVALID_PTX, message));
        }
        let module = self.gpu.link(&module).map_err(invalid)?;
        let handle = self.handle();
        self.modules.insert(handle, module);
        Ok(handle)
    }

    /// Launches a kernel. `argument(i, len)` returns the bytes of argument `i`. A fault of the kernel becomes the
    /// sticky error.
    pub fn launch(
        &mut self,
        handle: Handle,
        dims: Dims,
        cooperative: bool,
        argument: impl Fn(usize, usize) -> Result<Vec<u8>, Code>,
    ) -> Result<(), Code> {
        let (function, program) = self.function(handle)?;
        let (threads, blocks) = (dims.threads().unwrap_or(0), dims.blocks().unwrap_or(0));
        if !(1..=program.max_threads.unwrap_or(MAX_THREADS).min(MAX_THREADS)).contains(&threads)
            || dims.block[2] > 64
            || blocks == 0
            || dims.grid[1].max(dims.grid[2]) > 0xffff
            || dims.shared > function.max_dynamic_shared as usize
        {
            return Err(codes::INVALID_VALUE);
        }
        let (device, shared) = (&self.config.device, program.shared_size + dims.shared);
        let resident = device.resident_blocks(threads, shared as u32) * device.sms;
        if resident == 0 {
            return Err(codes::LAUNCH_OUT_OF_RESOURCES);
        }
        if cooperative && blocks > resident {
            return Err(codes::COOPERATIVE_LAUNCH_TOO_LARGE);
        }
        let (module, name) = (function.module, function.name.clone());
        let mut params = vec![0; program.param_size];
        for (i, (offset, size)) in program.params.iter().enumerate() {
            let bytes = argument(i, *size)?;
            params[*offset..offset + size].copy_from_slice(&bytes);
        }
        let hex: String = params.iter().map(|byte| format!("{byte:02x}")).collect();
        self.note = format!(", kernel={name}, params={hex}");
        match self.gpu.launch(&self.modules[&module], &name, dims, &params) {
            Ok(profile) => {
                if let Some(path) = &self.config.profile {
                    append(path, &profile.table(&self.config.ops));
                }
            }
            Err(fault) => {
                eprintln!("emulator: {fault}");
                self.sticky_error = Some(match fault.kind {
                    FaultKind::OutOfBounds => codes::ILLEGAL_ADDRESS,
                    FaultKind::Misaligned => codes::MISALIGNED_ADDRESS,
                    FaultKind::NoProgress | FaultKind::Residency => codes::LAUNCH_TIMEOUT,
                    _ => codes::LAUNCH_FAILED,
                });
            }
        }
        Ok(())
    }
}

fn append(path: &Path, text: &str) {
    let file = OpenOptions::new().append(true).open(path);
    if let Err(error) = file.and_then(|mut file| file.write_all(text.as_bytes())) {
        eprintln!("emulator: cannot write `{}`: {error}", path.display());
    }
}
