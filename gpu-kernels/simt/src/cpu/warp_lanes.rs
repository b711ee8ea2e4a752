//! Integers, conditions and moves of all 32 lanes, as SIMD vectors.

use core::ops::Not;
use core::simd::cmp::{SimdPartialEq, SimdPartialOrd};
use core::simd::num::{SimdFloat, SimdInt, SimdUint};
use core::simd::{Mask, Select, Simd, simd_swizzle};

use super::channels::F32x16;
use super::lanes::F32x32;
use super::wide_lanes::{F64x32, U64x32};
use crate::target::{HALF_WARP, WARP};

/// Each lane's index. LLVM computes masks from a constant vector when it compiles, and from a constant array of this size at
/// run time.
///
/// Functions such as [`core::array::from_fn`] are not always inlined. They would then be compiled for the baseline, so
/// loops take their place in this file.
const LANES: Simd<u32, WARP> = {
    let (mut lanes, mut lane) = ([0; WARP], 0);
    while lane < WARP {
        lanes[lane] = lane as u32;
        lane += 1;
    }
    Simd::from_array(lanes)
};

/// One signed integer for each lane.
#[derive(Clone, Copy)]
pub struct I32x32(pub(super) Simd<i32, WARP>);

/// One unsigned integer for each lane.
#[derive(Clone, Copy)]
pub struct U32x32(pub(super) Simd<u32, WARP>);

/// One condition for each lane.
#[derive(Clone, Copy)]
pub struct Mask32(pub(super) Mask<i32, WARP>);

impl F32x32 {
    /// Returns the lanes as one vector.
    #[inline(always)]
    pub(super) fn to_simd(self) -> Simd<f32, WARP> {
        const ALL: [usize; WARP] = {
            let (mut lanes, mut i) = ([0; WARP], 0);
            while i < WARP {
                lanes[i] = i;
                i += 1;
            }
            lanes
        };
        simd_swizzle!(self.0.0, self.1.0, ALL)
    }

    /// Returns the lanes of one vector.
    #[inline(always)]
    pub(super) fn from_simd(x: Simd<f32, WARP>) -> Self {
        Self(F32x16(x.extract::<0, HALF_WARP>()), F32x16(x.extract::<HALF_WARP, HALF_WARP>()))
    }

    /// Returns the bit patterns.
    #[inline(always)]
    pub fn to_bits(self) -> U32x32 {
        U32x32(self.to_simd().to_bits())
    }

    /// Returns the values with these bit patterns.
    #[inline(always)]
    pub fn from_bits(bits: U32x32) -> Self {
        Self::from_simd(Simd::from_bits(bits.0))
    }

    /// Returns the absolute values.
    #[inline(always)]
    pub fn abs(self) -> Self {
        Self::from_simd(self.to_simd().abs())
    }

    /// Returns the values without their fractions. Values beyond the range of `i32` give its ends, and NaN gives 0.
    #[inline(always)]
    pub fn to_i32(self) -> I32x32 {
        // LLVM converts lane by lane if it has to take care of the values out of range, so these are replaced first.
        let (x, lowest, largest) = (self.to_simd(), Simd::splat(-2_147_483_648.0), Simd::splat(2_147_483_520.0));
        let inside = x.simd_gt(lowest).select(x, lowest);
        let inside = inside.simd_lt(largest).select(inside, largest);
        // SAFETY: the values lie in the range of `i32`, and NaN became the lowest.
        let inside = unsafe { inside.to_int_unchecked() };
        let (is_large, is_nan) = (x.simd_gt(largest), x.simd_ne(x));
        I32x32(is_large.select(Simd::splat(i32::MAX), is_nan.select(Simd::splat(0), inside)))
    }
}

impl I32x32 {
    /// Returns the values as `f32`, rounded to nearest.
    #[inline(always)]
    pub fn to_f32(self) -> F32x32 {
        F32x32::from_simd(self.0.cast())
    }

    /// Returns the same bits as unsigned integers.
    #[inline(always)]
    pub fn to_u32(self) -> U32x32 {
        U32x32(self.0.cast())
    }
}

impl U32x32 {
    /// Returns each lane's index in the warp.
    #[inline(always)]
    pub fn lane_index() -> Self {
        Self(LANES)
    }

    /// Returns the same bits as signed integers.
    #[inline(always)]
    pub fn to_i32(self) -> I32x32 {
        I32x32(self.0.cast())
    }
}

impl Mask32 {
    /// Returns `condition` in every lane.
    #[inline(always)]
    pub fn splat(condition: bool) -> Self {
        Self(Mask::splat(condition))
    }

    /// Returns the lanes below `n`.
    #[inline(always)]
    pub fn lanes_below(n: usize) -> Self {
        Self(LANES.simd_lt(Simd::splat(n.min(WARP) as u32)))
    }

    /// Returns the mask as bits, of which lane 0 is the lowest. This is the ballot of the warp.
    #[inline(always)]
    pub fn to_bitmask(self) -> u32 {
        self.0.to_bitmask() as u32
    }

    /// Returns the condition of a lane.
    #[inline(always)]
    pub(super) fn test(self, lane: usize) -> bool {
        self.0.test(lane)
    }

    /// Runs `work` for the lanes of the mask, from the lowest on. A full mask is tested once rather than in each lane.
    #[inline(always)]
    pub(super) fn each_lane(self, mut work: impl FnMut(usize)) {
        let mut lanes = self.to_bitmask();
        if lanes == u32::MAX {
            for lane in 0..WARP {
                work(lane);
            }
        } else {
            while lanes != 0 {
                work(lanes.trailing_zeros() as usize);
                lanes &= lanes - 1;
            }
        }
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

/// Implements what all integers have in common, from a conversion of a number of bits.
macro_rules! integers {
    ($($type:ident: $element:ident, $bits:expr;)*) => {$(
        lanewise!(Add add $type: 0);
        lanewise!(Sub sub $type: 0);
        lanewise!(Mul mul $type: 0);

        impl $type {
            /// Returns `x` in every lane.
            #[inline(always)]
            pub fn splat(x: $element) -> Self {
                Self(Simd::splat(x))
            }
        }

        integer_operators!($type: |x, bits| x << Simd::splat($bits(bits)), x >> Simd::splat($bits(bits)));
    )*};
}

integers! { I32x32: i32, u32::cast_signed; U32x32: u32, u32::from; U64x32: u64, u64::from; }

/// Implements what all lane types have in common, from a conversion to a vector and back.
macro_rules! lanes {
    ($($type:ident: $element:ident, $condition:ident, $to:expr, $from:expr;)*) => {$(
        impl $type {
            /// Returns the lanes with `self < other`. A comparison with NaN is false.
            #[inline(always)]
            pub fn lt(self, other: Self) -> Mask32 {
                Mask32($to(self).simd_lt($to(other)).cast())
            }

            /// Returns the lanes with `self <= other`. A comparison with NaN is false.
            #[inline(always)]
            pub fn le(self, other: Self) -> Mask32 {
                Mask32($to(self).simd_le($to(other)).cast())
            }

            /// Returns the lanes with `self == other`. A comparison with NaN is false.
            #[inline(always)]
            pub fn eq(self, other: Self) -> Mask32 {
                Mask32($to(self).simd_eq($to(other)).cast())
            }

            /// Returns the value of a lane. The index counts modulo 32.
            #[inline(always)]
            pub fn lane(self, lane: usize) -> $element {
                $to(self)[lane % WARP]
            }

            /// Returns the value, which is the same in all lanes.
            #[inline(always)]
            pub(crate) fn uniform(self) -> $element {
                $to(self)[0]
            }

            /// Returns `a` in the lanes of the mask and `b` in the others.
            #[inline(always)]
            pub(crate) fn select_by(mask: Mask32, a: Self, b: Self) -> Self {
                $from(mask.0.cast::<$condition>().select($to(a), $to(b)))
            }

            /// Returns in each lane the value of the lane `from`. The indices count modulo 32.
            #[inline(always)]
            pub fn shuffle(self, from: U32x32) -> Self {
                let (x, from) = ($to(self).to_array(), from.0.to_array());
                let mut moved = x;
                for lane in 0..WARP {
                    moved[lane] = x[from[lane] as usize % WARP];
                }
                $from(Simd::from_array(moved))
            }

            /// Returns in each lane the value of the lane whose index differs in the bits of `mask`, which is below 32.
            #[inline(always)]
            pub fn shuffle_xor(self, mask: usize) -> Self {
                let x = $to(self).to_array();
                let mut moved = x;
                for lane in 0..WARP {
                    moved[lane] = x[(lane ^ mask) % WARP];
                }
                $from(Simd::from_array(moved))
            }

            /// Returns in each lane the value of the lane `distance` lower. The lowest lanes keep their values. The
            /// distance is below 32.
            #[inline(always)]
            pub fn shuffle_up(self, distance: usize) -> Self {
                let x = $to(self).to_array();
                let mut moved = x;
                for lane in distance..WARP {
                    moved[lane] = x[lane - distance];
                }
                $from(Simd::from_array(moved))
            }

            /// Returns in each lane the value of the lane `distance` higher. The highest lanes keep their values.
            /// The distance is below 32.
            #[inline(always)]
            pub fn shuffle_down(self, distance: usize) -> Self {
                let x = $to(self).to_array();
                let mut moved = x;
                for lane in distance..WARP {
                    moved[lane - distance] = x[lane];
                }
                $from(Simd::from_array(moved))
            }
        }
    )*};
}

lanes! {
    F32x32: f32, i32, F32x32::to_simd, F32x32::from_simd;
    I32x32: i32, i32, (|x: I32x32| x.0), I32x32;
    U32x32: u32, i32, (|x: U32x32| x.0), U32x32;
    F64x32: f64, i64, (|x: F64x32| x.0), F64x32;
    U64x32: u64, i64, (|x: U64x32| x.0), U64x32;
}
