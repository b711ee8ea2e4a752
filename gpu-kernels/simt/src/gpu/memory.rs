//! A block's memory, with the arrays that lie in its shared memory.

use super::address::{Address, Space};
use super::view::View;
use super::{compiler, ptx};
use crate::target::{GPU_WARPS, HALF_WARP};

/// The memory of a block.
pub struct Memory {
    /// Whether arrays are copied to the block's shared memory.
    shared: bool,
    /// The number of bytes of shared memory that are taken.
    taken: u32,
}

/// A host array that a block works on.
#[derive(Clone, Copy)]
pub struct Staged {
    /// The memory in which the block works on the array.
    pub view: View,
    /// The host's memory, or `None` for a workspace.
    host: Option<View>,
    len: usize,
}

impl Memory {
    #[inline(always)]
    pub(crate) fn new(shared: bool) -> Self {
        Self { shared, taken: 0 }
    }

    /// Makes room for the array of `len` elements at `ptr`. `len` is a multiple of [`HALF_WARP`].
    ///
    /// # Safety
    /// The conditions of [`View::new`] hold, and the launch has shared memory for all arrays that are staged together.
    #[inline(always)]
    pub unsafe fn staged(&mut self, ptr: *mut f32, len: usize) -> Staged {
        // SAFETY: the caller keeps the contract of `View::new`.
        let host = unsafe { View::new(ptr, len) };
        Staged { view: self.take(len).unwrap_or(host), host: Some(host), len }
    }

    /// Makes room for `len` elements, a multiple of [`HALF_WARP`], that begin as zeros and that the host does not read
    /// back. The elements lie in shared memory if it is used, otherwise at `ptr`, where the host has put the zeros.
    ///
    /// # Safety
    /// The conditions of [`Self::staged`] hold. If shared memory is used, `ptr` need not be valid.
    #[inline(always)]
    pub unsafe fn workspace(&mut self, ptr: *mut f32, len: usize) -> Staged {
        // SAFETY: the caller keeps the contract of `View::new`, or shared memory is used and `host` is not.
        let host = unsafe { View::new(ptr, len) };
        Staged { view: self.take(len).unwrap_or(host), host: None, len }
    }

    /// Takes the next `len` elements of shared memory, if shared memory is used.
    #[inline(always)]
    fn take(&mut self, len: usize) -> Option<View> {
        self.shared.then(|| {
            let base = compiler::shared_base().into();
            let view = View(Address::new(base, self.taken.into(), Space::Shared));
            self.taken += 4 * len as u32;
            view
        })
    }
}

impl Staged {
    /// Copies the part of warp `warp` to the block's memory.
    #[inline(always)]
    pub(crate) fn fetch(self, warp: usize) {
        self.each_quad(warp, |i, shared| {
            let quad = match self.host {
                // SAFETY: the array is aligned to sixteen bytes and holds whole quads.
                Some(host) => unsafe { ptx::load_global4::<0>(host.0.global_address(i, 0)) },
                None => [0; 4],
            };
            // SAFETY: the copy in shared memory has the length of the array and is aligned to sixteen bytes.
            unsafe { ptx::store_shared4::<0>(shared, quad) }
        });
    }

    /// Copies the part of warp `warp` back to the host's memory.
    #[inline(always)]
    pub(crate) fn write_back(self, warp: usize) {
        if let Some(host) = self.host {
            self.each_quad(warp, |i, shared| {
                // SAFETY: both arrays are aligned to sixteen bytes and hold whole quads.
                unsafe { ptx::store_global4::<0>(host.0.global_address(i, 0), ptx::load_shared4::<0>(shared)) }
            });
        }
    }

    /// Runs `copy` for each four elements that fall to the lane, with their index and their address in shared memory.
    #[inline(always)]
    fn each_quad(self, warp: usize, copy: impl Fn(usize, u32)) {
        if self.view.0.space == Space::Shared {
            let first = 4 * (warp * 2 * HALF_WARP + ptx::lane() as usize);
            for i in (first..self.len).step_by(4 * GPU_WARPS * 2 * HALF_WARP) {
                copy(i, self.view.0.shared_address(i, 0));
            }
        }
    }
}
