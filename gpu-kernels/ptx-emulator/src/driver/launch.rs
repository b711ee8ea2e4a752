//! Launches of kernels.

use std::io::Write;

use super::codes::{self, Code};
use super::objects::Handle;
use super::operation::KernelLaunch;
use super::report::report;
use super::state::DriverState;
use crate::simulator::{Dims, Fault, FaultKind, MAX_THREADS};

/// The largest number of threads of a block along z.
pub const MAX_BLOCK_DIM_Z: u32 = 64;

/// The largest number of blocks of a grid along y, and along z.
pub const MAX_GRID_DIM_YZ: u32 = 0xffff;

/// The largest number of blocks of a cluster (CUDA C++ Programming Guide, "Thread Block Clusters").
const MAX_CLUSTER: u32 = 16;

impl DriverState {
    /// Checks a launch of a kernel, and copies the bytes `argument(i, offset, len)` as argument `i`.
    pub fn prepare(
        &mut self,
        handle: Handle,
        dims: Dims,
        cooperative: bool,
        argument: &dyn Fn(usize, usize, usize) -> Result<Vec<u8>, Code>,
    ) -> Result<KernelLaunch, Code> {
        let (function, program) = self.function(handle)?;
        if let Some(error) = self.gpu.refusal(program) {
            report(Fault::refused(&program.name, error));
            return Err(codes::NOT_SUPPORTED);
        }
        let (threads, blocks) = (dims.threads().unwrap_or(0), dims.blocks().unwrap_or(0));
        if !(1..=program.max_threads.unwrap_or(MAX_THREADS).min(MAX_THREADS)).contains(&threads)
            || dims.block[2] > MAX_BLOCK_DIM_Z
            || blocks == 0
            || dims.grid[1].max(dims.grid[2]) > MAX_GRID_DIM_YZ
            || dims.shared > function.max_dynamic_shared as usize
        {
            return Err(codes::INVALID_VALUE);
        }
        let cluster = program.cluster.unwrap_or(dims.cluster);
        if dims.grid.iter().zip(cluster).any(|(blocks, size)| size == 0 || blocks % size != 0)
            || cluster.iter().product::<u32>() > MAX_CLUSTER
        {
            return Err(codes::INVALID_CLUSTER_SIZE);
        }
        let (device, shared) = (&self.config.device, program.shared_size.saturating_add(dims.shared));
        let resident = device.resident_blocks(threads, shared).saturating_mul(device.sms);
        if resident == 0 {
            return Err(codes::LAUNCH_OUT_OF_RESOURCES);
        }
        if cooperative && blocks > resident {
            return Err(codes::COOPERATIVE_LAUNCH_TOO_LARGE);
        }
        let mut params = vec![0; program.param_size];
        for (i, (offset, size)) in program.params.iter().enumerate() {
            let bytes = argument(i, *offset, *size)?;
            params[*offset..offset + size].copy_from_slice(&bytes);
        }
        let hex: String = params.iter().map(|byte| format!("{byte:02x}")).collect();
        self.note = format!(", kernel={}, params={hex}", program.name);
        Ok(KernelLaunch { function: handle, dims, params })
    }

    /// Runs a kernel. An error is the code of its fault.
    pub fn run_kernel(&mut self, launch: &KernelLaunch) -> Result<(), Code> {
        let function = self.functions.get(&launch.function).ok_or(codes::INVALID_HANDLE)?;
        let (name, loaded) = (&function.name, &self.modules[&function.module]);
        let launched = self.gpu.launch(&loaded.module, name, launch.dims, &launch.params);
        // Nothing flushes the library's buffer when the program exits. A failed write must not change its results.
        let mut stdout = std::io::stdout();
        let _ = stdout.write_all(self.gpu.take_output().as_bytes()).and_then(|()| stdout.flush());
        for warning in self.gpu.take_warnings() {
            if self.warned.insert(name.clone()) {
                report(format_args!("warning: {warning}"));
            }
        }
        match launched {
            Ok(profile) => {
                if let Some(file) = &mut self.profile
                    && let Err(error) = file.write_all(profile.table(&self.config.ops).as_bytes())
                {
                    report(format_args!("cannot write the profile: {error}"));
                }
                Ok(())
            }
            Err(fault) => {
                report(&fault);
                Err(match fault.kind {
                    FaultKind::OutOfBounds => codes::ILLEGAL_ADDRESS,
                    FaultKind::Misaligned => codes::MISALIGNED_ADDRESS,
                    FaultKind::Resources => codes::LAUNCH_OUT_OF_RESOURCES,
                    FaultKind::NoProgress | FaultKind::Residency | FaultKind::Timeout => codes::LAUNCH_TIMEOUT,
                    FaultKind::Assert => codes::ASSERT,
                    _ => codes::LAUNCH_FAILED,
                })
            }
        }
    }
}
