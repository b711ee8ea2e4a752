//! The bytes of a segment, which can also be memory of the host that kernels access in place.

use std::ops::{Deref, DerefMut};

/// The alignment of host memory in bytes, a page.
const PAGE: usize = 4096;

/// Bytes at a fixed address.
pub struct Buffer {
    start: *mut u8,
    len: usize,
    /// The memory of the bytes, which moves with the buffer but keeps its address. It is empty if the program under test
    /// owns the bytes.
    #[allow(dead_code, reason = "the memory lives as long as the buffer")]
    memory: Vec<u8>,
}

// SAFETY: a buffer owns its memory, or the program under test keeps registered memory for any thread of the driver.
unsafe impl Send for Buffer {}
// SAFETY: as above. A shared reference only reads.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Returns `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        let mut memory = vec![0; len];
        Self { start: memory.as_mut_ptr(), len, memory }
    }

    /// Returns `len` zeros at the start of a page.
    pub fn pages(len: usize) -> Self {
        let mut memory = vec![0; len + PAGE];
        let start = memory.as_mut_ptr();
        let start = start.wrapping_add(start.align_offset(PAGE));
        Self { start, len, memory }
    }

    /// Returns the bytes at an address of the host.
    ///
    /// # Safety
    /// The program under test must keep `len` bytes at `address` until it unregisters them.
    pub unsafe fn registered(address: u64, len: usize) -> Self {
        Self { start: std::ptr::with_exposed_provenance_mut(address as usize), len, memory: Vec::new() }
    }

    /// Returns the address of the first byte on the host.
    pub fn address(&self) -> u64 {
        self.start.expose_provenance() as u64
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self::zeroed(0)
    }
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        // SAFETY: `start` points to `len` initialised bytes of `memory`, or of the program under test.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl DerefMut for Buffer {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and the buffer is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}
