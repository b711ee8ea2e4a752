//! The device that the emulator pretends to be.

/// A device's properties. The limits of an architecture are those of the CUDA C++ Programming Guide, "Compute
/// capabilities", table of technical specifications.
#[derive(Clone, Debug)]
pub struct Device {
    /// Compute capability, major and minor.
    pub capability: (u32, u32),
    /// Streaming multiprocessors.
    pub sms: u32,
    /// Bytes of global memory.
    pub memory: u64,
    /// Registers that each thread is taken to need.
    pub registers: u32,
}

impl Default for Device {
    fn default() -> Self {
        Self { capability: (9, 0), sms: 132, memory: 16 << 30, registers: 64 }
    }
}

impl Device {
    fn number(&self) -> u32 {
        10 * self.capability.0 + self.capability.1
    }

    /// Bytes of shared memory of a multiprocessor.
    pub fn shared_per_sm(&self) -> u32 {
        1024 * match self.number() {
            ..=74 => 96,
            75..=79 => 64,
            80 | 87 => 164,
            86 | 89 | 120..=129 => 100,
            _ => 228,
        }
    }

    /// Bytes of shared memory that the system keeps of each block.
    pub fn shared_reserved(&self) -> u32 {
        if self.number() >= 80 { 1024 } else { 0 }
    }

    /// Bytes of shared memory that a block can have, if its kernel asks for it.
    pub fn shared_per_block_optin(&self) -> u32 {
        self.shared_per_sm() - self.shared_reserved()
    }

    /// Threads of a multiprocessor.
    pub fn threads_per_sm(&self) -> u32 {
        match self.number() {
            75..=79 => 1024,
            86 | 87 | 89 | 120..=129 => 1536,
            _ => 2048,
        }
    }

    /// Blocks of a multiprocessor.
    pub fn blocks_per_sm(&self) -> u32 {
        match self.number() {
            75..=79 | 86 | 87 => 16,
            89 | 120..=129 => 24,
            _ => 32,
        }
    }

    /// Blocks of `threads` threads and `shared` bytes of shared memory that a multiprocessor holds at once.
    pub fn resident(&self, threads: u32, shared: u32) -> u32 {
        let warps = threads.div_ceil(32).max(1);
        // Registers go to warps in pieces of 256 of the 65,536.
        let by_registers = 65_536 / ((32 * self.registers).next_multiple_of(256) * warps).max(1);
        let shared = (shared + self.shared_reserved()).next_multiple_of(128);
        let by_shared = self.shared_per_sm().checked_div(shared).unwrap_or(u32::MAX);
        self.blocks_per_sm().min(self.threads_per_sm() / (32 * warps)).min(by_registers).min(by_shared)
    }
}
