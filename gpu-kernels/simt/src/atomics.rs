//! Atomic operations of lanes on arrays.
//!
//! The operations without a result give the same array in any order of the lanes, warps and blocks, so they keep the bits
//! of a kernel. The operations that return old values are relaxed: their results depend on the order, which differs from
//! device to device. So does the sum of floats. [`KernelBlock::each_in_order`](crate::KernelBlock::each_in_order) and
//! [`Array::add_in_order`] have a fixed order.

use crate::array::Array;
use crate::block::Warp;
#[cfg(not(target_arch = "nvptx64"))]
use crate::cpu as backend;
#[cfg(target_arch = "nvptx64")]
use crate::gpu as backend;
use crate::space::{Kind, Writable};
use crate::target::WARP;
use backend::{F32x32, I32x32, Mask32, U32x32, atomics};

macro_rules! updates {
    ($lanes:ident, $element:ident: $($(#[$attribute:meta])* $name:ident, $op:ident;)*) => {
        impl<S: Writable> Array<'_, $element, S> {$(
            $(#[$attribute])*
            ///
            /// The operation applies to the element at each lane's index, in the lanes of the mask. Its result is the same
            /// in any order. An index is below 2^29.
            #[inline(always)]
            #[track_caller]
            pub fn $name(self, mask: Mask32, index: U32x32, x: $lanes) {
                self.record(mask, 0, index, Kind::Atomic);
                // SAFETY: the elements of the lanes in the mask lie within the array, by the contract of `Launch::new`.
                unsafe { atomics::$op(self.view(), mask, index, x) }
            }
        )*}
    };
}

updates! {
    U32x32, u32:
    /// Adds each lane's `x` to an element atomically, modulo 2^32.
    atomic_add, add;
    /// Replaces an element by the smaller of it and each lane's `x` atomically.
    atomic_min, min_u32;
    /// Replaces an element by the larger of it and each lane's `x` atomically.
    atomic_max, max_u32;
    /// Replaces an element by its bitwise and with each lane's `x` atomically.
    atomic_and, and;
    /// Replaces an element by its bitwise or with each lane's `x` atomically.
    atomic_or, or;
    /// Replaces an element by its exclusive or with each lane's `x` atomically.
    atomic_xor, xor;
}

updates! {
    I32x32, i32:
    /// Replaces an element by the smaller of it and each lane's `x` atomically.
    atomic_min, min_i32;
    /// Replaces an element by the larger of it and each lane's `x` atomically.
    atomic_max, max_i32;
}

updates! {
    F32x32, f32:
    /// Adds each lane's `x` to an element atomically, in an order that differs from device to device.
    relaxed_add, add_f32;
}

impl<S: Writable> Array<'_, u32, S> {
    /// Adds each lane's `x` to the element at the lane's index, in the lanes of the mask, and returns the elements before
    /// the lane's addition, or zero in the other lanes. The order of the lanes differs from device to device.
    #[inline(always)]
    #[track_caller]
    pub fn relaxed_fetch_add(self, mask: Mask32, index: U32x32, x: U32x32) -> U32x32 {
        self.record(mask, 0, index, Kind::Atomic);
        // SAFETY: the elements of the lanes in the mask lie within the array, by the contract of `Launch::new`.
        unsafe { atomics::fetch_add(self.view(), mask, index, x) }
    }

    /// Replaces the element at each lane's index by `x`, in the lanes of the mask, and returns the old elements, or zero
    /// in the other lanes. The order of the lanes differs from device to device.
    #[inline(always)]
    #[track_caller]
    pub fn relaxed_exchange(self, mask: Mask32, index: U32x32, x: U32x32) -> U32x32 {
        self.record(mask, 0, index, Kind::Atomic);
        // SAFETY: the elements of the lanes in the mask lie within the array, by the contract of `Launch::new`.
        unsafe { atomics::exchange(self.view(), mask, index, x) }
    }

    /// Replaces the element at each lane's index by `x` if it is `expected`, in the lanes of the mask. Returns the
    /// old elements, or zero in the other lanes. The order of the lanes differs from device to device.
    #[inline(always)]
    #[track_caller]
    pub fn relaxed_compare_exchange(self, mask: Mask32, index: U32x32, expected: U32x32, x: U32x32) -> U32x32 {
        self.record(mask, 0, index, Kind::Atomic);
        // SAFETY: the elements of the lanes in the mask lie within the array, by the contract of `Launch::new`.
        unsafe { atomics::compare_exchange(self.view(), mask, index, expected, x) }
    }
}

impl<S: Writable> Array<'_, f32, S> {
    /// Adds each lane's `x` to the element at the lane's index, in the lanes of the mask, from lane 0 to lane 31. So
    /// indices may repeat, and each sum has the same order on every device. No other warp accesses the elements
    /// meanwhile.
    #[inline(always)]
    #[track_caller]
    pub fn add_in_order(self, warp: &Warp, mask: Mask32, index: U32x32, x: F32x32) {
        for lane in 0..WARP {
            let lane = mask & U32x32::lane_index().eq(U32x32::splat(lane as u32));
            let sum = self.gather(lane, index, F32x32::splat(0.0)) + x;
            self.scatter(lane, index, sum);
            warp.sync();
        }
    }
}
