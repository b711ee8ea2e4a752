//! One number a lane: a register.

use core::f32::math;

use super::channels::group_sum;
use super::{F32x16, ptx};
use crate::shape::TILE;

/// One number a lane: the lower and the upper half-warp.
#[derive(Clone, Copy)]
pub struct F32x32(pub(super) f32);

lanewise!(F32x32: 0);

impl F32x32 {
    /// The same number for every lane.
    #[inline(always)]
    pub fn splat(x: f32) -> Self {
        Self(x)
    }

    /// The same channels for both half-warps.
    #[inline(always)]
    pub fn broadcast(x: F32x16) -> Self {
        Self(x.0)
    }

    /// `self * b + c`, rounded once.
    #[inline(always)]
    pub fn mul_add(self, b: Self, c: Self) -> Self {
        Self(math::mul_add(self.0, b.0, c.0))
    }

    /// `fill` in the upper half-warp unless `keep` (the lower half is untouched).
    #[inline(always)]
    pub fn upper_where(self, keep: bool, fill: f32) -> Self {
        Self(if keep | (ptx::half() == 0) { self.0 } else { fill })
    }

    /// [`F32x16::group_sum`] in each half-warp.
    #[inline(always)]
    pub fn group_sum(self, width: usize) -> Self {
        Self(group_sum(self.0, width))
    }

    /// The larger of each two numbers.
    #[inline(always)]
    pub fn max(self, other: Self) -> Self {
        Self(F32x16(self.0).max(F32x16(other.0)).0)
    }

    /// The larger of the two half-warps' numbers, channel by channel.
    #[inline(always)]
    pub fn max_halves(self) -> F32x16 {
        let other = Self(ptx::shuffle_xor(self.0, TILE as u32));
        F32x16(self.max(other).0)
    }

    /// The same function of each half-warp's numbers.
    #[inline(always)]
    pub fn map(self, f: impl Fn(F32x16) -> F32x16) -> Self {
        Self(f(F32x16(self.0)).0)
    }

    /// The sum of the two half-warps, channel by channel.
    #[inline(always)]
    pub fn add_halves(self) -> F32x16 {
        F32x16(self.0 + ptx::shuffle_xor(self.0, TILE as u32))
    }
}
