//! Atomic operations of lanes on arrays.
//!
//! The operations without a result give the same array in any order of the lanes, warps and blocks, so they keep the bits
//! of a kernel. The operations that return old values are relaxed: their results depend on the order, which differs from
//! device to device. So does the sum of floats. [`KernelBlock::each_in_order`](crate::KernelBlock::each_in_order) and
//! [`Array::add_in_order`] have a fixed order.

use crate::array::Array;
#[cfg(not(target_arch = "nvptx64"))]
use crate::cpu as backend;
use crate::element::Element;
#[cfg(target_arch = "nvptx64")]
use crate::gpu as backend;
use crate::space::{Kind, Writable};
use crate::target::WARP;
use crate::warp::Warp;
use backend::{F32x32, F64x32, I32x32, Mask32, U32x32, U64x32, atomics};

macro_rules! updates {
    ($element:ident, $lanes:ident: $($(#[$attribute:meta])* $name:ident, $op:ident;)*) => {
        impl<S: Writable> Array<'_, $element, S> {$(
            $(#[$attribute])*
            ///
            /// The operation applies to the element at each lane's index, in the lanes of the mask. An index is below 2^29.
            #[inline(always)]
            #[track_caller]
            pub fn $name(self, mask: Mask32, index: U32x32, x: $lanes) {
                self.record(mask, 0, index, Kind::Atomic);
                // SAFETY: the elements of the lanes in the mask lie within the array, by the contract of `Launch::new`.
                _ = unsafe { atomics::$op::<S>(self.view(), mask, index, $element::to_word(x)) };
            }
        )*}
    };
}

macro_rules! fetches {
    ($element:ident, $lanes:ident: $($(#[$attribute:meta])* $name:ident($($operand:ident),*), $op:ident;)*) => {
        impl<S: Writable> Array<'_, $element, S> {$(
            $(#[$attribute])*
            ///
            /// The operation applies to the lanes of the mask, and returns the elements before the lane's operation, or zero
            /// in the other lanes. The order of the lanes differs from device to device. An index is below 2^29.
            #[inline(always)]
            #[track_caller]
            pub fn $name(self, mask: Mask32, index: U32x32, $($operand: $lanes),*) -> $lanes {
                self.record(mask, 0, index, Kind::Atomic);
                // SAFETY: the elements of the lanes in the mask lie within the array, by the contract of `Launch::new`.
                unsafe { atomics::$op::<S>(self.view(), mask, index, $($operand),*) }
            }
        )*}
    };
}

/// Declares the operations of unsigned integers.
macro_rules! unsigned {
    ($element:ident, $lanes:ident, $modulus:literal:
        $add:ident $min:ident $max:ident $and:ident $or:ident $xor:ident
        $fetch_add:ident $exchange:ident $compare_exchange:ident
    ) => {
        updates! {
            $element, $lanes:
            #[doc = concat!("Adds each lane's `x` to an element atomically, modulo ", $modulus, ".")]
            atomic_add, $add;
            /// Replaces an element by the smaller of it and each lane's `x` atomically.
            atomic_min, $min;
            /// Replaces an element by the larger of it and each lane's `x` atomically.
            atomic_max, $max;
            /// Replaces an element by its bitwise and with each lane's `x` atomically.
            atomic_and, $and;
            /// Replaces an element by its bitwise or with each lane's `x` atomically.
            atomic_or, $or;
            /// Replaces an element by its exclusive or with each lane's `x` atomically.
            atomic_xor, $xor;
        }

        fetches! {
            $element, $lanes:
            /// Adds each lane's `x` to the element at the lane's index.
            relaxed_fetch_add(x), $fetch_add;
            /// Replaces the element at each lane's index by `x`.
            relaxed_exchange(x), $exchange;
            /// Replaces the element at each lane's index by `x` if it is `expected`.
            relaxed_compare_exchange(expected, x), $compare_exchange;
        }
    };
}

unsigned! {
    u32, U32x32, "2^32":
    add_u32 min_u32 max_u32 and_u32 or_u32 xor_u32 fetch_add_u32 exchange_u32 compare_exchange_u32
}

unsigned! {
    u64, U64x32, "2^64":
    add_u64 min_u64 max_u64 and_u64 or_u64 xor_u64 fetch_add_u64 exchange_u64 compare_exchange_u64
}

updates! {
    i32, I32x32:
    /// Replaces an element by the smaller of it and each lane's `x` atomically.
    atomic_min, min_i32;
    /// Replaces an element by the larger of it and each lane's `x` atomically.
    atomic_max, max_i32;
}

macro_rules! floats {
    ($($element:ident, $lanes:ident, $add:ident;)*) => {$(
        updates! {
            $element, $lanes:
            /// Adds each lane's `x` to an element atomically, in an order that differs from device to device.
            relaxed_add, $add;
        }

        impl<S: Writable> Array<'_, $element, S> {
            /// Adds each lane's `x` to the element at the lane's index, in the lanes of the mask, from lane 0 to lane 31. So
            /// indices may repeat, and each sum has the same order on every device. No other warp accesses the elements
            /// meanwhile.
            #[inline(always)]
            #[track_caller]
            pub fn add_in_order(self, warp: &Warp, mask: Mask32, index: U32x32, x: $lanes) {
                for lane in 0..WARP {
                    let lane = mask & U32x32::lane_index().eq(U32x32::splat(lane as u32));
                    let sum = self.gather(lane, index, $lanes::splat(0.0)) + x;
                    self.scatter(lane, index, sum);
                    warp.sync();
                }
            }
        }
    )*};
}

floats! {
    f32, F32x32, add_f32;
    f64, F64x32, add_f64;
}
