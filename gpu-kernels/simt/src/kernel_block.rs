//! The block of a kernel, whose phases take only what warps may share.

use core::marker::PhantomData;

use crate::array::Array;
use crate::block::{Block, PerWarp};
#[cfg(not(target_arch = "nvptx64"))]
use crate::cpu as backend;
#[cfg(target_arch = "nvptx64")]
use crate::gpu as backend;
use crate::space::SharedMemory;
use crate::target::{GPU_WARPS, Target, WARPS};
use crate::warp::{Strided, Warp};

/// The number of parts into which the work of a block is divided on every device, see [`KernelBlock::each_part`].
/// [`KernelBlock::reduce`] and [`KernelBlock::scan`] take as many elements of shared memory.
pub const PARTS: usize = GPU_WARPS;

/// A value of each part of a block's work, see [`KernelBlock::each_part`].
pub struct PerPart<V>(PerWarp<[V; PARTS / WARPS]>);

impl<V: Copy> PerPart<V> {
    /// Returns `value` for each part.
    #[inline(always)]
    pub fn new(value: V) -> Self {
        Self(PerWarp::new([value; PARTS / WARPS]))
    }
}

/// A block of a launch, with its phases.
///
/// Code of the block outside of a phase runs alike in all warps, because it takes only the launch's arguments, the
/// block's index, and what arrays hold after a barrier. A phase is a closure for each warp, which ends in the block's
/// barrier. The closure is `Fn` and `Sync`, so a warp cannot carry a value out of it, and a block, which is not
/// `Sync`, cannot be used in it. So no barrier depends on a warp or a lane. Only an atomic variable of `core` could carry
/// a value out, and kernels use none.
pub struct KernelBlock<'a, T> {
    /// The block's index in the grid.
    pub index: usize,
    /// The number of blocks of the grid.
    pub count: usize,
    block: &'a Block<T>,
    /// Makes the type neither `Send` nor `Sync`.
    marker: PhantomData<*const ()>,
}

impl<'a, T: Target> KernelBlock<'a, T> {
    #[inline(always)]
    pub(crate) fn new(block: &'a Block<T>) -> Self {
        Self { index: block.index, count: block.count, block, marker: PhantomData }
    }

    /// Returns the items of `0..count` that fall to this block in a grid-stride loop over blocks.
    #[inline(always)]
    pub fn grid_stride(&self, count: usize) -> Strided {
        self.block.grid_stride(count)
    }

    /// Runs `work` for each warp, then waits for all warps. Every warp may then read what any warp wrote.
    ///
    /// `work` should own its captures (`move`). Otherwise the compiler has to assume that each write to an array changes
    /// the captured values, and reloads them.
    #[inline(always)]
    pub fn each_warp(&self, work: impl Fn(&Warp) + Sync) {
        self.block.each_warp(work);
    }

    /// Runs `work` for each warp with the warp's own value, then waits for all warps. On a GPU the values stay in registers
    /// from one call to the next.
    #[inline(always)]
    pub fn each_warp_with<V>(&self, values: &mut PerWarp<V>, work: impl Fn(&Warp, &mut V) + Sync) {
        self.block.each_warp_with(values, work);
    }

    /// Runs `work` for each of the [`PARTS`] parts of the block's work with the part's own value, then waits for all warps.
    ///
    /// On a GPU each part is that of a warp, and the values stay in registers from one call to the next. The CPU's warp
    /// takes all parts. So each part has the same work on every device.
    #[inline(always)]
    pub fn each_part<V>(&self, values: &mut PerPart<V>, work: impl Fn(&Warp, usize, &mut V) + Sync) {
        self.block.each_warp_with(
            &mut values.0,
            #[inline(always)]
            move |warp, values| {
                for i in 0..PARTS / WARPS {
                    work(warp, warp.index + i * WARPS, &mut values[i]);
                }
            },
        );
    }

    /// Runs `work` for each of `0..count`, one after the other, in one of the block's warps. There is a barrier after each
    /// item, so the order of the items is the same on every device.
    #[inline(always)]
    pub fn each_in_order(&self, count: usize, work: impl Fn(&Warp, usize) + Copy + Sync) {
        for item in 0..count {
            self.block.each_warp(
                #[inline(always)]
                move |warp| {
                    // The CPU's block has one warp, which takes all items.
                    if warp.index == item & (WARPS - 1) {
                        work(warp, item);
                    }
                },
            );
        }
    }

    /// Runs `work` with memory of `LEN` elements that the block's warps share, in shared memory on a GPU. The elements
    /// have no defined value at first. The kernel's [`SHARED`](crate::Kernel::SHARED) is at least `LEN`. `work` takes the
    /// block by a shared reference, so calls do not nest. It ends with a phase, so that the next call finds the memory free.
    #[inline(always)]
    pub fn shared<const LEN: usize>(&mut self, work: impl FnOnce(&Self, Array<'_, f32, SharedMemory>)) {
        let block = &*self;
        backend::with_shared::<LEN>(
            #[inline(always)]
            |view| work(block, Array::new(view)),
        );
    }
}
