//! The properties of the emulated device.

/// The properties of a device.
///
/// The limits of each architecture come from the CUDA C++ Programming Guide, "Compute Capabilities", table "Technical
/// Specifications per Compute Capability".
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

    /// Returns the shared memory of a multiprocessor in bytes.
    pub fn shared_per_sm(&self) -> u32 {
        1024 * match self.architecture() {
            ..=74 => 96,
            75..=79 => 64,
            80 | 87 => 164,
            86 | 89 | 120..=129 => 100,
            _ => 228,
        }
    }

    /// Returns the bytes of shared memory that the system reserves in each block.
    pub fn shared_reserved(&self) -> u32 {
        if self.architecture() >= 80 { 1024 } else { 0 }
    }

    /// Returns the most shared memory in bytes that a kernel can opt in to.
    pub fn shared_per_block_optin(&self) -> u32 {
        self.shared_per_sm() - self.shared_reserved()
    }

    /// Returns the most resident threads of a multiprocessor.
    pub fn threads_per_sm(&self) -> u32 {
        match self.architecture() {
            75..=79 => 1024,
            86 | 87 | 89 | 120..=129 => 1536,
            _ => 2048,
        }
    }

    /// Returns the most resident blocks of a multiprocessor.
    pub fn blocks_per_sm(&self) -> u32 {
        match self.architecture() {
            75..=79 | 86 | 87 => 16,
            89 | 120..=129 => 24,
            _ => 32,
        }
    }

    /// Returns how many blocks of `threads` threads and `shared` bytes of shared memory can be resident on a
    /// multiprocessor.
    pub fn resident_blocks(&self, threads: u32, shared: u32) -> u32 {
        let warps = threads.div_ceil(32).max(1);
        // A multiprocessor has 65,536 registers and allocates them to warps in units of 256.
        let by_registers = 65_536 / ((32 * self.registers).next_multiple_of(256) * warps).max(1);
        let shared = (shared + self.shared_reserved()).next_multiple_of(128);
        let by_shared = self.shared_per_sm().checked_div(shared).unwrap_or(u32::MAX);
        self.blocks_per_sm().min(self.threads_per_sm() / (32 * warps)).min(by_registers).min(by_shared)
    }
}
