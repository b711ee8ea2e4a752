//! Where in memory an access goes: a block's shared memory, or global memory where a shape's arrays are too large for it.
//!
//! Each access names its address space: through a pointer of unknown space it would be slower. Which space an array is
//! in, the compiler knows once a kernel is inlined.

use super::ptx;

/// Where an array begins.
#[derive(Clone, Copy)]
pub(super) struct Address {
    /// Where the memory begins, in bytes: the block's shared memory, or the array's own in global memory.
    pub(super) base: u64,
    /// Bytes from there.
    pub(super) offset: u64,
    pub(super) space: Space,
}

/// The kind of memory. As wide as an address, so that no padding is copied about: LLVM 7 keeps padding in memory.
#[derive(Clone, Copy, PartialEq)]
#[repr(u64)]
pub(super) enum Space {
    Shared,
    Global,
}

impl Address {
    /// What lies `lane_bytes`, which may differ from lane to lane, behind element `i`.
    #[inline(always)]
    pub(super) fn read(self, i: usize, lane_bytes: u32) -> u32 {
        // SAFETY: the element lies within the array (see `Tile`).
        unsafe {
            if self.space == Space::Shared {
                ptx::load_shared(self.shared_address(i, lane_bytes))
            } else {
                ptx::load_global(self.global_address(i, lane_bytes))
            }
        }
    }

    /// Four elements from `i` on, which is a multiple of four.
    #[inline(always)]
    pub(super) fn read4(self, i: usize) -> [u32; 4] {
        // SAFETY: the elements lie within the array (see `Tile`), which is aligned to sixteen bytes.
        unsafe {
            if self.space == Space::Shared {
                ptx::load_shared4(self.shared_address(i, 0))
            } else {
                ptx::load_global4(self.global_address(i, 0))
            }
        }
    }

    #[inline(always)]
    pub(super) fn write(self, i: usize, lane_bytes: u32, x: u32) {
        // SAFETY: the element lies within the array (see `Tile`).
        unsafe {
            if self.space == Space::Shared {
                ptx::store_shared(self.shared_address(i, lane_bytes), x);
            } else {
                ptx::store_global(self.global_address(i, lane_bytes), x);
            }
        }
    }

    #[inline(always)]
    pub(super) fn shared_address(self, i: usize, lane_bytes: u32) -> u32 {
        (self.base as u32).wrapping_add(lane_bytes).wrapping_add(self.offset as u32).wrapping_add(4 * i as u32)
    }

    #[inline(always)]
    pub(super) fn global_address(self, i: usize, lane_bytes: u32) -> u64 {
        self.base.wrapping_add(lane_bytes.into()).wrapping_add(self.offset).wrapping_add(4 * i as u64)
    }

    #[inline(always)]
    pub(super) fn at(self, offset: usize) -> Self {
        Self { offset: self.offset.wrapping_add(4 * offset as u64), ..self }
    }

    /// See [`super::Tile::opaque`].
    #[inline(always)]
    pub(super) fn opaque(self) -> Self {
        let base =
            if self.space == Space::Shared { ptx::opaque32(self.base as u32).into() } else { ptx::opaque64(self.base) };
        Self { base, ..self }
    }
}
