//! The lanes on the CPU, which are SIMD vectors.
//!
//! Every function is inlined into a kernel entry, which is compiled once for each instruction set. The vectors then
//! take the registers of that set. For example, 16 values fill one AVX-512 register, two of AVX2, or four of SSE.

use core::ops::Range;

use crate::target::{HALF_WARP, Isa, Target, WARPS};

mod array_memory;
pub(crate) mod atomics;
mod bounds;
mod broadcasts;
mod channels;
mod conversions;
mod lanes;
mod memory;
mod quads;
#[cfg(feature = "race-check")]
pub mod race;
mod transpose;
mod u32_view;
mod view;
mod warp_lanes;
mod wide_lanes;
mod words;

pub use broadcasts::{BroadcastPairs, Broadcasts};
pub use channels::{F32x16, Mask16, U32x16, sqrt};
pub use lanes::F32x32;
pub use memory::{Memory, Staged};
pub use u32_view::U32View;
pub use view::View;
pub use warp_lanes::{I32x32, Mask32, U32x32};
pub use wide_lanes::{F64x32, U64x32};
pub use words::{W16, W32, W64, Word};

/// Any CPU of the architecture, for tests. Each kernel is one function.
#[derive(Clone, Copy)]
pub struct AnyCpu;

// SAFETY: every CPU has the baseline instruction set, and every `aarch64` CPU has NEON.
unsafe impl Target for AnyCpu {
    const ISA: Isa = if cfg!(target_arch = "aarch64") { Isa::Neon } else { Isa::Baseline };
}

/// Runs `work` for each of the blocks.
#[inline(always)]
pub(crate) fn each_block(blocks: Range<usize>, work: impl Fn(usize)) {
    for index in blocks {
        work(index);
    }
}

/// A value of each warp of a block.
pub(crate) type PerWarp<V> = [V; WARPS];

/// Returns `value` for each warp.
#[inline(always)]
pub(crate) fn per_warp<V: Copy>(value: V) -> PerWarp<V> {
    [value; WARPS]
}

/// The index of a thread's warp, which a CPU's thread does not have, because it runs all warps.
#[derive(Clone, Copy)]
pub(crate) struct WarpIndex;

/// Returns the index, which is none.
#[inline(always)]
pub(crate) fn warp_index() -> WarpIndex {
    WarpIndex
}

/// Runs `work` for each warp of a block, one after the other.
#[inline(always)]
pub(crate) fn each_warp(warp: WarpIndex, work: impl Fn(usize)) {
    each_warp_with(
        warp,
        &mut per_warp(()),
        #[inline(always)]
        |index, ()| work(index),
    );
}

/// Runs `work` for each warp of a block with the warp's value, one after the other.
#[inline(always)]
pub(crate) fn each_warp_with<V>(_: WarpIndex, values: &mut PerWarp<V>, work: impl Fn(usize, &mut V)) {
    #[cfg(feature = "race-check")]
    {
        for index in race::warp_order(WARPS) {
            race::enter_warp(index);
            work(index, &mut values[index]);
        }
        race::block_barrier();
    }
    #[cfg(not(feature = "race-check"))]
    for index in 0..WARPS {
        work(index, &mut values[index]);
    }
}

/// An array that begins at a cache line.
#[repr(align(64))]
struct Aligned<const LEN: usize>([f32; LEN]);

/// Runs `work` with a view of `LEN` elements on the stack. An element that is read before it is written is NaN.
#[inline(always)]
pub(crate) fn with_shared<const LEN: usize>(work: impl FnOnce(View)) {
    let mut memory = Aligned([f32::NAN; LEN]);
    // SAFETY: the memory outlives the view, because the contract of `Launch::new` keeps views within `Block::shared`.
    work(unsafe { View::new(memory.0.as_mut_ptr(), LEN) }.named("shared memory"));
}

/// Returns the value as it is, because CPUs have stacks in the nearest cache.
#[inline(always)]
pub(crate) fn hide(x: usize) -> usize {
    x
}

/// Returns the values, because only a GPU has a kernel in one function.
#[inline(always)]
pub(crate) fn hide_all<const N: usize>(x: [u32; N]) -> [u32; N] {
    x
}

/// Reports a warp's barrier to the race checker. The lanes of a vector are in lockstep and need no other barrier.
#[inline(always)]
pub(crate) fn warp_sync() {
    #[cfg(feature = "race-check")]
    race::warp_sync();
}

/// Returns how many [`F32x32`] accumulators fit in registers. An [`F32x32`] takes four of AVX2's 16 registers or eight
/// of NEON's 32, so that two fit beside their operands.
///
/// Ops want at most eight accumulators, and AVX-512 has room for eight. The baseline has no fused multiply-add, so its
/// sums are slow with or without spills.
#[inline(always)]
pub(crate) fn accumulators(isa: Isa) -> usize {
    if matches!(isa, Isa::Avx2 | Isa::Neon) { 2 } else { HALF_WARP }
}

/// Returns the square roots, see [`Warp::sqrt`](crate::Warp::sqrt).
///
/// With AVX-512 the first half-warp of each root comes from its estimate by `from_estimate`. Roots and divisions share the divider,
/// which would take longer than the multipliers and the caches if it computed every root.
#[inline(always)]
pub(crate) fn sqrt_all<const N: usize>(
    isa: Isa,
    x: [F32x32; N],
    from_estimate: impl Fn(F32x16, F32x16) -> F32x16,
) -> [F32x32; N] {
    let mut root = x;
    for i in 0..N {
        root[i] = x[i].map(F32x16::sqrt);
        #[cfg(target_arch = "x86_64")]
        if isa == Isa::Avx512 {
            // SAFETY: a processor that runs kernels for `Isa::Avx512` has the instruction, see `Target`.
            let estimate = F32x16(unsafe { core::arch::x86_64::_mm512_rsqrt14_ps(x[i].0.0.into()) }.into());
            root[i].0 = from_estimate(x[i].0, estimate);
        }
    }
    let _ = (isa, from_estimate);
    root
}

/// Returns the quotients, see [`Warp::divide`](crate::Warp::divide). Newton's method would gain nothing beside the divider.
#[inline(always)]
pub(crate) fn divide_all<const N: usize>(
    mut a: [F32x32; N],
    b: [F32x32; N],
    _: impl Fn(F32x32, F32x32, F32x32) -> F32x32,
) -> [F32x32; N] {
    for i in 0..N {
        a[i] = a[i] / b[i];
    }
    a
}
