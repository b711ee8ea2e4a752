//! Conversions between lanes of 32 and of 64 bits.

use core::simd::num::{SimdFloat, SimdInt, SimdUint};

use super::lanes::F32x32;
use super::warp_lanes::{I32x32, U32x32};
use super::wide_lanes::{F64x32, U64x32};

impl F64x32 {
    /// Returns the values as `f32`, rounded to nearest.
    #[inline(always)]
    pub fn to_f32(self) -> F32x32 {
        F32x32::from_simd(self.0.cast())
    }
}

impl F32x32 {
    /// Returns the values in double precision.
    #[inline(always)]
    pub fn to_f64(self) -> F64x32 {
        F64x32(self.to_simd().cast())
    }
}

impl I32x32 {
    /// Returns the values in double precision.
    #[inline(always)]
    pub fn to_f64(self) -> F64x32 {
        F64x32(SimdInt::cast(self.0))
    }
}

impl U64x32 {
    /// Returns the lower halves.
    #[inline(always)]
    pub fn to_u32(self) -> U32x32 {
        U32x32(self.0.cast())
    }
}

impl U32x32 {
    /// Returns the values with 64 bits.
    #[inline(always)]
    pub fn to_u64(self) -> U64x32 {
        U64x32(self.0.cast())
    }
}
