//! A block's memory. On the CPU arrays stay where the host put them.

use super::Tile;
use crate::simt::Warp;

/// The memory of a block.
pub struct Memory;

/// An array of the host's that a block works on.
#[derive(Clone, Copy)]
pub struct Resident {
    /// Where the block finds it.
    pub tile: Tile,
}

impl Memory {
    #[inline(always)]
    pub(in crate::simt) fn new(_shared: bool) -> Self {
        Self
    }

    /// Makes room for the array at `ptr`, `len` elements (whole tiles) long.
    ///
    /// # Safety
    /// As for [`Tile::new`].
    #[inline(always)]
    #[allow(clippy::unused_self)] // A GPU's shared memory is given out piece by piece.
    pub unsafe fn resident(&mut self, ptr: *mut f32, len: usize) -> Resident {
        // SAFETY: the caller vouches for it.
        Resident { tile: unsafe { Tile::new(ptr, len) } }
    }

    /// Makes room for `len` elements (whole tiles) that the host does not ask for: at `ptr`, where it has put zeros.
    ///
    /// # Safety
    /// As for [`Tile::new`].
    #[inline(always)]
    pub unsafe fn scratch(&mut self, ptr: *mut f32, len: usize) -> Resident {
        // SAFETY: the caller vouches for it.
        unsafe { self.resident(ptr, len) }
    }
}

impl Resident {
    /// Fetches the array's elements, the warps of the block in turns.
    #[inline(always)]
    #[allow(clippy::unused_self)] // On a GPU a copy.
    pub fn load(&self, _: &Warp) {}

    /// Writes the array's elements back, the warps of the block in turns.
    #[inline(always)]
    #[allow(clippy::unused_self)] // On a GPU a copy.
    pub fn store(&self, _: &Warp) {}
}
