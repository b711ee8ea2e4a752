//! A block's memory. On the CPU, arrays stay in the host's memory.

use super::view::View;

/// The memory of a block.
pub struct Memory;

/// A host array that a block works on.
#[derive(Clone, Copy)]
pub struct Staged {
    /// The memory in which the block works on the array.
    pub view: View,
}

impl Memory {
    #[inline(always)]
    pub(crate) fn new(_shared: bool) -> Self {
        Self
    }

    /// Makes room for the array of `len` elements at `ptr`. `len` is a multiple of [`HALF_WARP`](crate::HALF_WARP).
    ///
    /// # Safety
    /// The conditions of [`View::new`] hold.
    #[inline(always)]
    #[allow(clippy::unused_self)] // A GPU hands out shared memory piece by piece.
    pub unsafe fn staged(&mut self, ptr: *mut f32, len: usize) -> Staged {
        // SAFETY: the caller keeps the contract of `View::new`.
        Staged { view: unsafe { View::new(ptr, len) } }
    }

    /// Makes room for `len` elements that begin as zeros and that the host does not read back. The host has put the
    /// zeros at `ptr`.
    ///
    /// # Safety
    /// The conditions of [`View::new`] hold.
    #[inline(always)]
    pub unsafe fn workspace(&mut self, ptr: *mut f32, len: usize) -> Staged {
        // SAFETY: the caller keeps the contract of `View::new`.
        unsafe { self.staged(ptr, len) }
    }
}

impl Staged {
    #[inline(always)]
    #[allow(clippy::unused_self)] // A GPU copies the array.
    pub(crate) fn fetch(self, _warp: usize) {}

    #[inline(always)]
    #[allow(clippy::unused_self)] // A GPU copies the array.
    pub(crate) fn write_back(self, _warp: usize) {}
}
