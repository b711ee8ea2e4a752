//! Lanes on a GPU: a lane is a thread, its number a register.
//!
//! Lane `l` holds channel `l % 16`, both half-warps the same numbers of an [`F32x16`].

use core::mem::MaybeUninit;
use core::ops::Range;

use super::{Isa, Target};
use crate::shape::TILE;

mod address;
mod channels;
mod compiler;
mod lanes;
mod memory;
mod ptx;
mod tile;

pub use channels::{F32x16, Mask16, U32x16, sqrt};
pub(crate) use compiler::kernels;
pub use lanes::F32x32;
pub use memory::{Memory, Resident};
pub use tile::{Ids, Splats, Tile};

/// A GPU, the block's arrays in its shared memory.
#[derive(Clone, Copy)]
pub(crate) struct GpuShared;

/// A GPU, the block's arrays in global memory.
#[derive(Clone, Copy)]
pub(crate) struct GpuGlobal;

// SAFETY: what is compiled for a GPU runs on one.
unsafe impl Target for GpuShared {
    const ISA: Isa = Isa::Ptx;
    const SHARED_MEMORY: bool = true;
}

// SAFETY: as above.
unsafe impl Target for GpuGlobal {
    const ISA: Isa = Isa::Ptx;
}

/// Runs `work` for the block that the thread belongs to.
#[inline(always)]
pub(super) fn each_block(blocks: Range<usize>, work: impl Fn(usize)) {
    work(blocks.start);
}

/// Runs `work` for the warp that the thread belongs to, then waits for the others.
#[inline(always)]
pub(super) fn each_warp(work: impl Fn(usize)) {
    work(ptx::warp() as usize);
    ptx::block_barrier();
}

/// See [`super::Warp::sync`].
#[inline(always)]
pub(super) fn warp_sync() {
    ptx::warp_barrier();
}

/// How many [`F32x32`] can be summed up in registers: each is one register of a lane's.
#[inline(always)]
pub(super) fn accumulators(_: Isa) -> usize {
    TILE
}

/// See [`super::Warp::sqrt`].
#[inline(always)]
pub(super) fn sqrt_all<const N: usize>(_: Isa, x: [F32x32; N]) -> [F32x32; N] {
    x.map(
        #[inline(always)]
        |x| F32x32(sqrt(x.0)),
    )
}

/// The blocks of the launch that the thread sees: its own, and how many there are.
#[inline(always)]
pub(crate) fn launch() -> (usize, usize) {
    (compiler::block() as usize, compiler::blocks() as usize)
}

/// A value in global memory. To a plain read through a pointer that a launch brings, the value might lie anywhere.
///
/// # Safety
/// `at` is valid for reads, and the value consists of whole words.
#[inline(always)]
pub(crate) unsafe fn read_global<T: Copy>(at: *const T) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    for i in 0..size_of::<T>() / 4 {
        // SAFETY: the caller vouches for the value, of which this is a word.
        unsafe { value.as_mut_ptr().cast::<u32>().add(i).write(ptx::load_global(at as u64 + 4 * i as u64)) };
    }
    // SAFETY: all of its words are written.
    unsafe { value.assume_init() }
}

/// Lets the blocks of a launch wait for each other.
pub(crate) struct GridBarrier {
    counter: *mut u32,
    blocks: u32,
    arrivals: u32,
}

impl GridBarrier {
    /// # Safety
    /// `counter` is zero when the launch begins and nothing else uses it; all `blocks` blocks are resident at once.
    #[inline(always)]
    pub(crate) unsafe fn new(counter: *mut u32, blocks: usize) -> Self {
        Self { counter, blocks: blocks as u32, arrivals: 0 }
    }

    /// Runs `work`, the block's part of a phase, then waits for every other block's: what they wrote, every block may read
    /// afterwards.
    #[inline(always)]
    pub(crate) fn phase(&mut self, work: impl FnOnce()) {
        work();
        self.arrivals = self.arrivals.wrapping_add(self.blocks);
        ptx::block_barrier();
        // SAFETY: the caller of `new` vouched for the counter.
        unsafe { ptx::await_blocks(self.counter, self.arrivals) };
        ptx::block_barrier();
    }
}
