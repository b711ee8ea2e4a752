//! Values of 64 bits of all 32 lanes, as SIMD vectors.

use core::intrinsics::simd::{simd_fma, simd_fsqrt};
use core::simd::Simd;
use core::simd::num::SimdFloat;

use crate::target::WARP;

/// One value in double precision for each lane.
#[derive(Clone, Copy)]
pub struct F64x32(pub(super) Simd<f64, WARP>);

/// One unsigned integer of 64 bits for each lane.
#[derive(Clone, Copy)]
pub struct U64x32(pub(super) Simd<u64, WARP>);

lanewise!(F64x32: 0);

impl F64x32 {
    /// Returns `x` in every lane.
    #[inline(always)]
    pub fn splat(x: f64) -> Self {
        Self(Simd::splat(x))
    }

    /// Returns `self * b + c`, rounded once.
    #[inline(always)]
    pub fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: the operands are vectors of floats of one length, which is all that the intrinsic asks.
        Self(unsafe { simd_fma(self.0, b.0, c.0) })
    }

    /// Returns the square roots, correctly rounded.
    #[inline(always)]
    pub fn sqrt(self) -> Self {
        // SAFETY: the operand is a vector of floats, which is all that the intrinsic asks.
        Self(unsafe { simd_fsqrt(self.0) })
    }

    /// Returns the bit patterns.
    #[inline(always)]
    pub fn to_bits(self) -> U64x32 {
        U64x32(self.0.to_bits())
    }

    /// Returns the values with these bit patterns.
    #[inline(always)]
    pub fn from_bits(bits: U64x32) -> Self {
        Self(Simd::from_bits(bits.0))
    }
}
