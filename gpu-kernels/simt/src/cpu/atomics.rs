//! Atomic operations of lanes, one lane after the other.

use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use super::lanes::F32x32;
use super::view::View;
use super::warp_lanes::{I32x32, Mask32, U32x32};
use crate::target::WARP;

/// Runs `work` for the lanes of the mask, from the lowest on, with the address of the lane's element.
#[inline(always)]
fn each_lane(view: View, mask: Mask32, index: U32x32, mut work: impl FnMut(usize, *mut u32)) {
    for lane in 0..WARP {
        if mask.test(lane) {
            work(lane, view.element(index.0[lane] as usize));
        }
    }
}

macro_rules! updates {
    ($($name:ident: $lanes:ident, $atomic:ident, $method:ident;)*) => {$(
        /// Updates the elements at the lanes' indices in the lanes of the mask.
        ///
        /// # Safety
        /// The elements lie within the array. While they are accessed atomically, no other access of the launch is plain.
        #[inline(always)]
        pub unsafe fn $name(view: View, mask: Mask32, index: U32x32, x: $lanes) {
            each_lane(view, mask, index, #[inline(always)] |lane, element| {
                // SAFETY: by the contract of the function.
                unsafe { $atomic::from_ptr(element.cast()) }.$method(x.0[lane], Ordering::Relaxed);
            });
        }
    )*};
}

updates! {
    add: U32x32, AtomicU32, fetch_add;
    min_u32: U32x32, AtomicU32, fetch_min;
    max_u32: U32x32, AtomicU32, fetch_max;
    min_i32: I32x32, AtomicI32, fetch_min;
    max_i32: I32x32, AtomicI32, fetch_max;
    and: U32x32, AtomicU32, fetch_and;
    or: U32x32, AtomicU32, fetch_or;
    xor: U32x32, AtomicU32, fetch_xor;
}

/// Applies `operation` to the elements at the lanes' indices in the lanes of the mask, and returns its results, or zero in
/// the other lanes.
///
/// # Safety
/// The elements lie within the array. While they are accessed atomically, no other access of the launch is plain.
#[inline(always)]
unsafe fn fetch(
    view: View,
    mask: Mask32,
    index: U32x32,
    mut operation: impl FnMut(usize, &AtomicU32) -> u32,
) -> U32x32 {
    let mut old = U32x32::splat(0);
    each_lane(
        view,
        mask,
        index,
        #[inline(always)]
        |lane, element| {
            // SAFETY: by the contract of the function.
            old.0[lane] = operation(lane, unsafe { AtomicU32::from_ptr(element) });
        },
    );
    old
}

/// Adds to the elements, and returns the old ones.
///
/// # Safety
/// The conditions of [`fetch`] hold.
#[inline(always)]
pub unsafe fn fetch_add(view: View, mask: Mask32, index: U32x32, x: U32x32) -> U32x32 {
    // SAFETY: by the contract of the function.
    unsafe {
        fetch(
            view,
            mask,
            index,
            #[inline(always)]
            |lane, element| element.fetch_add(x.0[lane], Ordering::Relaxed),
        )
    }
}

/// Replaces the elements, and returns the old ones.
///
/// # Safety
/// The conditions of [`fetch`] hold.
#[inline(always)]
pub unsafe fn exchange(view: View, mask: Mask32, index: U32x32, x: U32x32) -> U32x32 {
    // SAFETY: by the contract of the function.
    unsafe {
        fetch(
            view,
            mask,
            index,
            #[inline(always)]
            |lane, element| element.swap(x.0[lane], Ordering::Relaxed),
        )
    }
}

/// Replaces the elements that are `expected`, and returns the old ones.
///
/// # Safety
/// The conditions of [`fetch`] hold.
#[inline(always)]
pub unsafe fn compare_exchange(view: View, mask: Mask32, index: U32x32, expected: U32x32, x: U32x32) -> U32x32 {
    // SAFETY: by the contract of the function.
    unsafe {
        fetch(
            view,
            mask,
            index,
            #[inline(always)]
            |lane, element| {
                let (Ok(old) | Err(old)) =
                    element.compare_exchange(expected.0[lane], x.0[lane], Ordering::Relaxed, Ordering::Relaxed);
                old
            },
        )
    }
}

/// Adds to elements that are floats.
///
/// # Safety
/// The conditions of [`fetch`] hold.
#[inline(always)]
pub unsafe fn add_f32(view: View, mask: Mask32, index: U32x32, x: F32x32) {
    let x = x.to_simd();
    // SAFETY: by the contract of the function.
    unsafe {
        fetch(
            view,
            mask,
            index,
            #[inline(always)]
            |lane, element| {
                let mut old = element.load(Ordering::Relaxed);
                loop {
                    let sum = f32::from_bits(old) + x[lane];
                    match element.compare_exchange_weak(old, sum.to_bits(), Ordering::Relaxed, Ordering::Relaxed) {
                        Ok(old) => return old,
                        Err(present) => old = present,
                    }
                }
            },
        )
    };
}
