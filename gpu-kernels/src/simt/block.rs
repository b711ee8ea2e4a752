//! The levels of work: a grid of blocks, a block of warps, and their barriers.

use core::ops::Range;

use super::cpu::{F32x16, F32x32};
use crate::shape::TOKEN_GROUP;

/// Warps of a block. One on the CPU, where a core runs them one after the other and more would only cost loops; the
/// race checker takes as many as a GPU.
pub const WARPS: usize = if cfg!(feature = "race-check") { 16 } else { 1 };

/// Tokens that a warp takes at once: on the CPU as many as there are registers for, so that they share the loads of the
/// weights; one on a GPU, where the other warps take the other tokens.
pub const TOKENS: usize = if cfg!(feature = "race-check") { 1 } else { TOKEN_GROUP };

/// The instruction set that a kernel entry is compiled for, where a stage can make use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// x86-64 with AVX-512F: estimates good to 14 bits are at hand.
    Avx512,
    /// Any other.
    Other,
}

/// The blocks of a launch that the caller runs.
pub struct Grid {
    blocks: Range<usize>,
    count: usize,
    isa: Isa,
}

impl Grid {
    /// The blocks `blocks` of a launch of `count`; the host may run disjoint ranges on different threads.
    #[inline(always)]
    pub fn new(blocks: Range<usize>, count: usize, isa: Isa) -> Self {
        Self { blocks, count, isa }
    }

    /// Runs `work` for each block. Blocks share nothing that one of them writes.
    #[inline(always)]
    pub fn each_block(&self, work: impl Fn(&Block)) {
        for index in self.blocks.clone() {
            work(&Block { index, count: self.count, isa: self.isa });
        }
    }
}

/// Warps that share memory and a barrier.
pub struct Block {
    /// Which block of the grid.
    pub index: usize,
    /// Blocks of the grid.
    pub count: usize,
    isa: Isa,
}

impl Block {
    /// The items of `0..count` that fall to this block.
    #[inline(always)]
    pub fn share(&self, count: usize) -> Strided {
        Strided { next: self.index, end: count, step: self.count }
    }

    /// Runs `work` for each warp, then waits for all of them: what a warp wrote, every warp may read afterwards.
    #[inline(always)]
    pub fn each_warp(&self, work: impl Fn(&Warp)) {
        #[cfg(feature = "race-check")]
        {
            for index in super::race::warp_order(WARPS) {
                super::race::enter_warp(index);
                work(&Warp { index, isa: self.isa });
            }
            super::race::block_barrier();
        }
        #[cfg(not(feature = "race-check"))]
        for index in 0..WARPS {
            work(&Warp { index, isa: self.isa });
        }
    }
}

/// 32 lanes in lockstep.
pub struct Warp {
    /// Which warp of the block.
    pub index: usize,
    pub(super) isa: Isa,
}

impl Warp {
    /// The square roots, correctly rounded, of numbers between 1e-30 and 1e30.
    #[inline(always)]
    pub fn sqrt<const N: usize>(&self, x: [F32x32; N]) -> [F32x32; N] {
        #[cfg(target_arch = "x86_64")]
        if self.isa == Isa::Avx512 {
            return super::cpu::sqrt_avx512(x);
        }
        x.map(
            #[inline(always)]
            |x| x.map(F32x16::sqrt),
        )
    }

    /// Makes what any lane of this warp wrote visible to all of its lanes.
    #[inline(always)]
    #[allow(clippy::unused_self)] // On a GPU this is `bar.warp.sync`.
    pub fn sync(&self) {
        #[cfg(feature = "race-check")]
        super::race::warp_sync();
    }

    /// The items of `0..count` that fall to this warp.
    #[inline(always)]
    pub fn share(&self, count: usize) -> Strided {
        Strided { next: self.index, end: count, step: WARPS }
    }

    /// The items of `0..count` that fall to this warp where `first` items of other lists came before: so that short lists
    /// one after the other keep all warps busy.
    #[inline(always)]
    #[allow(clippy::modulo_one)] // Of the CPU, whose blocks have one warp.
    pub fn share_after(&self, first: usize, count: usize) -> Strided {
        Strided { next: (self.index + WARPS - first % WARPS) % WARPS, end: count, step: WARPS }
    }

    /// The first tokens of the groups of [`TOKENS`] tokens in `0..n` that fall to this warp. The last group may reach
    /// beyond `n`: its rows are computed, and no other row depends on them.
    #[inline(always)]
    pub fn token_groups(&self, n: usize) -> Strided {
        Strided { next: self.index * TOKENS, end: n, step: WARPS * TOKENS }
    }
}

/// Every `step`-th item of a range.
pub struct Strided {
    next: usize,
    end: usize,
    step: usize,
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
