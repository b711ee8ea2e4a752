//! Lanes on the CPU: SIMD vectors.
//!
//! Every function is inlined into a kernel entry, which is compiled once for each instruction set; the vectors then
//! take the registers of that set (one AVX-512 register for 16 numbers, two of AVX2, four of SSE).

#[cfg(not(target_arch = "wasm32"))]
use core::intrinsics::simd::simd_fma;
use core::intrinsics::simd::simd_fsqrt;
use core::ops::{Add, Div, Mul, Neg, Range, Sub};
use core::simd::cmp::{SimdPartialEq, SimdPartialOrd};
use core::simd::num::SimdFloat;
use core::simd::{Mask, Select, Simd, simd_swizzle};

use super::{Half, Isa, Target, WARPS};
use crate::shape::TILE;

#[cfg(feature = "race-check")]
pub mod race;
mod tile;
mod transpose;

pub use tile::{Ids, Memory, Resident, Splats, Tile};

/// A CPU of which nothing more is known, a kernel in one piece: for tests and the race checker.
#[derive(Clone, Copy)]
pub struct AnyCpu;

impl Target for AnyCpu {
    const ISA: Isa = Isa::Other;
}

/// One number for each of 16 channels, known to both half-warps.
#[derive(Clone, Copy)]
pub struct F32x16(Simd<f32, TILE>);

/// One number a lane: the lower and the upper half-warp.
#[derive(Clone, Copy)]
pub struct F32x32(F32x16, F32x16);

/// One bit pattern for each of 16 channels.
#[derive(Clone, Copy)]
pub struct U32x16(Simd<u32, TILE>);

/// One condition for each of 16 channels.
#[derive(Clone, Copy)]
pub struct Mask16(Mask<i32, TILE>);

/// The square root, correctly rounded.
#[inline(always)]
pub fn sqrt(x: f32) -> f32 {
    core::f32::math::sqrt(x)
}

macro_rules! lanewise {
    ($($op:ident $method:ident),*) => {$(
        impl $op for F32x16 {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(self.0.$method(other.0))
            }
        }
        impl $op for F32x32 {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(self.0.$method(other.0), self.1.$method(other.1))
            }
        }
    )*};
}
impl Neg for F32x16 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

lanewise!(Add add, Sub sub, Mul mul, Div div);

impl F32x16 {
    /// The same number for every channel.
    #[inline(always)]
    pub fn splat(x: f32) -> Self {
        Self(Simd::splat(x))
    }

    /// `self * b + c`, rounded once.
    #[inline(always)]
    pub fn mul_add(self, b: Self, c: Self) -> Self {
        #[cfg(target_arch = "wasm32")]
        return Self(super::fma::mul_add(self.0, b.0, c.0));
        // SAFETY: the operands are vectors of floats of one length, which is all that the intrinsic asks.
        #[cfg(not(target_arch = "wasm32"))]
        Self(unsafe { simd_fma(self.0, b.0, c.0) })
    }

    /// The square root, correctly rounded.
    #[inline(always)]
    pub fn sqrt(self) -> Self {
        // SAFETY: the operand is a vector of floats, which is all that the intrinsic asks.
        Self(unsafe { simd_fsqrt(self.0) })
    }

    /// The larger of the two; `other` if either is not a number.
    #[inline(always)]
    pub fn max(self, other: Self) -> Self {
        self.gt(other).select(self, other)
    }

    /// The smaller of the two; `other` if either is not a number.
    #[inline(always)]
    pub fn min(self, other: Self) -> Self {
        self.lt(other).select(self, other)
    }

    /// Where `self < other`.
    #[inline(always)]
    pub fn lt(self, other: Self) -> Mask16 {
        Mask16(self.0.simd_lt(other.0))
    }

    /// Where `self > other`.
    #[inline(always)]
    pub fn gt(self, other: Self) -> Mask16 {
        Mask16(self.0.simd_gt(other.0))
    }

    /// Where `self == other`.
    #[inline(always)]
    pub fn equals(self, other: Self) -> Mask16 {
        Mask16(self.0.simd_eq(other.0))
    }

    /// The bit patterns.
    #[inline(always)]
    pub fn to_bits(self) -> U32x16 {
        U32x16(self.0.to_bits())
    }

    /// The numbers with these bit patterns.
    #[inline(always)]
    pub fn from_bits(bits: U32x16) -> Self {
        Self(Simd::from_bits(bits.0))
    }

    /// The channel whose number differs in bit `STEP` of its index: one step of a butterfly.
    #[inline(always)]
    fn xor<const STEP: usize>(self) -> Self {
        let x = self.0;
        Self(match STEP {
            1 => simd_swizzle!(x, [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14]),
            2 => simd_swizzle!(x, [2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13]),
            4 => simd_swizzle!(x, [4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11]),
            8 => simd_swizzle!(x, [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7]),
            _ => unreachable!(),
        })
    }

    /// The sum over each group of `width` channels (a power of two up to 16), known to all of the group: a butterfly
    /// from the widest step to the narrowest.
    #[inline(always)]
    pub fn group_sum(self, width: usize) -> Self {
        let mut x = self;
        if width > 8 {
            x = x + x.xor::<8>();
        }
        if width > 4 {
            x = x + x.xor::<4>();
        }
        if width > 2 {
            x = x + x.xor::<2>();
        }
        if width > 1 {
            x = x + x.xor::<1>();
        }
        x
    }

    /// The sum over all channels.
    #[inline(always)]
    pub fn sum(self) -> f32 {
        self.group_sum(TILE).0[0]
    }

    /// The largest number of all channels.
    #[inline(always)]
    pub fn reduce_max(self) -> f32 {
        let x = self.max(self.xor::<8>());
        let x = x.max(x.xor::<4>());
        let x = x.max(x.xor::<2>());
        x.max(x.xor::<1>()).0[0]
    }

    /// For each channel the sum of the numbers up to and including its own.
    #[inline(always)]
    pub fn prefix_sum(self) -> Self {
        let x = self.0;
        let z = Simd::splat(0.0);
        // The index 16 names the first lane of `z`.
        let x = x + simd_swizzle!(x, z, [16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
        let x = x + simd_swizzle!(x, z, [16, 16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
        let x = x + simd_swizzle!(x, z, [16, 16, 16, 16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        Self(x + simd_swizzle!(x, z, [16, 16, 16, 16, 16, 16, 16, 16, 0, 1, 2, 3, 4, 5, 6, 7]))
    }

    /// The number of the last channel.
    #[inline(always)]
    pub fn last(self) -> f32 {
        self.0[TILE - 1]
    }
}

impl U32x16 {
    /// The same bits for every channel.
    #[inline(always)]
    pub fn splat(x: u32) -> Self {
        Self(Simd::splat(x))
    }

    /// Shifted left by `N` bits.
    #[inline(always)]
    pub fn shl<const N: u32>(self) -> Self {
        Self(self.0 << Simd::splat(N))
    }

    /// Shifted right by `N` bits, as signed numbers.
    #[inline(always)]
    pub fn sar<const N: i32>(self) -> Self {
        let signed: Simd<i32, TILE> = core::simd::num::SimdUint::cast(self.0);
        Self(core::simd::num::SimdInt::cast(signed >> Simd::splat(N)))
    }

    /// The wrapping sum.
    #[inline(always)]
    pub fn wrapping_add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The wrapping difference.
    #[inline(always)]
    pub fn wrapping_sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }

    /// The bits that both have.
    #[inline(always)]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The signed numbers as floats.
    #[inline(always)]
    pub fn signed_to_f32(self) -> F32x16 {
        let signed: Simd<i32, TILE> = core::simd::num::SimdUint::cast(self.0);
        F32x16(core::simd::num::SimdInt::cast(signed))
    }
}

impl Mask16 {
    /// The channels before `n`.
    #[inline(always)]
    pub fn first(n: usize) -> Self {
        Self(iota().simd_lt(Simd::splat(n.min(TILE) as i32)))
    }

    /// The channel `i`; none if `i` is not below 16.
    #[inline(always)]
    pub fn only(i: usize) -> Self {
        Self(iota().simd_eq(Simd::splat(i.min(TILE) as i32)))
    }

    /// Where both hold.
    #[inline(always)]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Where `self` holds and `other` does not.
    #[inline(always)]
    pub fn and_not(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Where either holds.
    #[inline(always)]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// `a` where the condition holds, else `b`.
    #[inline(always)]
    pub fn select(self, a: F32x16, b: F32x16) -> F32x16 {
        F32x16(self.0.select(a.0, b.0))
    }

    /// The conditions as bits, channel 0 the lowest.
    #[inline(always)]
    pub fn bits(self) -> u32 {
        self.0.to_bitmask() as u32
    }
}

#[inline(always)]
fn iota() -> Simd<i32, TILE> {
    Simd::from_array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
}

impl F32x32 {
    /// The same number for every lane.
    #[inline(always)]
    pub fn splat(x: f32) -> Self {
        Self(F32x16::splat(x), F32x16::splat(x))
    }

    /// The same channels for both half-warps.
    #[inline(always)]
    pub fn both(x: F32x16) -> Self {
        Self(x, x)
    }

    /// `self * b + c`, rounded once.
    #[inline(always)]
    pub fn mul_add(self, b: Self, c: Self) -> Self {
        Self(self.0.mul_add(b.0, c.0), self.1.mul_add(b.1, c.1))
    }

    /// [`Self::mul_add`] in these half-warps, `c` in the other.
    #[inline(always)]
    pub fn mul_add_in(self, half: Half, b: Self, c: Self) -> Self {
        let all = self.mul_add(b, c);
        match half {
            Half::Both => all,
            Half::Lower => Self(all.0, c.1),
            Half::Upper => Self(c.0, all.1),
        }
    }

    /// `fill` in the upper half-warp unless `keep` (the lower half is untouched).
    #[inline(always)]
    pub fn upper_or(self, keep: bool, fill: f32) -> Self {
        Self(self.0, if keep { self.1 } else { F32x16::splat(fill) })
    }

    /// [`F32x16::group_sum`] in each half-warp.
    #[inline(always)]
    pub fn group_sum(self, width: usize) -> Self {
        Self(self.0.group_sum(width), self.1.group_sum(width))
    }

    /// The larger of each two numbers.
    #[inline(always)]
    pub fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0), self.1.max(other.1))
    }

    /// The larger of the two half-warps' numbers, channel by channel.
    #[inline(always)]
    pub fn fold_max(self) -> F32x16 {
        self.0.max(self.1)
    }

    /// The same function of each half-warp's numbers.
    #[inline(always)]
    pub fn map(self, f: impl Fn(F32x16) -> F32x16) -> Self {
        Self(f(self.0), f(self.1))
    }

    /// The sum of the two half-warps, channel by channel.
    #[inline(always)]
    pub fn fold(self) -> F32x16 {
        self.0 + self.1
    }
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
        // SAFETY: only kernel entries compiled for AVX-512F and chosen on processors that have it pass `Isa::Avx512`.
        let estimate = F32x16(unsafe { core::arch::x86_64::_mm512_rsqrt14_ps(x[0].0.0.into()) }.into());
        root[0].0 = crate::math::sqrt_from_estimate(x[0].0, estimate);
    }
    let _ = isa;
    root
}
