//! Addresses in a block's shared memory, or in global memory if the arrays are too large for it.
//!
//! Each access names its address space, because a generic access is slower. The compiler knows an array's space once a
//! kernel is inlined.

use super::ptx;

/// The address of an array.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    /// The start, in bytes, of the block's shared memory, or of the array in global memory.
    pub(super) base: u64,
    /// The offset from `base`, in bytes.
    pub(super) offset: u64,
    pub(super) space: Space,
}

/// The state space of an array. It is as wide as an address, because LLVM 7 keeps the padding of copied structs in
/// memory.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u64)]
pub(super) enum Space {
    Shared,
    Global,
}

impl Address {
    /// Loads the word `lane_bytes` after element `i`. `lane_bytes` may differ from lane to lane.
    #[inline(always)]
    pub(super) fn read(self, i: usize, lane_bytes: u32) -> u32 {
        // SAFETY: the element lies within the array (see `View`).
        unsafe {
            if self.space == Space::Shared {
                ptx::load_shared(self.shared_address(i, lane_bytes))
            } else {
                ptx::load_global(self.global_address(i, lane_bytes))
            }
        }
    }

    /// Loads the four words `lane_bytes` after element `OFFSET + i`, all multiples of four elements.
    #[inline(always)]
    pub(super) fn read4<const OFFSET: usize>(self, i: usize, lane_bytes: u32) -> [u32; 4] {
        // SAFETY: the elements lie within the array (see `View`), which is aligned to sixteen bytes.
        unsafe {
            if self.space == Space::Shared {
                ptx::load_shared4::<OFFSET>(self.shared_address(i, lane_bytes))
            } else {
                ptx::load_global4::<OFFSET>(self.global_address(i, lane_bytes))
            }
        }
    }

    /// Stores a word `lane_bytes` after element `i`.
    #[inline(always)]
    pub(super) fn write(self, i: usize, lane_bytes: u32, x: u32) {
        self.write_at::<0>(i, lane_bytes, x);
    }

    /// Stores a word `lane_bytes` after element `OFFSET + i`.
    #[inline(always)]
    pub(super) fn write_at<const OFFSET: usize>(self, i: usize, lane_bytes: u32, x: u32) {
        // SAFETY: the element lies within the array (see `View`).
        unsafe {
            if self.space == Space::Shared {
                ptx::store_shared::<OFFSET>(self.shared_address(i, lane_bytes), x);
            } else {
                ptx::store_global::<OFFSET>(self.global_address(i, lane_bytes), x);
            }
        }
    }

    /// Stores the four words `lane_bytes` after element `OFFSET + i`, all multiples of four elements.
    #[inline(always)]
    pub(super) fn write4<const OFFSET: usize>(self, i: usize, lane_bytes: u32, x: [u32; 4]) {
        // SAFETY: the elements lie within the array (see `View`), which is aligned to sixteen bytes.
        unsafe {
            if self.space == Space::Shared {
                ptx::store_shared4::<OFFSET>(self.shared_address(i, lane_bytes), x);
            } else {
                ptx::store_global4::<OFFSET>(self.global_address(i, lane_bytes), x);
            }
        }
    }

    /// Loads the four words `lane_bytes` after the first element, a multiple of four elements, if `condition` holds,
    /// otherwise returns zeros.
    #[inline(always)]
    pub(super) fn read4_where(self, condition: bool, lane_bytes: u32) -> [u32; 4] {
        // SAFETY: the elements that are read lie within the array (see `View`), which is aligned to sixteen bytes.
        unsafe {
            if self.space == Space::Shared {
                ptx::load_shared4_where(condition, self.shared_address(0, lane_bytes))
            } else {
                ptx::load_global4_where(condition, self.global_address(0, lane_bytes))
            }
        }
    }

    /// Stores the four words `lane_bytes` after the first element, a multiple of four elements, if `condition` holds.
    #[inline(always)]
    pub(super) fn write4_where(self, condition: bool, lane_bytes: u32, x: [u32; 4]) {
        // SAFETY: the elements that are written lie within the array (see `View`), which is aligned to sixteen bytes.
        unsafe {
            if self.space == Space::Shared {
                ptx::store_shared4_where(condition, self.shared_address(0, lane_bytes), x);
            } else {
                ptx::store_global4_where(condition, self.global_address(0, lane_bytes), x);
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
        self.at_bytes(4 * offset)
    }

    #[inline(always)]
    pub(super) fn at_bytes(self, offset: usize) -> Self {
        Self { offset: self.offset.wrapping_add(offset as u64), ..self }
    }

    /// Hides the address from the optimiser.
    #[inline(always)]
    pub(super) fn hide(self) -> Self {
        let base =
            if self.space == Space::Shared { ptx::hide_b32(self.base as u32).into() } else { ptx::hide_b64(self.base) };
        Self { base, ..self }
    }
}
