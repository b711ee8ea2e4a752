//! The ops of all 32 lanes that consist of other ops, in one order on every device.

use core::ops::{Add, Neg};

#[cfg(not(target_arch = "nvptx64"))]
use crate::cpu as backend;
#[cfg(target_arch = "nvptx64")]
use crate::gpu as backend;
use backend::{F32x32, F64x32, I32x32, Mask32, U32x32, U64x32};

/// One value for each lane: [`F32x32`], [`I32x32`], [`U32x32`], [`F64x32`] or [`U64x32`].
///
/// The values of lanes are types of their own, and so are conditions ([`Mask32`]). So no `if` and no loop bound takes
/// them, and control flow depends only on scalars, which all lanes of a warp share. Reductions, [`Mask32::any`] and
/// other ballots, and the value of one lane make scalars of them.
pub trait Lanes: Copy + Send + Sync + sealed::Sealed {
    /// The value of one lane.
    type Scalar: Copy + Send + Sync;

    /// The neutral element of addition, which is minus zero for floats.
    #[doc(hidden)]
    const ZERO: Self::Scalar;

    /// Returns `x` in every lane.
    #[doc(hidden)]
    fn splat(x: Self::Scalar) -> Self;

    /// Returns the value, which is the same in all lanes.
    #[doc(hidden)]
    fn uniform(self) -> Self::Scalar;

    /// Returns `a` in the lanes of the mask and `b` in the others, as [`Mask32::select`].
    #[doc(hidden)]
    fn select(mask: Mask32, a: Self, b: Self) -> Self;

    /// Returns in each lane the value of the lane whose index differs in the bits of `mask`.
    #[doc(hidden)]
    fn shuffle_xor(self, mask: usize) -> Self;

    /// Returns in each lane the value of the lane `distance` lower.
    #[doc(hidden)]
    fn shuffle_up(self, distance: usize) -> Self;

    /// Returns the value of a lane.
    #[doc(hidden)]
    fn lane(self, lane: usize) -> Self::Scalar;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::F32x32 {}
    impl Sealed for super::I32x32 {}
    impl Sealed for super::U32x32 {}
    impl Sealed for super::F64x32 {}
    impl Sealed for super::U64x32 {}
}

/// Combines the values of all lanes by a butterfly, which halves the distance of the lanes from 16 to 1. The result is
/// that of lane 0, which matters if `combine` depends on the order of its operands.
#[inline(always)]
pub(crate) fn reduce<L: Lanes>(x: L, combine: impl Fn(L, L) -> L) -> L::Scalar {
    let mut x = x;
    x = combine(x, x.shuffle_xor(16));
    x = combine(x, x.shuffle_xor(8));
    x = combine(x, x.shuffle_xor(4));
    x = combine(x, x.shuffle_xor(2));
    x = combine(x, x.shuffle_xor(1));
    x.lane(0)
}

/// Returns in each lane the combination of the values up to that lane. The distance of the combined lanes doubles from
/// 1 to 16.
#[inline(always)]
pub(crate) fn scan<L: Lanes>(x: L, combine: impl Fn(L, L) -> L + Copy) -> L {
    // With a loop in place of the five calls, LLVM computes the masks at run time.
    let x = scan_step(x, 1, combine);
    let x = scan_step(x, 2, combine);
    let x = scan_step(x, 4, combine);
    let x = scan_step(x, 8, combine);
    scan_step(x, 16, combine)
}

/// Combines each lane with the lane `distance` lower. A lane that has none keeps its value.
#[inline(always)]
fn scan_step<L: Lanes>(x: L, distance: usize, combine: impl Fn(L, L) -> L) -> L {
    Mask32::lanes_below(distance).select(x, combine(x.shuffle_up(distance), x))
}

/// Adds to each lane the lane `distance` lower. A lane that has none adds the neutral element, so that the step is a shift
/// and an addition on the CPU.
#[inline(always)]
fn sum_step<L: Lanes + Add<Output = L>>(x: L, distance: usize) -> L {
    Mask32::lanes_below(distance).select(L::splat(L::ZERO), x.shuffle_up(distance)) + x
}

impl Mask32 {
    /// Returns `a` in the lanes of the mask and `b` in the others.
    #[inline(always)]
    pub fn select<L: Lanes>(self, a: L, b: L) -> L {
        L::select(self, a, b)
    }

    /// Returns whether the condition holds in any lane.
    #[inline(always)]
    pub fn any(self) -> bool {
        self.to_bitmask() != 0
    }

    /// Returns whether the condition holds in all lanes.
    #[inline(always)]
    pub fn all(self) -> bool {
        self.to_bitmask() == u32::MAX
    }

    /// Returns in how many lanes the condition holds.
    #[inline(always)]
    pub fn count(self) -> usize {
        self.to_bitmask().count_ones() as usize
    }
}

impl Neg for F32x32 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.map(
            #[inline(always)]
            |x| -x,
        )
    }
}

macro_rules! reductions {
    ($($type:ident: $element:ident, $zero:literal;)*) => {$(
        impl Lanes for $type {
            type Scalar = $element;
            const ZERO: $element = $zero;

            #[inline(always)]
            fn splat(x: $element) -> Self {
                Self::splat(x)
            }

            #[inline(always)]
            fn uniform(self) -> $element {
                Self::uniform(self)
            }

            #[inline(always)]
            fn select(mask: Mask32, a: Self, b: Self) -> Self {
                Self::select_by(mask, a, b)
            }

            #[inline(always)]
            fn shuffle_xor(self, mask: usize) -> Self {
                Self::shuffle_xor(self, mask)
            }

            #[inline(always)]
            fn shuffle_up(self, distance: usize) -> Self {
                Self::shuffle_up(self, distance)
            }

            #[inline(always)]
            fn lane(self, lane: usize) -> $element {
                Self::lane(self, lane)
            }
        }

        impl $type {
            /// Combines the values of all lanes by a butterfly, which halves the distance of the lanes from 16 to 1. The
            /// result is that of lane 0, which matters if `combine` depends on the order of its operands.
            #[inline(always)]
            pub fn reduce(self, combine: impl Fn(Self, Self) -> Self) -> $element {
                reduce(self, combine)
            }

            /// Returns in each lane the combination of the values up to that lane. The distance of the combined lanes
            /// doubles from 1 to 16.
            #[inline(always)]
            pub fn scan(self, combine: impl Fn(Self, Self) -> Self + Copy) -> Self {
                scan(self, combine)
            }

            /// Returns the lanes with `self > other`. A comparison with NaN is false.
            #[inline(always)]
            pub fn gt(self, other: Self) -> Mask32 {
                other.lt(self)
            }

            /// Returns the lanes with `self >= other`. A comparison with NaN is false.
            #[inline(always)]
            pub fn ge(self, other: Self) -> Mask32 {
                other.le(self)
            }

            /// Returns the lanes with `self != other`. A comparison with NaN is true.
            #[inline(always)]
            pub fn ne(self, other: Self) -> Mask32 {
                !self.eq(other)
            }

            /// Returns the smaller of each two values, or `other` if either is NaN.
            #[inline(always)]
            pub fn min(self, other: Self) -> Self {
                self.lt(other).select(self, other)
            }

            /// Assigns `value` in the lanes of the mask, and keeps the others.
            #[inline(always)]
            pub fn set_where(&mut self, mask: Mask32, value: Self) {
                *self = mask.select(value, *self);
            }

            /// Returns the sum over all lanes by the butterfly of [`Self::reduce`].
            #[inline(always)]
            pub fn reduce_sum(self) -> $element {
                self.reduce(Self::add)
            }

            /// Returns the largest value of all lanes.
            #[inline(always)]
            pub fn reduce_max(self) -> $element {
                self.reduce(Self::max)
            }

            /// Returns the smallest value of all lanes.
            #[inline(always)]
            pub fn reduce_min(self) -> $element {
                self.reduce(Self::min)
            }

            /// Returns the inclusive prefix sum, which holds in each lane the sum of the values up to that lane.
            #[inline(always)]
            pub fn prefix_sum(self) -> Self {
                let sums = sum_step(sum_step(self, 1), 2);
                sum_step(sum_step(sum_step(sums, 4), 8), 16)
            }
        }
    )*};
}

reductions! { F32x32: f32, -0.0; I32x32: i32, 0; U32x32: u32, 0; F64x32: f64, -0.0; U64x32: u64, 0; }

impl Neg for F64x32 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        // The sign changes also if the value is zero.
        self * Self::splat(-1.0)
    }
}

/// Implements the maximum of the types whose backends have none.
macro_rules! maxima {
    ($($type:ident)*) => {$(
        impl $type {
            /// Returns the larger of each two values, or `other` if either is NaN.
            #[inline(always)]
            pub fn max(self, other: Self) -> Self {
                self.gt(other).select(self, other)
            }
        }
    )*};
}

maxima! { I32x32 U32x32 F64x32 U64x32 }
