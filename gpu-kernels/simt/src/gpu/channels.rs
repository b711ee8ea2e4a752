//! One value for each of 16 channels, as a register of a lane in each half-warp.

use core::f32::math;
use core::ops::Neg;

use super::ptx;
use crate::target::HALF_WARP;

/// One value for each of 16 channels, the same in both half-warps.
#[derive(Clone, Copy)]
pub struct F32x16(pub(super) f32);

/// One bit pattern for each of 16 channels, the same in both half-warps.
#[derive(Clone, Copy)]
pub struct U32x16(u32);

/// One condition for each of 16 channels, the same in both half-warps.
#[derive(Clone, Copy)]
pub struct Mask16(bool);

/// Returns the square root, correctly rounded.
#[inline(always)]
pub fn sqrt(x: f32) -> f32 {
    math::sqrt(x)
}

impl Neg for F32x16 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

lanewise!(F32x16: 0);

/// Returns the lane's channel.
#[inline(always)]
fn channel() -> u32 {
    ptx::lane() % HALF_WARP as u32
}

/// Returns the sum over each segment of `width` lanes (a power of two up to 16) in all lanes of the segment.
#[inline(always)]
pub(super) fn segmented_sum(mut x: f32, width: usize) -> f32 {
    if width > 8 {
        x += ptx::shuffle_xor(x, 8);
    }
    if width > 4 {
        x += ptx::shuffle_xor(x, 4);
    }
    if width > 2 {
        x += ptx::shuffle_xor(x, 2);
    }
    if width > 1 {
        x += ptx::shuffle_xor(x, 1);
    }
    x
}

impl F32x16 {
    /// Returns `x` in every channel.
    #[inline(always)]
    pub fn splat(x: f32) -> Self {
        Self(x)
    }

    /// Returns `self * b + c`, rounded once.
    #[inline(always)]
    pub fn mul_add(self, b: Self, c: Self) -> Self {
        Self(math::mul_add(self.0, b.0, c.0))
    }

    /// Returns the square root, correctly rounded.
    #[inline(always)]
    pub fn sqrt(self) -> Self {
        Self(math::sqrt(self.0))
    }

    /// Returns the larger of the two, or `other` if either is NaN.
    #[inline(always)]
    pub fn max(self, other: Self) -> Self {
        self.gt(other).select(self, other)
    }

    /// Returns the smaller of the two, or `other` if either is NaN.
    #[inline(always)]
    pub fn min(self, other: Self) -> Self {
        self.lt(other).select(self, other)
    }

    /// Returns the channels with `self < other`. A comparison with NaN is false.
    #[inline(always)]
    pub fn lt(self, other: Self) -> Mask16 {
        Mask16(self.0 < other.0)
    }

    /// Returns the channels with `self > other`. A comparison with NaN is false.
    #[inline(always)]
    pub fn gt(self, other: Self) -> Mask16 {
        Mask16(self.0 > other.0)
    }

    /// Returns the channels with `self == other`. A comparison with NaN is false.
    #[inline(always)]
    pub fn eq(self, other: Self) -> Mask16 {
        Mask16(self.0 == other.0)
    }

    /// Returns the bit patterns.
    #[inline(always)]
    pub fn to_bits(self) -> U32x16 {
        U32x16(self.0.to_bits())
    }

    /// Returns the values with these bit patterns.
    #[inline(always)]
    pub fn from_bits(bits: U32x16) -> Self {
        Self(f32::from_bits(bits.0))
    }

    /// Returns the sum over each segment of `width` channels (a power of two up to 16) in all channels of the segment,
    /// by a butterfly from the widest step to the narrowest.
    #[inline(always)]
    pub fn segmented_sum(self, width: usize) -> Self {
        Self(segmented_sum(self.0, width))
    }

    /// Returns the sum over all channels.
    #[inline(always)]
    pub fn reduce_sum(self) -> f32 {
        segmented_sum(self.0, HALF_WARP)
    }

    /// Returns the largest value of all channels.
    #[inline(always)]
    pub fn reduce_max(self) -> f32 {
        let x = self.max(Self(ptx::shuffle_xor(self.0, 8)));
        let x = x.max(Self(ptx::shuffle_xor(x.0, 4)));
        let x = x.max(Self(ptx::shuffle_xor(x.0, 2)));
        x.max(Self(ptx::shuffle_xor(x.0, 1))).0
    }

    /// Returns the inclusive prefix sum, which holds in each channel the sum of the values up to that channel.
    #[inline(always)]
    pub fn prefix_sum(self) -> Self {
        let add_lower = |x: Self, step: u32| {
            let lower = Self(ptx::shuffle_up(x.0, step));
            x + Mask16(channel() >= step).select(lower, Self(0.0))
        };
        add_lower(add_lower(add_lower(add_lower(self, 1), 2), 4), 8)
    }

    /// Returns the value of the last channel.
    #[inline(always)]
    pub fn last(self) -> f32 {
        ptx::shuffle_last(self.0)
    }
}

impl U32x16 {
    /// Returns `x` in every channel.
    #[inline(always)]
    pub fn splat(x: u32) -> Self {
        Self(x)
    }

    /// Shifts left by `N` bits.
    #[inline(always)]
    pub fn shl<const N: u32>(self) -> Self {
        Self(self.0 << N)
    }

    /// Shifts right by `N` bits and keeps the sign.
    #[inline(always)]
    pub fn shr_arithmetic<const N: i32>(self) -> Self {
        Self((self.0 as i32 >> N) as u32)
    }

    /// Returns the sum modulo 2^32.
    #[inline(always)]
    pub fn wrapping_add(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    /// Returns the difference modulo 2^32.
    #[inline(always)]
    pub fn wrapping_sub(self, other: Self) -> Self {
        Self(self.0.wrapping_sub(other.0))
    }

    /// Returns the bitwise and.
    #[inline(always)]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Interprets the bit patterns as signed integers, and converts these to `f32`.
    #[inline(always)]
    pub fn signed_to_f32(self) -> F32x16 {
        F32x16(self.0 as i32 as f32)
    }
}

impl Mask16 {
    /// Returns the channels below `n`.
    #[inline(always)]
    pub fn lanes_below(n: usize) -> Self {
        Self(channel() < n.min(HALF_WARP) as u32)
    }

    /// Returns the channel `i`, or no channel if `i` is 16 or more.
    #[inline(always)]
    pub fn only(i: usize) -> Self {
        Self(channel() == i.min(HALF_WARP) as u32)
    }

    /// Returns the channels in both masks.
    #[inline(always)]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns the channels in `self` but not in `other`.
    #[inline(always)]
    #[allow(clippy::needless_bitwise_bool)] // A lazy operator is a branch.
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
        if self.0 { a } else { b }
    }

    /// Returns the mask as bits, of which channel 0 is the lowest.
    #[inline(always)]
    pub fn to_bitmask(self) -> u32 {
        ptx::ballot(self.0) & 0xffff
    }
}
