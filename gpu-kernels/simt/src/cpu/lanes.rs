//! One value for each lane, as a SIMD vector for each half-warp.

use core::simd::num::SimdFloat;

use super::channels::F32x16;

/// One value for each lane of the lower and of the upper half-warp.
#[derive(Clone, Copy)]
pub struct F32x32(pub(super) F32x16, pub(super) F32x16);

lanewise!(F32x32: 0, 1);

impl F32x32 {
    /// Returns `x` in every lane.
    #[inline(always)]
    pub fn splat(x: f32) -> Self {
        Self(F32x16::splat(x), F32x16::splat(x))
    }

    /// Returns the channels of `x` in both half-warps.
    #[inline(always)]
    pub fn broadcast(x: F32x16) -> Self {
        Self(x, x)
    }

    /// Returns `self * b + c`, rounded once.
    #[inline(always)]
    pub fn mul_add(self, b: Self, c: Self) -> Self {
        Self(self.0.mul_add(b.0, c.0), self.1.mul_add(b.1, c.1))
    }

    /// Replaces the upper half-warp by `fill` unless `keep` holds. The lower half-warp stays as it is.
    #[inline(always)]
    pub fn upper_where(self, keep: bool, fill: f32) -> Self {
        Self(self.0, if keep { self.1 } else { F32x16::splat(fill) })
    }

    /// Applies [`F32x16::segmented_sum`] in each half-warp.
    #[inline(always)]
    pub fn segmented_sum(self, width: usize) -> Self {
        Self(self.0.segmented_sum(width), self.1.segmented_sum(width))
    }

    /// Returns the larger of each two values, or `other` if either is NaN.
    #[inline(always)]
    pub fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0), self.1.max(other.1))
    }

    /// Returns the larger of each two values, or the other one if one is NaN. This takes a GPU one instruction, and
    /// [`Self::max`] two. Which of two zeros of different signs is returned depends on the device.
    #[inline(always)]
    pub fn max_number(self, other: Self) -> Self {
        Self(F32x16(self.0.0.simd_max(other.0.0)), F32x16(self.1.0.simd_max(other.1.0)))
    }

    /// Returns the larger of the two half-warps, channel by channel.
    #[inline(always)]
    pub fn max_halves(self) -> F32x16 {
        self.0.max(self.1)
    }

    /// Applies `f` to each half-warp.
    #[inline(always)]
    pub fn map(self, f: impl Fn(F32x16) -> F32x16) -> Self {
        Self(f(self.0), f(self.1))
    }

    /// Applies `f` to each half-warp of both operands.
    #[inline(always)]
    pub fn zip(self, other: Self, f: impl Fn(F32x16, F32x16) -> F32x16) -> Self {
        Self(f(self.0, other.0), f(self.1, other.1))
    }

    /// Returns the sum of the two half-warps, channel by channel.
    #[inline(always)]
    pub fn add_halves(self) -> F32x16 {
        self.0 + self.1
    }
}
