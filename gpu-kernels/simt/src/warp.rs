//! A warp of a block, and its shares in lists that warps or threads divide.

use core::ops::Range;

#[cfg(not(target_arch = "nvptx64"))]
use crate::cpu as backend;
#[cfg(target_arch = "nvptx64")]
use crate::gpu as backend;
use crate::index::rem;
use crate::newton::{quotient_from_estimate, sqrt_from_estimate};
use crate::target::{Isa, WARPS};
use backend::{F32x32, Staged};

/// A warp, 32 lanes in lockstep.
pub struct Warp {
    /// The warp's index in its block.
    pub index: usize,
    /// The block's index in the grid.
    pub(crate) block: usize,
    /// The number of blocks of the grid.
    pub(crate) blocks: usize,
    pub(crate) isa: Isa,
    /// The index of the thread among those that divide the warp's work.
    pub thread: usize,
    /// The number of these threads.
    pub(crate) threads: usize,
}

impl Warp {
    /// Returns the square roots, correctly rounded, of values between 1e-30 and 1e30.
    #[inline(always)]
    pub fn sqrt<const N: usize>(&self, x: [F32x32; N]) -> [F32x32; N] {
        backend::sqrt_all(self.isa, x, sqrt_from_estimate)
    }

    /// Returns the quotients `a / b`, correctly rounded, of numerators that are 0 or at least 2^-100 in magnitude. Divisors
    /// are from 2^-100 to 2^126, and quotients are at most 2^127. Beyond a divisor of 2^126, the quotient may be 0 instead. A
    /// zero may have the other sign. A denormal quotient that is exactly halfway between two floats may be rounded to either.
    ///
    /// On a GPU this takes two thirds of the instructions of the operator `/`.
    #[inline(always)]
    #[allow(clippy::unused_self)] // As in `sync`.
    pub fn divide<const N: usize>(&self, a: [F32x32; N], b: [F32x32; N]) -> [F32x32; N] {
        backend::divide_all(a, b, quotient_from_estimate)
    }

    /// Returns how many of `wanted` accumulators, a power of two, fit in registers.
    #[inline(always)]
    pub fn accumulators(&self, wanted: usize) -> usize {
        wanted.min(backend::accumulators(self.isa))
    }

    /// Returns the part of `0..count` that falls to this thread, in whole groups of `group` but for the last one, see
    /// [`Block::divided`](crate::Block::divided).
    #[inline(always)]
    pub fn part(&self, count: usize, group: usize) -> Range<usize> {
        if self.threads == 1 {
            return 0..count;
        }
        let (groups, next) = (count.div_ceil(group), self.thread + 1);
        let first = groups * self.thread / self.threads * group;
        count.min(first)..count.min(groups * next / self.threads * group)
    }

    /// Returns `x`, which is below 2^32, and from which the compiler computes values where they are used. Otherwise it computes
    /// them before a GPU kernel's loops, and keeps them in registers or spills them.
    #[inline(always)]
    #[allow(clippy::unused_self)] // As in `sync`.
    pub fn rematerialize(&self, x: usize) -> usize {
        backend::hide(x)
    }

    /// Makes the writes of any lane of this warp visible to all of its lanes.
    #[inline(always)]
    #[allow(clippy::unused_self)] // Only code that has a warp can reach a warp's barrier.
    pub fn sync(&self) {
        backend::warp_sync();
    }

    /// Copies this warp's part of a staged array to the block's memory.
    #[inline(always)]
    pub fn fetch(&self, array: &Staged) {
        array.fetch(self.index);
    }

    /// Copies this warp's part of a staged array back to the host's memory.
    #[inline(always)]
    pub fn write_back(&self, array: &Staged) {
        array.write_back(self.index);
    }

    /// Returns the items of `0..count` that fall to this warp in a block-stride loop over warps.
    #[inline(always)]
    pub fn block_stride(&self, count: usize) -> Strided {
        Strided { next: self.index, end: count, step: WARPS }
    }

    /// Returns the share of this warp among the warps of its block.
    #[inline(always)]
    pub fn block_share(&self) -> Share {
        Share { index: self.index, warps: WARPS }
    }

    /// Returns the share of this warp among the warps of all blocks.
    #[inline(always)]
    pub fn grid_share(&self) -> Share {
        Share { index: self.block * WARPS + self.index, warps: self.blocks * WARPS }
    }

    /// Returns the first items of the groups of `group` items in `0..count` that fall to this warp. The last group may
    /// reach beyond `count`.
    #[inline(always)]
    pub fn block_stride_groups(&self, group: usize, count: usize) -> Strided {
        Strided { next: self.index * group, end: count, step: WARPS * group }
    }
}

/// Returns values from which the compiler computes others where they are used, as [`Warp::rematerialize`] does. A value
/// without a use takes no instruction, but for the first one.
#[inline(always)]
pub fn rematerialize<const N: usize>(x: [u32; N]) -> [u32; N] {
    backend::hide_all(x)
}

/// The share of a warp in lists that several warps go through together.
#[derive(Clone, Copy)]
pub struct Share {
    index: usize,
    warps: usize,
}

impl Share {
    /// Returns the items of `0..count` that fall to the warp after no other items, without the division of [`Self::items`].
    #[inline(always)]
    pub fn first_items(self, count: usize) -> Strided {
        Strided { next: self.index, end: count, step: self.warps }
    }

    /// Returns the items of `0..count` that fall to the warp after `before` items of other lists. Counting the earlier
    /// items keeps all warps busy when short lists follow each other.
    #[inline(always)]
    pub fn items(self, before: usize, count: usize) -> Strided {
        let first = self.index + self.warps - rem(before, self.warps);
        Strided { next: rem(first, self.warps), end: count, step: self.warps }
    }
}

/// Every `step`-th item of a range.
pub struct Strided {
    pub(crate) next: usize,
    pub(crate) end: usize,
    pub(crate) step: usize,
}

impl Iterator for Strided {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        let item = self.next;
        self.next += self.step;
        (item < self.end).then_some(item)
    }
}
