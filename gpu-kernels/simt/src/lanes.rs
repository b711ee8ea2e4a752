//! The ops of all 32 lanes that consist of other ops, in one order on every device.

use core::ops::{Add, Neg};

#[cfg(not(target_arch = "nvptx64"))]
use crate::cpu as backend;
#[cfg(target_arch = "nvptx64")]
use crate::gpu as backend;
use backend::{F32x32, I32x32, Mask32, U32x32};

/// One value for each lane, which is [`F32x32`], [`I32x32`] or [`U32x32`].
pub trait Lanes: Copy + sealed::Sealed {
    /// Returns `a` in the lanes of the mask and `b` in the others, as [`Mask32::select`].
    #[doc(hidden)]
    fn select(mask: Mask32, a: Self, b: Self) -> Self;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::F32x32 {}
    impl Sealed for super::I32x32 {}
    impl Sealed for super::U32x32 {}
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
    ($($type:ident: $element:ident;)*) => {$(
        impl Lanes for $type {
            #[inline(always)]
            fn select(mask: Mask32, a: Self, b: Self) -> Self {
                Self::select_by(mask, a, b)
            }
        }

        impl $type {
            /// Combines the values of all lanes by a butterfly, which halves the distance of the lanes from 16 to 1.
            #[inline(always)]
            pub fn reduce(self, combine: impl Fn(Self, Self) -> Self) -> $element {
                let mut x = self;
                x = combine(x, x.shuffle_xor(16));
                x = combine(x, x.shuffle_xor(8));
                x = combine(x, x.shuffle_xor(4));
                x = combine(x, x.shuffle_xor(2));
                x = combine(x, x.shuffle_xor(1));
                x.uniform()
            }

            /// Returns in each lane the combination of the values up to that lane. The distance of the combined lanes
            /// doubles from 1 to 16.
            #[inline(always)]
            pub fn scan(self, combine: impl Fn(Self, Self) -> Self) -> Self {
                let mut x = self;
                x = x.scan_step(1, &combine);
                x = x.scan_step(2, &combine);
                x = x.scan_step(4, &combine);
                x = x.scan_step(8, &combine);
                x.scan_step(16, &combine)
            }

            /// Combines each value with the value of the lane `distance` lower, if there is one.
            #[inline(always)]
            fn scan_step(self, distance: usize, combine: &impl Fn(Self, Self) -> Self) -> Self {
                Mask32::lanes_below(distance).select(self, combine(self.shuffle_up(distance), self))
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
                self.scan(Self::add)
            }
        }
    )*};
}

reductions! { F32x32: f32; I32x32: i32; U32x32: u32; }

macro_rules! integers {
    ($($type:ident)*) => {$(
        impl $type {
            /// Returns the larger of each two values.
            #[inline(always)]
            pub fn max(self, other: Self) -> Self {
                self.gt(other).select(self, other)
            }
        }
    )*};
}

integers! { I32x32 U32x32 }
