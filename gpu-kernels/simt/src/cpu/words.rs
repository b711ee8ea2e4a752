//! The elements of arrays in memory, by their size.

use core::simd::Simd;
use core::simd::num::SimdUint;

use super::view::View;
use super::warp_lanes::{Mask32, U32x32};
use super::wide_lanes::U64x32;
use crate::space::Space;
use crate::target::WARP;

word_trait!();

macro_rules! words {
    ($($(#[$attribute:meta])* $word:ident: $element:ident, $lanes:ident;)*) => {$(
        $(#[$attribute])*
        pub struct $word;

        impl Word for $word {
            const BYTES: usize = size_of::<$element>();
            type Lanes = $lanes;

            #[inline(always)]
            unsafe fn load<S: Space>(view: View, i: usize) -> $lanes {
                // SAFETY: by the contract of the function, the elements lie within the array.
                let x = unsafe { view.element::<$element>(i).cast::<Simd<$element, WARP>>().read_unaligned() };
                $lanes(x.cast())
            }

            #[inline(always)]
            unsafe fn load_scalar<S: Space>(view: View, i: usize) -> $lanes {
                // SAFETY: by the contract of the function, the element lies within the array.
                $lanes(Simd::splat(unsafe { *view.element::<$element>(i) }.into()))
            }

            #[inline(always)]
            unsafe fn load_where<S: Space>(view: View, mask: Mask32, i: usize, otherwise: $lanes) -> $lanes {
                let address = view.element::<$element>(i);
                // SAFETY: by the contract of the function, the elements of the lanes in the mask lie within the array.
                let x = unsafe { Simd::<$element, WARP>::load_select_ptr(address, mask.0.cast(), otherwise.0.cast()) };
                $lanes(x.cast())
            }

            #[inline(always)]
            unsafe fn gather<S: Space>(view: View, mask: Mask32, index: U32x32, otherwise: $lanes) -> $lanes {
                let (index, mut x) = (index.0.to_array(), otherwise.0.to_array());
                mask.each_lane(#[inline(always)] |lane| {
                    // SAFETY: by the contract of the function, the element lies within the array.
                    x[lane] = unsafe { *view.element::<$element>(index[lane] as usize) }.into();
                });
                $lanes(Simd::from_array(x))
            }

            #[inline(always)]
            unsafe fn store(view: View, i: usize, x: $lanes) {
                // SAFETY: by the contract of the function, the elements lie within the array.
                unsafe { view.element::<$element>(i).cast::<Simd<$element, WARP>>().write_unaligned(x.0.cast()) };
            }

            #[inline(always)]
            unsafe fn store_scalar(view: View, i: usize, x: $lanes) {
                // SAFETY: by the contract of the function, the element lies within the array.
                unsafe { *view.element::<$element>(i) = x.0[0] as $element };
            }

            #[inline(always)]
            unsafe fn store_where(view: View, mask: Mask32, i: usize, x: $lanes) {
                let x: Simd<$element, WARP> = x.0.cast();
                // SAFETY: by the contract of the function, the elements of the lanes in the mask lie within the array.
                unsafe { x.store_select_ptr(view.element::<$element>(i), mask.0.cast()) };
            }

            #[inline(always)]
            unsafe fn scatter(view: View, mask: Mask32, index: U32x32, x: $lanes) {
                let (index, x) = (index.0.to_array(), x.0.to_array());
                mask.each_lane(#[inline(always)] |lane| {
                    // SAFETY: by the contract of the function, the element lies within the array.
                    unsafe { *view.element::<$element>(index[lane] as usize) = x[lane] as $element };
                });
            }
        }
    )*};
}

words! {
    /// The lower half of a lane's `u32`.
    W16: u16, U32x32;
    /// A `u32`.
    W32: u32, U32x32;
    /// A `u64`.
    W64: u64, U64x32;
}
