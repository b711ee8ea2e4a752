//! A block's memory: which arrays lie in its shared memory.

use super::address::{Address, Space};
use super::{Tile, compiler, ptx};
use crate::shape::{GPU_WARPS, TILE};
use crate::simt::Warp;

/// The memory of a block.
pub struct Memory {
    /// Whether arrays are copied to the block's shared memory.
    shared: bool,
    /// How much of that is taken, in bytes.
    taken: u32,
}

/// An array of the host's that a block works on.
#[derive(Clone, Copy)]
pub struct Resident {
    /// Where the block finds it.
    pub tile: Tile,
    /// Where the host has it; what is scratch has no place there.
    host: Option<Tile>,
    len: usize,
}

impl Memory {
    #[inline(always)]
    pub(in crate::simt) fn new(shared: bool) -> Self {
        Self { shared, taken: 0 }
    }

    /// Makes room for the array at `ptr`, `len` elements (whole tiles) long.
    ///
    /// # Safety
    /// As for [`Tile::new`], and the launch has the shared memory for all arrays that are resident together.
    #[inline(always)]
    pub unsafe fn resident(&mut self, ptr: *mut f32, len: usize) -> Resident {
        // SAFETY: the caller vouches for it.
        let host = unsafe { Tile::new(ptr, len) };
        Resident { tile: self.take(len).unwrap_or(host), host: Some(host), len }
    }

    /// Makes room for `len` elements (whole tiles) that begin as zeros and that the host does not ask for. In shared memory if it
    /// is used; otherwise at `ptr`, where the host has put the zeros.
    ///
    /// # Safety
    /// As for [`Self::resident`], but `ptr` need be valid only where shared memory is not used.
    #[inline(always)]
    pub unsafe fn scratch(&mut self, ptr: *mut f32, len: usize) -> Resident {
        // SAFETY: the caller vouches for it.
        let host = unsafe { Tile::new(ptr, len) };
        Resident { tile: self.take(len).unwrap_or(host), host: None, len }
    }

    /// The next `len` elements of shared memory, if it is used.
    #[inline(always)]
    fn take(&mut self, len: usize) -> Option<Tile> {
        self.shared.then(|| {
            let tile =
                Tile(Address { base: compiler::shared_base().into(), offset: self.taken.into(), space: Space::Shared });
            self.taken += 4 * len as u32;
            tile
        })
    }
}

impl Resident {
    /// Fetches the array's elements, the warps of the block in turns.
    #[inline(always)]
    pub fn load(&self, warp: &Warp) {
        self.each_quad(warp, |i, tile| {
            let quad = match self.host {
                // SAFETY: the array is aligned to sixteen bytes and holds whole quads.
                Some(host) => unsafe { ptx::load_global4(host.0.global_address(i, 0)) },
                None => [0; 4],
            };
            // SAFETY: as above.
            unsafe { ptx::store_shared4(tile, quad) }
        });
    }

    /// Writes the array's elements back, the warps of the block in turns.
    #[inline(always)]
    pub fn store(&self, warp: &Warp) {
        if let Some(host) = self.host {
            self.each_quad(warp, |i, tile| {
                // SAFETY: both arrays are aligned to sixteen bytes and hold whole quads.
                unsafe { ptx::store_global4(host.0.global_address(i, 0), ptx::load_shared4(tile)) }
            });
        }
    }

    /// Runs `copy` for each four elements that fall to the lane: the first one's number, its address in shared memory.
    #[inline(always)]
    fn each_quad(&self, warp: &Warp, copy: impl Fn(usize, u32)) {
        if self.tile.0.space == Space::Shared {
            let first = 4 * (warp.index * 2 * TILE + ptx::lane() as usize);
            for i in (first..self.len).step_by(4 * GPU_WARPS * 2 * TILE) {
                copy(i, self.tile.0.shared_address(i, 0));
            }
        }
    }
}
