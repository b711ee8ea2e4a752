//! Integers, conditions and moves of all 32 lanes, as registers.

use core::ops::{Add, Mul, Not, Sub};

use super::lanes::F32x32;
use super::ptx;
use super::wide_lanes::{F64x32, U64x32};
use crate::target::WARP;

/// One signed integer for each lane.
#[derive(Clone, Copy)]
pub struct I32x32(pub(super) i32);

/// One unsigned integer for each lane.
#[derive(Clone, Copy)]
pub struct U32x32(pub(super) u32);

/// One condition for each lane.
#[derive(Clone, Copy)]
pub struct Mask32(pub(super) bool);

impl F32x32 {
    /// Returns the bit patterns.
    #[inline(always)]
    pub fn to_bits(self) -> U32x32 {
        U32x32(self.0.to_bits())
    }

    /// Returns the values with these bit patterns.
    #[inline(always)]
    pub fn from_bits(bits: U32x32) -> Self {
        Self(f32::from_bits(bits.0))
    }

    /// Returns the absolute values.
    #[inline(always)]
    pub fn abs(self) -> Self {
        Self(f32::from_bits(self.0.to_bits() & (u32::MAX >> 1)))
    }

    /// Returns the values without their fractions. Values beyond the range of `i32` give its ends, and NaN gives 0.
    #[inline(always)]
    pub fn to_i32(self) -> I32x32 {
        I32x32(self.0 as i32)
    }
}

impl I32x32 {
    /// Returns the values as `f32`, rounded to nearest.
    #[inline(always)]
    pub fn to_f32(self) -> F32x32 {
        F32x32(self.0 as f32)
    }

    /// Returns the same bits as unsigned integers.
    #[inline(always)]
    pub fn to_u32(self) -> U32x32 {
        U32x32(self.0 as u32)
    }
}

impl U32x32 {
    /// Returns each lane's index in the warp.
    #[inline(always)]
    pub fn lane_index() -> Self {
        Self(ptx::lane())
    }

    /// Returns the same bits as signed integers.
    #[inline(always)]
    pub fn to_i32(self) -> I32x32 {
        I32x32(self.0 as i32)
    }
}

impl Mask32 {
    /// Returns `condition` in every lane.
    #[inline(always)]
    pub fn splat(condition: bool) -> Self {
        Self(condition)
    }

    /// Returns the lanes below `n`.
    #[inline(always)]
    pub fn lanes_below(n: usize) -> Self {
        Self(ptx::lane() < n.min(WARP) as u32)
    }

    /// Returns the mask as bits, of which lane 0 is the lowest. This is the ballot of the warp.
    #[inline(always)]
    pub fn to_bitmask(self) -> u32 {
        ptx::ballot(self.0)
    }
}

lanewise!(BitAnd bitand Mask32: 0);
lanewise!(BitOr bitor Mask32: 0);

impl Not for Mask32 {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        Self(!self.0)
    }
}

macro_rules! integers {
    ($($type:ident: $element:ident;)*) => {$(
        impl $type {
            /// Returns `x` in every lane.
            #[inline(always)]
            pub fn splat(x: $element) -> Self {
                Self(x)
            }
        }


        impl Add for $type {
            type Output = Self;
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                Self(self.0.wrapping_add(other.0))
            }
        }

        impl Sub for $type {
            type Output = Self;
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                Self(self.0.wrapping_sub(other.0))
            }
        }

        impl Mul for $type {
            type Output = Self;
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                Self(self.0.wrapping_mul(other.0))
            }
        }

        integer_operators!($type: |x, bits| x.wrapping_shl(bits), x.wrapping_shr(bits));
    )*};
}

integers! { I32x32: i32; U32x32: u32; U64x32: u64; }

/// The value of a lane, which shuffles move in words of 32 bits.
trait Words: Copy {
    /// Applies `shuffle` to each word.
    fn shuffled(self, shuffle: impl Fn(u32) -> u32) -> Self;
}

impl Words for u32 {
    #[inline(always)]
    fn shuffled(self, shuffle: impl Fn(u32) -> u32) -> Self {
        shuffle(self)
    }
}

impl Words for i32 {
    #[inline(always)]
    fn shuffled(self, shuffle: impl Fn(u32) -> u32) -> Self {
        shuffle(self.cast_unsigned()).cast_signed()
    }
}

impl Words for f32 {
    #[inline(always)]
    fn shuffled(self, shuffle: impl Fn(u32) -> u32) -> Self {
        f32::from_bits(shuffle(self.to_bits()))
    }
}

impl Words for u64 {
    #[inline(always)]
    fn shuffled(self, shuffle: impl Fn(u32) -> u32) -> Self {
        u64::from(shuffle((self >> 32) as u32)) << 32 | u64::from(shuffle(self as u32))
    }
}

impl Words for f64 {
    #[inline(always)]
    fn shuffled(self, shuffle: impl Fn(u32) -> u32) -> Self {
        f64::from_bits(self.to_bits().shuffled(shuffle))
    }
}

/// Implements what all lane types have in common, from the value of one lane.
macro_rules! lanes {
    ($($type:ident: $element:ident;)*) => {$(
        impl $type {
            /// Returns the lanes with `self < other`. A comparison with NaN is false.
            #[inline(always)]
            pub fn lt(self, other: Self) -> Mask32 {
                Mask32(self.0 < other.0)
            }

            /// Returns the lanes with `self <= other`. A comparison with NaN is false.
            #[inline(always)]
            pub fn le(self, other: Self) -> Mask32 {
                Mask32(self.0 <= other.0)
            }

            /// Returns the lanes with `self == other`. A comparison with NaN is false.
            #[inline(always)]
            pub fn eq(self, other: Self) -> Mask32 {
                Mask32(self.0 == other.0)
            }

            /// Returns the value of a lane. The index counts modulo 32.
            #[inline(always)]
            pub fn lane(self, lane: usize) -> $element {
                self.0.shuffled(#[inline(always)] |x| ptx::shuffle_lane(x, lane as u32))
            }

            /// Returns the value, which is the same in all lanes.
            #[inline(always)]
            pub(crate) fn uniform(self) -> $element {
                self.0
            }

            /// Returns `a` in the lanes of the mask and `b` in the others.
            #[inline(always)]
            pub(crate) fn select_by(mask: Mask32, a: Self, b: Self) -> Self {
                if mask.0 { a } else { b }
            }

            /// Returns in each lane the value of the lane `from`. The indices count modulo 32.
            #[inline(always)]
            pub fn shuffle(self, from: U32x32) -> Self {
                Self(self.0.shuffled(#[inline(always)] |x| ptx::shuffle_lane(x, from.0)))
            }

            /// Returns in each lane the value of the lane whose index differs in the bits of `mask`, which is below 32.
            #[inline(always)]
            pub fn shuffle_xor(self, mask: usize) -> Self {
                Self(self.0.shuffled(#[inline(always)] |x| ptx::shuffle_lanes_xor(x, mask as u32)))
            }

            /// Returns in each lane the value of the lane `distance` lower. The lowest lanes keep their values. The
            /// distance is below 32.
            #[inline(always)]
            pub fn shuffle_up(self, distance: usize) -> Self {
                Self(self.0.shuffled(#[inline(always)] |x| ptx::shuffle_lanes_up(x, distance as u32)))
            }

            /// Returns in each lane the value of the lane `distance` higher. The highest lanes keep their values.
            /// The distance is below 32.
            #[inline(always)]
            pub fn shuffle_down(self, distance: usize) -> Self {
                Self(self.0.shuffled(#[inline(always)] |x| ptx::shuffle_lanes_down(x, distance as u32)))
            }
        }
    )*};
}

lanes! { F32x32: f32; I32x32: i32; U32x32: u32; F64x32: f64; U64x32: u64; }
