//! The levels of work (a grid of blocks, a block of warps) and their barriers.

use core::ops::Range;

#[cfg(not(target_arch = "nvptx64"))]
use crate::cpu as backend;
#[cfg(target_arch = "nvptx64")]
use crate::gpu as backend;
use crate::target::{HALF_WARP, Target};
use crate::warp::{Strided, Warp};
use backend::{F32x16, Mask16, Memory, U32View, View};

/// The blocks of a launch that the caller runs.
pub struct Grid<T> {
    blocks: Range<usize>,
    count: usize,
    target: T,
}

impl<T: Target> Grid<T> {
    /// Returns the blocks `blocks` of a launch of `count` blocks. The host may run disjoint ranges on different
    /// threads.
    #[inline(always)]
    pub fn new(blocks: Range<usize>, count: usize, target: T) -> Self {
        Self { blocks, count, target }
    }

    /// Runs `work` for each block. There is no barrier at the end, because no block reads what another one writes.
    #[inline(always)]
    pub fn each_block(&self, work: impl Fn(&Block<T>)) {
        backend::each_block(
            self.blocks.clone(),
            #[inline(always)]
            |index| work(&Block { index, count: self.count, target: self.target, warp: None }),
        );
    }
}

impl View {
    /// Returns the view, whose address the compiler adds to others where they are used, as [`Warp::rematerialize`] does.
    #[inline(always)]
    #[must_use]
    pub fn rematerialize(self) -> Self {
        self.hide_address()
    }

    /// Returns the sum of the first `n` elements, sixteen at a time.
    #[inline(always)]
    pub fn sum(self, n: usize) -> f32 {
        let mut sum = F32x16::splat(0.0);
        for i in (0..n).step_by(HALF_WARP) {
            sum = sum + Mask16::lanes_below(n - i).select(self.load(i), F32x16::splat(0.0));
        }
        sum.reduce_sum()
    }
}

/// Lists of `u32` elements that lie one after the other in memory, with the contract of [`View`].
#[derive(Clone, Copy)]
pub struct RaggedView {
    elements: U32View,
    /// The index of each list's first element, and the end of the last list.
    offsets: U32View,
}

impl RaggedView {
    /// Returns a view of `count` lists.
    ///
    /// # Safety
    /// The conditions of [`U32View::new`] hold for `count + 1` ascending offsets from 0, and for as many elements as the
    /// last offset says.
    #[inline(always)]
    pub unsafe fn new(elements: *const u32, offsets: *const u32, count: u32) -> Self {
        // SAFETY: the caller vouches for pointers and lengths.
        unsafe {
            let offsets = U32View::new(offsets, count as usize + 1);
            Self { elements: U32View::new(elements, offsets.load_scalar(count as usize)), offsets }
        }
    }

    /// Returns list `i` and its length.
    #[inline(always)]
    pub fn list(self, i: usize) -> (U32View, usize) {
        let (start, end) = (self.offsets.load_uniform(i), self.offsets.load_uniform(i + 1));
        (self.elements.at(start), end - start)
    }
}

/// Warps that share memory and a barrier.
pub struct Block<T> {
    /// The block's index in the grid.
    pub index: usize,
    /// The number of blocks of the grid.
    pub count: usize,
    target: T,
    /// The index of the thread's warp on a GPU, unless each phase finds it.
    warp: Option<backend::WarpIndex>,
}

/// Views that a kernel keeps over the iterations of its outer loop, see [`Block::iterate`].
pub trait Views: Copy {
    /// Applies `f` to each view.
    fn map(self, f: impl Fn(View) -> View) -> Self;
}

impl<T: Target> Block<T> {
    /// Returns the items of `0..count` that fall to this block in a grid-stride loop over blocks.
    #[inline(always)]
    pub fn grid_stride(&self, count: usize) -> Strided {
        Strided { next: self.index, end: count, step: self.count }
    }

    #[inline(always)]
    fn warp(&self, index: usize) -> Warp {
        Warp { index, block: self.index, blocks: self.count, isa: T::ISA, thread: 0, threads: 1 }
    }

    /// Returns whether the host wants the launch to end early. Results of the launch are then incomplete.
    #[inline(always)]
    pub fn is_stopped(&self) -> bool {
        self.target.is_stopped()
    }

    /// Runs `work` for each warp, then waits for all warps. Every warp may then read what any warp wrote.
    ///
    /// `work` should own its captures (`move`). Otherwise the compiler has to assume that each write to a view changes
    /// the captured values, and reloads them.
    #[inline(always)]
    pub fn each_warp(&self, work: impl Fn(&Warp)) {
        self.target.region(
            #[inline(always)]
            move || {
                backend::each_warp(
                    self.warp.unwrap_or_else(backend::warp_index),
                    #[inline(always)]
                    |index| work(&self.warp(index)),
                );
            },
        );
    }

    /// Runs `work`, a part of what a warp does between two barriers, as a function of its own on the CPU, see
    /// [`Target::region`]. It is left out if the host wants the launch to end early.
    #[inline(always)]
    pub fn outlined(&self, work: impl FnOnce()) {
        self.target.region(work);
    }

    /// Returns the number of threads of [`Self::divided`].
    #[inline(always)]
    pub fn threads(&self) -> usize {
        self.target.threads()
    }

    /// Divides a part of what `warp` does between two barriers among threads of the CPU, then waits for all. `work` runs on each
    /// thread, and takes the thread's [`Warp::part`]. Elsewhere it runs once, and the part is all. Parts write disjoint
    /// elements, as blocks do, and divide nothing themselves. `work` should own its captures, as in [`Self::each_warp`].
    #[inline(always)]
    pub fn divided(&self, warp: &Warp, work: impl Fn(&Warp) + Copy) {
        let &Warp { index, block, blocks, isa, .. } = warp;
        let threads = self.threads();
        self.target.on_each_thread(
            #[inline(always)]
            move |thread| work(&Warp { index, block, blocks, isa, thread, threads }),
        );
    }

    /// Runs `work` for each warp with the warp's own value, then waits for all warps. On a GPU the values stay in registers
    /// from one call to the next.
    #[inline(always)]
    pub fn each_warp_with<V>(&self, values: &mut PerWarp<V>, work: impl Fn(&Warp, &mut V)) {
        self.target.region(
            #[inline(always)]
            move || {
                backend::each_warp_with(
                    self.warp.unwrap_or_else(backend::warp_index),
                    &mut values.0,
                    #[inline(always)]
                    |index, value| work(&self.warp(index), value),
                );
            },
        );
    }

    /// Runs `work` for each of `0..count`, with the addresses of `views` hidden from the optimiser in each iteration. `count` is
    /// below 2^32.
    ///
    /// Otherwise LLVM hoists hundreds of address computations out of a GPU kernel's outer loop and spills their
    /// results.
    #[inline(always)]
    pub fn iterate<V: Views>(&self, count: usize, mut views: V, mut work: impl FnMut(usize, V)) {
        debug_assert!(u32::try_from(count).is_ok(), "{count} iterations");
        // An index of 32 bits takes one register of a GPU instead of two.
        for i in 0..count as u32 {
            // The next iteration takes the hidden addresses, so that the first ones need no registers.
            views = views.map(View::hide_address);
            work(i as usize, views);
        }
    }

    /// Returns `x` as [`Warp::rematerialize`] does, for control flow around the block's phases.
    #[inline(always)]
    #[allow(clippy::unused_self)] // As in `Warp::rematerialize`.
    pub fn rematerialize(&self, x: usize) -> usize {
        backend::hide(x)
    }

    /// Returns this block with the index of a GPU thread's warp, which each phase would find otherwise. That saves instructions.
    /// But values that depend on the index may take registers from phase to phase.
    #[inline(always)]
    pub fn with_warp_index(&self) -> Self {
        Self { warp: Some(backend::warp_index()), target: self.target, ..*self }
    }

    /// Returns a grid of `count` blocks of which this block's warps run block `index`.
    #[inline(always)]
    pub fn as_block(&self, index: usize, count: usize) -> Grid<T> {
        Grid::new(index..index + 1, count, self.target)
    }

    /// Returns the block's memory, all of it free.
    #[inline(always)]
    pub fn memory(&self) -> Memory {
        Memory::new(T::SHARED_MEMORY)
    }
}

/// A value of each warp of a block, see [`Block::each_warp_with`].
pub struct PerWarp<V>(backend::PerWarp<V>);

impl<V: Copy> PerWarp<V> {
    /// Returns `value` for each warp.
    #[inline(always)]
    pub fn new(value: V) -> Self {
        Self(backend::per_warp(value))
    }
}
