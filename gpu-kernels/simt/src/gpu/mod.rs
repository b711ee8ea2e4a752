//! Lanes on a GPU. A lane is a thread, and its value is a register.
//!
//! Lane `l` holds channel `l % 16`. Both half-warps hold the same values of an [`F32x16`].

use core::mem::MaybeUninit;
use core::ops::Range;

use crate::target::{HALF_WARP, Isa, Target};

mod address;
mod array_memory;
pub(crate) mod atomics;
mod channels;
mod compiler;
mod conversions;
mod entries;
mod lanes;
mod memory;
mod ptx;
mod ptx_words;
mod quads;
mod view;
mod warp_lanes;
mod wide_lanes;
mod words;

use address::{Address, Space};
pub use channels::{F32x16, Mask16, U32x16, sqrt};
pub use lanes::F32x32;
pub use memory::{Memory, Staged};
pub use view::{BroadcastPairs, Broadcasts, U32View, View};
pub use warp_lanes::{I32x32, Mask32, U32x32};
pub use wide_lanes::{F64x32, U64x32};
pub use words::{W16, W32, W64, Word};

/// A GPU, with the block's arrays in its shared memory.
#[derive(Clone, Copy)]
pub struct GpuShared;

/// A GPU, with the block's arrays in global memory.
#[derive(Clone, Copy)]
pub struct GpuGlobal;

// SAFETY: code for this architecture is PTX, so it runs only on devices that execute PTX.
unsafe impl Target for GpuShared {
    const ISA: Isa = Isa::Ptx;
    const SHARED_MEMORY: bool = true;
}

// SAFETY: code for this architecture is PTX, so it runs only on devices that execute PTX.
unsafe impl Target for GpuGlobal {
    const ISA: Isa = Isa::Ptx;
}

/// Runs `work` for the block that the thread belongs to.
#[inline(always)]
pub(crate) fn each_block(blocks: Range<usize>, work: impl Fn(usize)) {
    work(blocks.start);
}

/// The index of the warp that the thread belongs to.
pub(crate) type WarpIndex = u32;

/// Returns the index of the warp that the thread belongs to.
#[inline(always)]
pub(crate) fn warp_index() -> WarpIndex {
    ptx::warp()
}

/// Runs `work` for the warp that the thread belongs to, then waits for the other warps.
#[inline(always)]
pub(crate) fn each_warp(warp: WarpIndex, work: impl Fn(usize)) {
    work(warp as usize);
    ptx::block_barrier();
}

/// The value of the thread's warp.
pub(crate) type PerWarp<V> = V;

/// Returns `value` for the thread's warp.
#[inline(always)]
pub(crate) fn per_warp<V>(value: V) -> PerWarp<V> {
    value
}

/// Runs `work` for the warp that the thread belongs to with the warp's value, then waits for the other warps.
#[inline(always)]
pub(crate) fn each_warp_with<V>(warp: WarpIndex, value: &mut PerWarp<V>, work: impl Fn(usize, &mut V)) {
    work(warp as usize, value);
    ptx::block_barrier();
}

/// Hides a value below 2^32 from the optimiser.
#[inline(always)]
pub(crate) fn hide(x: usize) -> usize {
    ptx::hide_b32(x as u32) as usize
}

/// Hides values from the optimiser. Those without a use take no instruction, but for the first one.
#[inline(always)]
pub(crate) fn hide_all<const N: usize>(mut x: [u32; N]) -> [u32; N] {
    x[0] = ptx::hide_b32(x[0]);
    for i in 1..N {
        x[i] = ptx::hide_b32_at(x[i], x[0]);
    }
    x
}

/// Waits for the lanes of the warp.
#[inline(always)]
pub(crate) fn warp_sync() {
    ptx::warp_barrier();
}

/// Returns how many [`F32x32`] accumulators fit in registers. Each takes one register of a lane.
#[inline(always)]
pub(crate) fn accumulators(_: Isa) -> usize {
    HALF_WARP
}

/// Returns the square roots, see [`Warp::sqrt`](crate::Warp::sqrt).
#[inline(always)]
pub(crate) fn sqrt_all<const N: usize>(
    _: Isa,
    mut x: [F32x32; N],
    _: impl Fn(F32x16, F32x16) -> F32x16,
) -> [F32x32; N] {
    for i in 0..N {
        x[i] = F32x32(sqrt(x[i].0));
    }
    x
}

/// Returns the quotients by `from_estimate`, see [`Warp::divide`](crate::Warp::divide). ptxas makes ten instructions of a
/// division, among them a check of the range and a branch, which keeps the divisions of a lane from running at once.
#[inline(always)]
pub(crate) fn divide_all<const N: usize>(
    mut a: [F32x32; N],
    b: [F32x32; N],
    from_estimate: impl Fn(F32x32, F32x32, F32x32) -> F32x32,
) -> [F32x32; N] {
    for i in 0..N {
        a[i] = from_estimate(a[i], b[i], F32x32(ptx::reciprocal(b[i].0)));
    }
    a
}

/// Runs `work` with a view of `LEN` elements at the beginning of the launch's dynamic shared memory.
#[inline(always)]
pub(crate) fn with_shared<const LEN: usize>(work: impl FnOnce(View)) {
    let base = compiler::shared_base().into();
    work(View(Address::new(base, 0, Space::Shared)));
}

/// Returns the index of the thread's block and the number of blocks of the launch.
#[inline(always)]
pub fn launch() -> (usize, usize) {
    (compiler::block() as usize, compiler::blocks() as usize)
}

/// Returns what [`launch`] does. Each call reads both numbers anew, so that neither has to be kept in a register.
#[inline(always)]
pub fn read_launch() -> (usize, usize) {
    (ptx::block() as usize, ptx::blocks() as usize)
}

/// Loads a value from global memory. A plain read through a pointer from a launch would be a generic access.
///
/// # Safety
/// `at` is valid for reads, and the value consists of whole words.
#[inline(always)]
pub unsafe fn read_global<T: Copy>(at: *const T) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    for i in 0..size_of::<T>() / 4 {
        // SAFETY: by the contract of this function, `at` is valid for reads of every word of the value.
        unsafe { value.as_mut_ptr().cast::<u32>().add(i).write(ptx::load_global(at as u64 + 4 * i as u64)) };
    }
    // SAFETY: the loop has written all words of the value.
    unsafe { value.assume_init() }
}

/// A barrier of all blocks of a launch.
pub struct GridBarrier {
    counter: *mut u32,
    arrivals: u32,
}

impl GridBarrier {
    /// Returns the barrier of a launch.
    ///
    /// # Safety
    /// `counter` is zero when the launch begins and nothing else uses it. All blocks of the launch are resident at once.
    #[inline(always)]
    pub unsafe fn new(counter: *mut u32) -> Self {
        Self { counter, arrivals: 0 }
    }

    /// Runs `work`, the block's part of a phase, then waits for every other block. Every block may then read what any
    /// block wrote.
    #[inline(always)]
    pub fn phase(&mut self, work: impl FnOnce()) {
        work();
        self.arrivals = self.arrivals.wrapping_add(ptx::blocks());
        ptx::block_barrier();
        // SAFETY: by the contract of `new`, the counter is valid and every block arrives.
        unsafe { ptx::await_blocks(self.counter, self.arrivals) };
        ptx::block_barrier();
    }
}
