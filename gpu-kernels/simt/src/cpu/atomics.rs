//! Atomic operations of lanes, one lane after the other.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::view::View;
use super::warp_lanes::{Mask32, U32x32};
use super::wide_lanes::U64x32;
use crate::space::Space;

macro_rules! replacements {
    ($($name:ident: $lanes:ident, $bits:ident, $atomic:ident;)*) => {$(
        /// Replaces the elements at the lanes' indices by what `operation` makes of the lane and of an element's bits, in the
        /// lanes of the mask. Returns the old elements, or zero in the other lanes.
        ///
        /// # Safety
        /// The elements lie within the array. While they are accessed atomically, no other access of the launch is plain.
        #[inline(always)]
        unsafe fn $name<S: Space>(
            view: View,
            mask: Mask32,
            index: U32x32,
            operation: impl Fn(usize, $bits) -> $bits,
        ) -> $lanes {
            let (index, mut olds) = (index.0.to_array(), $lanes::splat(0).0.to_array());
            mask.each_lane(#[inline(always)] |lane| {
                let element = view.element::<$bits>(index[lane] as usize);
                if S::SHARED {
                    // SAFETY: by the contract of the function. The warps of a block run on one thread.
                    olds[lane] = unsafe { *element };
                    // SAFETY: as above.
                    unsafe { *element = operation(lane, olds[lane]) };
                } else {
                    // SAFETY: by the contract of the function.
                    let element = unsafe { $atomic::from_ptr(element) };
                    let mut old = element.load(Ordering::Relaxed);
                    while let Err(present) = element.compare_exchange_weak(
                        old, operation(lane, old), Ordering::Relaxed, Ordering::Relaxed
                    ) {
                        old = present;
                    }
                    olds[lane] = old;
                }
            });
            $lanes(olds.into())
        }
    )*};
}

replacements! {
    replace_u32: U32x32, u32, AtomicU32;
    replace_u64: U64x32, u64, AtomicU64;
}

macro_rules! operations {
    ($replace:ident, $lanes:ident: $($name:ident($($operand:ident),*): |$old:ident| $new:expr;)*) => {$(
        /// Replaces the elements at the lanes' indices in the lanes of the mask, and returns the old ones.
        ///
        /// # Safety
        /// The conditions of
        #[doc = concat!("[`", stringify!($replace), "`] hold.")]
        #[inline(always)]
        pub unsafe fn $name<S: Space>(view: View, mask: Mask32, index: U32x32, $($operand: $lanes),*) -> $lanes {
            $(let $operand = $operand.0.to_array();)*
            // SAFETY: by the contract of the function.
            unsafe {
                $replace::<S>(view, mask, index, #[inline(always)] |lane, $old| {
                    $(let $operand = $operand[lane];)*
                    $new
                })
            }
        }
    )*};
}

operations! {
    replace_u32, U32x32:
    add_u32(x): |old| old.wrapping_add(x);
    min_u32(x): |old| old.min(x);
    max_u32(x): |old| old.max(x);
    min_i32(x): |old| old.cast_signed().min(x.cast_signed()).cast_unsigned();
    max_i32(x): |old| old.cast_signed().max(x.cast_signed()).cast_unsigned();
    and_u32(x): |old| old & x;
    or_u32(x): |old| old | x;
    xor_u32(x): |old| old ^ x;
    add_f32(x): |old| (f32::from_bits(old) + f32::from_bits(x)).to_bits();
    fetch_add_u32(x): |old| old.wrapping_add(x);
    exchange_u32(x): |_old| x;
    compare_exchange_u32(expected, x): |old| if old == expected { x } else { old };
}

operations! {
    replace_u64, U64x32:
    add_u64(x): |old| old.wrapping_add(x);
    min_u64(x): |old| old.min(x);
    max_u64(x): |old| old.max(x);
    and_u64(x): |old| old & x;
    or_u64(x): |old| old | x;
    xor_u64(x): |old| old ^ x;
    add_f64(x): |old| (f64::from_bits(old) + f64::from_bits(x)).to_bits();
    fetch_add_u64(x): |old| old.wrapping_add(x);
    exchange_u64(x): |_old| x;
    compare_exchange_u64(expected, x): |old| if old == expected { x } else { old };
}
