//! Loading modules and launching kernels.

use std::fs::OpenOptions;
use std::io::Write;

use super::codes::{self, Code};
use super::state::{Function, Handle, State, note};
use crate::ptx;
use crate::simulator::{Dims, FaultKind};

/// What a block may have without asking.
pub const SHARED_PER_BLOCK: u32 = 48 * 1024;
/// Threads of a block.
pub const MAX_THREADS: u32 = 1024;

impl State {
    /// Compiles PTX.
    ///
    /// # Errors
    /// The code, and what the compiler has to say.
    pub fn load(&mut self, text: &str) -> Result<Handle, (Code, String)> {
        let invalid = |error: ptx::Error| (codes::INVALID_PTX, format!("ptx input, {error}"));
        let module = ptx::parse(text).map_err(invalid)?;
        let (major, minor) = self.config.driver;
        // The PTX version that came with each CUDA version (PTX ISA, section "Release notes").
        let newest = match major {
            ..=10 => (6, 3 + minor),
            11 => (7, minor),
            // 12.6 brought none of its own.
            12 => (8, if minor < 6 { minor } else { minor - 1 }),
            major => (major - 4, minor),
        };
        if module.version > newest {
            let message = format!("PTX .version {}.{} does not support", module.version.0, module.version.1);
            return Err((codes::UNSUPPORTED_PTX_VERSION, message));
        }
        let (major, minor) = self.device.capability;
        if module.target > 10 * major + minor {
            let message =
                format!("SM version sm_{} of .target is higher than the device's {major}.{minor}", module.target);
            return Err((codes::INVALID_PTX, message));
        }
        let module = self.gpu.link(&module).map_err(invalid)?;
        let handle = self.handle();
        self.modules.insert(handle, module);
        Ok(handle)
    }

    /// The function of a handle.
    pub fn function(&self, handle: Handle) -> Result<&Function, Code> {
        self.functions.get(&handle).ok_or(codes::INVALID_HANDLE)
    }

    /// Launches a kernel; `argument(i, len)` gives the bytes of argument `i`. What the kernel does wrong, later calls
    /// report.
    pub fn launch(
        &mut self,
        handle: Handle,
        dims: Dims,
        cooperative: bool,
        argument: impl Fn(usize, usize) -> Option<Vec<u8>>,
    ) -> Result<(), Code> {
        let function = self.function(handle)?.clone();
        let module = self.modules.get(&function.module).ok_or(codes::INVALID_HANDLE)?;
        let program = module.kernel(&function.name).ok_or(codes::INVALID_HANDLE)?;
        let threads = dims.block.iter().try_fold(1u32, |product, n| product.checked_mul(*n)).unwrap_or(0);
        let blocks = dims.grid.iter().try_fold(1u32, |product, n| product.checked_mul(*n)).unwrap_or(0);
        let most = program.max_threads.unwrap_or(MAX_THREADS).min(MAX_THREADS);
        if !(1..=most).contains(&threads)
            || dims.block[2] > 64
            || blocks == 0
            || dims.grid[1].max(dims.grid[2]) > 0xffff
        {
            return Err(codes::INVALID_VALUE);
        }
        if dims.shared > function.max_dynamic_shared as usize {
            return Err(codes::INVALID_VALUE);
        }
        let shared = program.shared_size + dims.shared;
        let resident = self.device.resident_blocks(threads, shared as u32) * self.device.sms;
        if resident == 0 {
            return Err(codes::LAUNCH_OUT_OF_RESOURCES);
        }
        if cooperative && blocks > resident {
            return Err(codes::COOPERATIVE_LAUNCH_TOO_LARGE);
        }
        let mut params = vec![0; program.param_size];
        for (i, (offset, size)) in program.params.iter().enumerate() {
            let bytes = argument(i, *size).ok_or(codes::INVALID_VALUE)?;
            params[*offset..offset + size].copy_from_slice(&bytes);
        }
        let hex: String = params.iter().map(|byte| format!("{byte:02x}")).collect();
        note(&format!(", kernel={}, params={hex}", function.name));
        match self.gpu.launch(module, &function.name, dims, &params) {
            Ok(profile) => {
                if let Some(path) = &self.config.counts {
                    let table = profile.table(&["src/stages/"]);
                    let file = OpenOptions::new().append(true).open(path);
                    if let Err(error) = file.and_then(|mut file| file.write_all(table.as_bytes())) {
                        eprintln!("emulator: cannot write `{}`: {error}", path.display());
                    }
                }
            }
            Err(fault) => {
                eprintln!("emulator: {fault}");
                self.broken = Some(match fault.kind {
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
