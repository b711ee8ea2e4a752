//! One value for each lane, as a register.

use core::f32::math;

use super::channels::{F32x16, segmented_sum};
use super::ptx;
use crate::target::HALF_WARP;

/// One value for each lane of the lower and of the upper half-warp.
#[derive(Clone, Copy)]
pub struct F32x32(pub(super) f32);

lanewise!(F32x32: 0);

impl F32x32 {
    /// Returns `x` in every lane.
    #[inline(always)]
    pub fn splat(x: f32) -> Self {
        Self(x)
    }

    /// Returns the channels of `x` in both half-warps.
    #[inline(always)]
    pub fn broadcast(x: F32x16) -> Self {
        Self(x.0)
    }

    /// Returns `self * b + c`, rounded once.
    #[inline(always)]
    pub fn mul_add(self, b: Self, c: Self) -> Self {
        Self(math::mul_add(self.0, b.0, c.0))
    }

    /// Replaces the upper half-warp by `fill` unless `keep` holds. The lower half-warp stays as it is.
    #[inline(always)]
    pub fn upper_where(self, keep: bool, fill: f32) -> Self {
        Self(if keep | (ptx::half() == 0) { self.0 } else { fill })
    }

    /// Applies [`F32x16::segmented_sum`] in each half-warp.
    #[inline(always)]
    pub fn segmented_sum(self, width: usize) -> Self {
        Self(segmented_sum(self.0, width))
    }

    /// Returns the larger of each two values, or `other` if either is NaN.
    #[inline(always)]
    pub fn max(self, other: Self) -> Self {
        Self(F32x16(self.0).max(F32x16(other.0)).0)
    }

    /// Returns the larger of each two values, or the other one if one is NaN. This takes a GPU one instruction, and
    /// [`Self::max`] two. Which of two zeros of different signs is returned depends on the device.
    #[inline(always)]
    pub fn max_number(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// Returns the larger of the two half-warps, channel by channel.
    #[inline(always)]
    pub fn max_halves(self) -> F32x16 {
        let other = Self(ptx::shuffle_xor(self.0, HALF_WARP as u32));
        F32x16(self.max(other).0)
    }

    /// Applies `f` to each half-warp.
    #[inline(always)]
    pub fn map(self, f: impl Fn(F32x16) -> F32x16) -> Self {
        Self(f(F32x16(self.0)).0)
    }

    /// Applies `f` to each half-warp of both operands.
    #[inline(always)]
    pub fn zip(self, other: Self, f: impl Fn(F32x16, F32x16) -> F32x16) -> Self {
        Self(f(F32x16(self.0), F32x16(other.0)).0)
    }

    /// Returns the sum of the two half-warps, channel by channel.
    #[inline(always)]
    pub fn add_halves(self) -> F32x16 {
        F32x16(self.0 + ptx::shuffle_xor(self.0, HALF_WARP as u32))
    }
}
