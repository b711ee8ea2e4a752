//! Lanes on the CPU: SIMD vectors.
//!
//! Every function is inlined into a kernel entry, which is compiled once for each instruction set; the vectors then
//! take the registers of that set (one AVX-512 register for 16 numbers, two of AVX2, four of SSE).

use core::ops::Range;

use super::{Isa, Target, WARPS};
use crate::shape::TILE;

mod channels;
mod lanes;
mod memory;
#[cfg(feature = "race-check")]
pub mod race;
mod tile;
mod transpose;

pub use channels::{F32x16, Mask16, U32x16, sqrt};
pub use lanes::F32x32;
pub use memory::{Memory, Resident};
pub use tile::{Ids, Splats, Tile};

/// A CPU of which nothing more is known, a kernel in one piece: for tests.
#[derive(Clone, Copy)]
pub struct AnyCpu;

// SAFETY: every CPU has it.
unsafe impl Target for AnyCpu {
    const ISA: Isa = Isa::Baseline;
}

/// Runs `work` for each of the blocks.
#[inline(always)]
pub(super) fn each_block(blocks: Range<usize>, work: impl Fn(usize)) {
    for index in blocks {
        work(index);
    }
}

/// Runs `work` for each warp of a block, one after the other.
#[inline(always)]
pub(super) fn each_warp(work: impl Fn(usize)) {
    #[cfg(feature = "race-check")]
    {
        for index in race::warp_order(WARPS) {
            race::enter_warp(index);
            work(index);
        }
        race::block_barrier();
    }
    #[cfg(not(feature = "race-check"))]
    for index in 0..WARPS {
        work(index);
    }
}

/// Lanes of a vector are never apart: only the race checker takes note.
#[inline(always)]
pub(super) fn warp_sync() {
    #[cfg(feature = "race-check")]
    race::warp_sync();
}

/// How many [`F32x32`] can be summed up in registers, beside what is added to them: of AVX2's 16 registers four make one. No
/// stage wants more than eight, for which AVX-512 has room. Elsewhere a sum is slow wherever it is kept, without fused multiply-add.
#[inline(always)]
pub(super) fn accumulators(isa: Isa) -> usize {
    if isa == Isa::Avx2 { 2 } else { TILE }
}

/// See [`super::Warp::sqrt`].
///
/// With AVX-512 the first half-warp's first root is [`crate::math::sqrt_from_estimate`]'s, from the processor's estimate: roots
/// and divisions share the divider, and with two pairs of rows, one root of four this way, it and the multipliers are busy for
/// about as long.
#[inline(always)]
pub(super) fn sqrt_all<const N: usize>(isa: Isa, x: [F32x32; N]) -> [F32x32; N] {
    let mut root = x;
    for i in 0..N {
        root[i] = x[i].map(F32x16::sqrt);
    }
    #[cfg(target_arch = "x86_64")]
    if isa == Isa::Avx512 {
        // SAFETY: a processor that runs kernels for `Isa::Avx512` has it, see `Target`.
        let estimate = F32x16(unsafe { core::arch::x86_64::_mm512_rsqrt14_ps(x[0].0.0.into()) }.into());
        root[0].0 = crate::math::sqrt_from_estimate(x[0].0, estimate);
    }
    let _ = isa;
    root
}
