//! Values of 64 bits of all 32 lanes, as registers.

use core::f64::math;

/// One value in double precision for each lane.
#[derive(Clone, Copy)]
pub struct F64x32(pub(super) f64);

/// One unsigned integer of 64 bits for each lane.
#[derive(Clone, Copy)]
pub struct U64x32(pub(super) u64);

lanewise!(F64x32: 0);

impl F64x32 {
    /// Returns `x` in every lane.
    #[inline(always)]
    pub fn splat(x: f64) -> Self {
        Self(x)
    }

    /// Returns `self * b + c`, rounded once.
    #[inline(always)]
    pub fn mul_add(self, b: Self, c: Self) -> Self {
        Self(math::mul_add(self.0, b.0, c.0))
    }

    /// Returns the square roots, correctly rounded.
    #[inline(always)]
    pub fn sqrt(self) -> Self {
        Self(math::sqrt(self.0))
    }

    /// Returns the bit patterns.
    #[inline(always)]
    pub fn to_bits(self) -> U64x32 {
        U64x32(self.0.to_bits())
    }

    /// Returns the values with these bit patterns.
    #[inline(always)]
    pub fn from_bits(bits: U64x32) -> Self {
        Self(f64::from_bits(bits.0))
    }
}
