//! The properties of the emulated device.

/// The properties of a device.
#[derive(Clone, Debug)]
pub struct Device {
    /// Compute capability, major and minor.
    pub capability: (u32, u32),
    /// Number of streaming multiprocessors.
    pub sms: u32,
    /// Global memory in bytes.
    pub memory: u64,
    /// Registers per thread that every kernel is assumed to need.
    pub registers: u32,
}

/// The limits of a multiprocessor (CUDA C++ Programming Guide, "Compute Capabilities", table "Technical Specifications
/// per Compute Capability").
pub struct Limits {
    /// Resident threads.
    pub threads: u32,
    /// Resident blocks.
    pub blocks: u32,
    /// Shared memory in bytes.
    pub shared: u32,
}

impl Default for Device {
    fn default() -> Self {
        Self { capability: (9, 0), sms: 132, memory: 16 << 30, registers: 64 }
    }
}

impl Device {
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

    /// Returns the bytes of shared memory that the system reserves in each block.
    pub fn shared_reserved(&self) -> u32 {
        if self.architecture() >= 80 { 1024 } else { 0 }
    }

    /// Returns the most shared memory in bytes that a kernel can opt in to.
    pub fn shared_per_block_optin(&self) -> u32 {
        self.limits().shared - self.shared_reserved()
    }

    /// Returns how many blocks of `threads` threads and `shared` bytes of shared memory can be resident on a
    /// multiprocessor.
    pub fn resident_blocks(&self, threads: u32, shared: u32) -> u32 {
        let warps = threads.div_ceil(32).max(1);
        // A multiprocessor has 65,536 registers and allocates them to warps in units of 256.
        let by_registers = 65_536 / ((32 * self.registers).next_multiple_of(256) * warps).max(1);
        let shared = (shared + self.shared_reserved()).next_multiple_of(128);
        let limits = self.limits();
        let by_shared = limits.shared.checked_div(shared).unwrap_or(u32::MAX);
        limits.blocks.min(limits.threads / (32 * warps)).min(by_registers).min(by_shared)
    }
}
