//! One value for each of 16 channels, as a SIMD vector.

#[cfg(not(target_arch = "wasm32"))]
use core::intrinsics::simd::simd_fma;
use core::intrinsics::simd::simd_fsqrt;
use core::ops::Neg;
use core::simd::cmp::{SimdPartialEq, SimdPartialOrd};
use core::simd::num::SimdFloat;
use core::simd::{Mask, Select, Simd, simd_swizzle};

use crate::target::HALF_WARP;

/// One value for each of 16 channels, the same in both half-warps.
#[derive(Clone, Copy)]
pub struct F32x16(pub(super) Simd<f32, HALF_WARP>);

/// One bit pattern for each of 16 channels, the same in both half-warps.
#[derive(Clone, Copy)]
pub struct U32x16(Simd<u32, HALF_WARP>);

/// One condition for each of 16 channels, the same in both half-warps.
#[derive(Clone, Copy)]
pub struct Mask16(Mask<i32, HALF_WARP>);

/// Returns the square root, correctly rounded.
#[inline(always)]
pub fn sqrt(x: f32) -> f32 {
    core::f32::math::sqrt(x)
}

impl Neg for F32x16 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

lanewise!(F32x16: 0);

impl F32x16 {
    /// Returns `x` in every channel.
    #[inline(always)]
    pub fn splat(x: f32) -> Self {
        Self(Simd::splat(x))
    }

    /// Returns `self * b + c`, rounded once.
    #[inline(always)]
    pub fn mul_add(self, b: Self, c: Self) -> Self {
        #[cfg(target_arch = "wasm32")]
        return Self(crate::fma::mul_add(self.0, b.0, c.0));
        // SAFETY: the operands are vectors of floats of one length, which is all that the intrinsic asks.
        #[cfg(not(target_arch = "wasm32"))]
        Self(unsafe { simd_fma(self.0, b.0, c.0) })
    }

    /// Returns the square root, correctly rounded.
    #[inline(always)]
    pub fn sqrt(self) -> Self {
        // SAFETY: the operand is a vector of floats, which is all that the intrinsic asks.
        Self(unsafe { simd_fsqrt(self.0) })
    }

    /// Returns the larger of the two, or `other` if either is NaN.
    ///
    /// ```
    /// use simt::F32x16;
    ///
    /// let (one, nan) = (F32x16::splat(1.0), F32x16::splat(f32::NAN));
    /// assert_eq!(nan.max(one).last(), 1.0);
    /// assert!(one.max(nan).last().is_nan());
    /// ```
    #[inline(always)]
    pub fn max(self, other: Self) -> Self {
        self.gt(other).select(self, other)
    }

    /// Returns the smaller of the two, or `other` if either is NaN.
    ///
    /// ```
    /// use simt::F32x16;
    ///
    /// let (one, nan) = (F32x16::splat(1.0), F32x16::splat(f32::NAN));
    /// assert_eq!(nan.min(one).last(), 1.0);
    /// assert!(one.min(nan).last().is_nan());
    /// ```
    #[inline(always)]
    pub fn min(self, other: Self) -> Self {
        self.lt(other).select(self, other)
    }

    /// Returns the channels with `self < other`. A comparison with NaN is false.
    #[inline(always)]
    pub fn lt(self, other: Self) -> Mask16 {
        Mask16(self.0.simd_lt(other.0))
    }

    /// Returns the channels with `self > other`. A comparison with NaN is false.
    #[inline(always)]
    pub fn gt(self, other: Self) -> Mask16 {
        Mask16(self.0.simd_gt(other.0))
    }

    /// Returns the channels with `self == other`. A comparison with NaN is false.
    #[inline(always)]
    pub fn eq(self, other: Self) -> Mask16 {
        Mask16(self.0.simd_eq(other.0))
    }

    /// Returns the bit patterns.
    #[inline(always)]
    pub fn to_bits(self) -> U32x16 {
        U32x16(self.0.to_bits())
    }

    /// Returns the values with these bit patterns.
    #[inline(always)]
    pub fn from_bits(bits: U32x16) -> Self {
        Self(Simd::from_bits(bits.0))
    }

    /// Exchanges the channels whose indices differ in bit `STEP`, which is one step of a butterfly.
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

    /// Returns the sum over each segment of `width` channels (a power of two up to 16) in all channels of the segment,
    /// by a butterfly from the widest step to the narrowest.
    #[inline(always)]
    pub fn segmented_sum(self, width: usize) -> Self {
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

    /// Returns the sum over all channels.
    #[inline(always)]
    pub fn reduce_sum(self) -> f32 {
        self.segmented_sum(HALF_WARP).0[0]
    }

    /// Returns the largest value of all channels.
    #[inline(always)]
    pub fn reduce_max(self) -> f32 {
        let x = self.max(self.xor::<8>());
        let x = x.max(x.xor::<4>());
        let x = x.max(x.xor::<2>());
        x.max(x.xor::<1>()).0[0]
    }

    /// Returns the inclusive prefix sum, which holds in each channel the sum of the values up to that channel.
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

    /// Returns the value of the last channel.
    #[inline(always)]
    pub fn last(self) -> f32 {
        self.0[HALF_WARP - 1]
    }
}

impl U32x16 {
    /// Returns `x` in every channel.
    #[inline(always)]
    pub fn splat(x: u32) -> Self {
        Self(Simd::splat(x))
    }

    /// Shifts left by `N` bits.
    #[inline(always)]
    pub fn shl<const N: u32>(self) -> Self {
        Self(self.0 << Simd::splat(N))
    }

    /// Shifts right by `N` bits and keeps the sign.
    #[inline(always)]
    pub fn shr_arithmetic<const N: i32>(self) -> Self {
        let signed: Simd<i32, HALF_WARP> = core::simd::num::SimdUint::cast(self.0);
        Self(core::simd::num::SimdInt::cast(signed >> Simd::splat(N)))
    }

    /// Returns the sum modulo 2^32.
    #[inline(always)]
    pub fn wrapping_add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// Returns the difference modulo 2^32.
    #[inline(always)]
    pub fn wrapping_sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }

    /// Returns the bitwise and.
    #[inline(always)]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Interprets the bit patterns as signed integers, and converts these to `f32`.
    #[inline(always)]
    pub fn signed_to_f32(self) -> F32x16 {
        let signed: Simd<i32, HALF_WARP> = core::simd::num::SimdUint::cast(self.0);
        F32x16(core::simd::num::SimdInt::cast(signed))
    }
}

impl Mask16 {
    /// Returns the channels below `n`.
    #[inline(always)]
    pub fn lanes_below(n: usize) -> Self {
        Self(iota().simd_lt(Simd::splat(n.min(HALF_WARP) as i32)))
    }

    /// Returns the channel `i`, or no channel if `i` is 16 or more.
    #[inline(always)]
    pub fn only(i: usize) -> Self {
        Self(iota().simd_eq(Simd::splat(i.min(HALF_WARP) as i32)))
    }

    /// Returns the channels in both masks.
    #[inline(always)]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns the channels in `self` but not in `other`.
    #[inline(always)]
    pub fn and_not(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns the channels in either mask.
    #[inline(always)]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns `a` in the channels of the mask and `b` in the others.
    #[inline(always)]
    pub fn select(self, a: F32x16, b: F32x16) -> F32x16 {
        F32x16(self.0.select(a.0, b.0))
    }

    /// Returns the mask as bits, of which channel 0 is the lowest.
    #[inline(always)]
    pub fn to_bitmask(self) -> u32 {
        self.0.to_bitmask() as u32
    }
}

#[inline(always)]
fn iota() -> Simd<i32, HALF_WARP> {
    Simd::from_array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
}
