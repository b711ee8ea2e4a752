//! The descriptions of a device and of a launch on it.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use crate::program::Program;

/// The shape of a launch.
#[derive(Clone, Copy, Debug)]
pub struct Dims {
    /// The number of blocks along x, y, z.
    pub grid: [u32; 3],
    /// The number of threads of a block along x, y, z.
    pub block: [u32; 3],
    /// The dynamic shared memory of a block in bytes, in addition to the shared memory that the kernel declares.
    pub shared: usize,
    /// The number of blocks of a cluster along x, y, z. The cluster that the kernel requires replaces it.
    pub cluster: [u32; 3],
}

impl Dims {
    /// Returns a one-dimensional shape of `blocks` blocks of `threads` threads, without dynamic shared memory.
    pub fn new(blocks: u32, threads: u32) -> Self {
        Self { grid: [blocks, 1, 1], block: [threads, 1, 1], shared: 0, cluster: [1; 3] }
    }

    /// Returns the number of blocks, or `None` if it overflows.
    pub fn blocks(&self) -> Option<u32> {
        self.grid.iter().try_fold(1u32, |product, n| product.checked_mul(*n))
    }

    /// Returns the number of threads of a block, or `None` if it overflows.
    pub fn threads(&self) -> Option<u32> {
        self.block.iter().try_fold(1u32, |product, n| product.checked_mul(*n))
    }
}

/// A kernel with the shape and the settings of its launch.
#[derive(Clone, Copy)]
pub struct Launch<'a> {
    /// The kernel.
    pub program: &'a Program,
    /// The module's source files by the number that `.file` gives them.
    pub files: &'a HashMap<u32, String>,
    /// The shape of the grid.
    pub dims: Dims,
    /// The seed that permutes the order of blocks and warps, or 0 for ascending order.
    pub order: u64,
    /// The largest number of threads of the host that run the blocks.
    pub threads: usize,
    /// Whether bank conflicts and cycles are modelled.
    pub timed: bool,
    /// The index of the block whose cycles the profile states, or `None` for the block with the largest bound.
    pub block: Option<u32>,
    /// The checks of the kernel.
    pub checks: Checks,
    /// The limits of the launch.
    pub watchdog: Watchdog,
}

/// The checks of running kernels. Each level includes those before it. Accesses out of bounds, misaligned accesses and
/// barriers that only some threads reach are faults at every level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checks {
    /// No further checks, which is the fastest.
    Memory,
    /// The checks for every valid CUDA program. Races between plain accesses to shared memory are faults. A read of
    /// uninitialised shared memory is a warning.
    #[default]
    Cuda,
    /// The checks of programs that have no races at all, also in global memory and between equal values, that read no
    /// uninitialised memory, that shuffle between active lanes alone, and whose threads all reach each barrier. A launch
    /// without progress is a fault.
    Strict,
}

/// The limits after which a launch ends with a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watchdog {
    /// The number of instructions, summed over all warps.
    pub instructions: u64,
    /// The time on the host.
    pub time: Duration,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self { instructions: 100_000_000_000, time: Duration::from_mins(10) }
    }
}

impl Launch<'_> {
    /// Returns the shared memory of a block in bytes.
    pub fn shared(&self) -> usize {
        self.program.shared_size.saturating_add(self.dims.shared)
    }

    /// Returns the size in bytes of what the host stores for a block of `threads` threads.
    pub fn block_state(&self, threads: u32) -> usize {
        let registers = &self.program.registers;
        let warp = 32 * self.program.local_size + 128 * registers.b32.len() + 256 * registers.b64.len() + 4096;
        self.shared() + threads.div_ceil(32) as usize * warp
    }

    /// Returns a human-readable description of instruction `pc`: its PTX line, its mnemonic and its source lines.
    pub fn describe(&self, pc: usize) -> String {
        let inst = &self.program.code[pc];
        let mut text = format!("PTX line {}: `{}`", inst.line, inst.mnemonic);
        for (i, (file, line)) in self.program.source_locations[inst.source_location].0.iter().enumerate() {
            let file = self.files.get(file).map_or("?", String::as_str);
            let how = if i == 0 { "from" } else { "inlined at" };
            // The compiler writes line 0 for code that it merged from several lines.
            let line = if *line == 0 { String::new() } else { format!(":{line}") };
            text = format!("{text}\n    {how} {file}{line}");
        }
        text
    }
}

impl fmt::Debug for Launch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch").field("kernel", &self.program.name).field("dims", &self.dims).finish_non_exhaustive()
    }
}

/// The properties of a device.
#[derive(Clone, Debug)]
pub struct DeviceProperties {
    /// The compute capability, major and minor.
    pub capability: (u32, u32),
    /// The number of streaming multiprocessors.
    pub sms: u32,
    /// The global memory in bytes.
    pub memory: u64,
    /// The number of registers per thread that every kernel is assumed to need.
    pub registers: u32,
}

/// The largest number of threads of a block.
pub const MAX_THREADS: u32 = 1024;

/// The number of registers of a multiprocessor.
pub const REGISTERS: u32 = 1 << 16;

/// The limits of a multiprocessor (CUDA C++ Programming Guide, "Technical Specifications per Compute Capability").
pub struct Limits {
    pub threads: u32,
    pub blocks: u32,
    /// The shared memory in bytes.
    pub shared: u32,
}

impl Default for DeviceProperties {
    fn default() -> Self {
        Self { capability: (9, 0), sms: 132, memory: 16 << 30, registers: 64 }
    }
}

impl DeviceProperties {
    /// Returns the number of the architecture as in `sm_90`.
    pub fn architecture(&self) -> u32 {
        10 * self.capability.0 + self.capability.1
    }

    /// Returns the limits of a multiprocessor.
    pub fn limits(&self) -> Limits {
        let (threads, blocks, shared) = match self.architecture() {
            ..=74 => (2048, 32, 96),
            75..=79 => (1024, 16, 64),
            80 => (2048, 32, 164),
            86 => (1536, 16, 100),
            87 => (1536, 16, 164),
            89 | 120..=129 => (1536, 24, 100),
            _ => (2048, 32, 228),
        };
        Limits { threads, blocks, shared: shared * 1024 }
    }

    /// Returns the number of bytes of shared memory that the system reserves in each block.
    pub fn shared_reserved(&self) -> u32 {
        if self.architecture() >= 80 { 1024 } else { 0 }
    }

    /// Returns the largest shared memory in bytes that a kernel can opt in to.
    pub fn shared_per_block_optin(&self) -> u32 {
        self.limits().shared - self.shared_reserved()
    }

    /// Returns how many blocks of `threads` threads and `shared` bytes of shared memory a multiprocessor can hold.
    pub fn resident_blocks(&self, threads: u32, shared: usize) -> u32 {
        let warps = threads.div_ceil(32).max(1);
        // A multiprocessor allocates registers to warps in units of 256.
        let by_registers = REGISTERS / ((32 * self.registers).next_multiple_of(256) * warps).max(1);
        let shared = shared.saturating_add(self.shared_reserved() as usize);
        let shared = shared.checked_next_multiple_of(128).unwrap_or(usize::MAX);
        let limits = self.limits();
        let by_shared = (limits.shared as usize).checked_div(shared).map_or(u32::MAX, |blocks| blocks as u32);
        limits.blocks.min(limits.threads / (32 * warps)).min(by_registers).min(by_shared)
    }
}
