//! The levels of work: a grid of blocks, a block of warps, and their barriers.

use core::ops::Range;

use super::machine::{self, F32x32, Memory};
use crate::shape::{GPU_TOKENS, GPU_WARPS, TOKEN_GROUP, rem};

/// Blocks and warps are those of a GPU: on one, and under the race checker.
pub const AS_ON_GPU: bool = cfg!(any(target_arch = "nvptx64", feature = "race-check"));

/// Warps of a block. One on the CPU, where a core runs them one after the other and more would only cost loops.
pub const WARPS: usize = if AS_ON_GPU { GPU_WARPS } else { 1 };

/// Tokens that a warp takes at once: on the CPU several, so that one token's work fills the time that another's results take; one
/// on a GPU, where the other warps take the other tokens.
pub const TOKENS: usize = if AS_ON_GPU { GPU_TOKENS } else { TOKEN_GROUP };

/// The instruction set that a kernel entry is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// x86-64 with AVX-512 (F, VL, DQ, BW), AVX2 and FMA: estimates good to 14 bits are at hand.
    Avx512,
    /// x86-64 with AVX2 and FMA: sixteen registers.
    Avx2,
    /// What every CPU of the architecture has.
    Baseline,
    /// PTX.
    Ptx,
}

impl Isa {
    /// Its name, for a person.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "AVX-512",
            Self::Avx2 => "AVX2",
            Self::Baseline => "baseline",
            Self::Ptx => "PTX",
        }
    }
}

/// What a kernel entry is compiled for.
///
/// # Safety
/// Kernels with this target only ever run on processors that have [`Self::ISA`].
pub unsafe trait Target: Copy {
    /// Its instruction set.
    const ISA: Isa;

    /// Whether a block copies its arrays to memory of its own, a GPU's shared memory. Shapes whose arrays are too large for that
    /// leave them in global memory.
    const SHARED_MEMORY: bool = false;

    /// Runs `work`, what a block does between two of its barriers.
    ///
    /// Entries for the CPU make a function of it, compiled for the entry's instruction set: what LLVM's loop passes cost
    /// grows faster than the function, and a kernel in one piece takes more than twice as long.
    #[inline(always)]
    fn region(self, work: impl FnOnce()) {
        work();
    }
}

/// The blocks of a launch that the caller runs.
pub struct Grid<T> {
    blocks: Range<usize>,
    count: usize,
    target: T,
}

impl<T: Target> Grid<T> {
    /// The blocks `blocks` of a launch of `count`; the host may run disjoint ranges on different threads.
    #[inline(always)]
    pub fn new(blocks: Range<usize>, count: usize, target: T) -> Self {
        Self { blocks, count, target }
    }

    /// Runs `work` for each block. There is no barrier at the end: blocks share nothing that one of them writes.
    #[inline(always)]
    pub fn each_block(&self, work: impl Fn(&Block<T>)) {
        machine::each_block(
            self.blocks.clone(),
            #[inline(always)]
            |index| work(&Block { index, count: self.count, target: self.target }),
        );
    }
}

/// Warps that share memory and a barrier.
pub struct Block<T> {
    /// Which block of the grid.
    pub index: usize,
    /// Blocks of the grid.
    pub count: usize,
    target: T,
}

impl<T: Target> Block<T> {
    /// The items of `0..count` that fall to this block.
    #[inline(always)]
    pub fn share(&self, count: usize) -> Strided {
        Strided { next: self.index, end: count, step: self.count }
    }

    /// The items of `0..count` that fall to this warp of the block where those before number `first`, all warps of the grid
    /// taking turns.
    #[inline(always)]
    pub fn share_among_warps(&self, warp: &Warp, first: usize, count: usize) -> Strided {
        let warps = self.count * WARPS;
        let index = self.index * WARPS + warp.index;
        Strided { next: rem(index + warps - rem(first, warps), warps), end: count, step: warps }
    }

    /// Runs `work` for each warp, then waits for all of them: what a warp wrote, every warp may read afterwards.
    ///
    /// `work` should own what it needs (`move`): behind a reference the compiler would have to expect that each write to a
    /// tile changes it, and read it again (see [`Target::region`]).
    #[inline(always)]
    pub fn each_warp(&self, work: impl Fn(&Warp)) {
        self.target.region(
            #[inline(always)]
            move || {
                machine::each_warp(
                    #[inline(always)]
                    |index| work(&Warp { index, isa: T::ISA }),
                );
            },
        );
    }

    /// The block's memory, nothing of it given out yet.
    #[inline(always)]
    pub fn memory(&self) -> Memory {
        Memory::new(T::SHARED_MEMORY)
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
        machine::sqrt_all(self.isa, x)
    }

    /// Of `wanted` numbers a lane, a power of two, how many can be summed up at once in registers.
    #[inline(always)]
    pub fn accumulators(&self, wanted: usize) -> usize {
        wanted.min(machine::accumulators(self.isa))
    }

    /// Makes what any lane of this warp wrote visible to all of its lanes.
    #[inline(always)]
    #[allow(clippy::unused_self)] // A warp stands behind every barrier of a warp.
    pub fn sync(&self) {
        machine::warp_sync();
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
