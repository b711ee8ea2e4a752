//! The elements of arrays in memory, by their size.

use super::address::Space as StateSpace;
use super::ptx;
use super::ptx_words as instructions;
use super::view::View;
use super::warp_lanes::{Mask32, U32x32};
use super::wide_lanes::U64x32;
use crate::space::Space;

word_trait!();

macro_rules! words {
    ($(
        $(#[$attribute:meta])*
        $word:ident: $bytes:literal, $lanes:ident,
        $load_shared:ident $load_global:ident $load_constant:ident
        $load_shared_where:ident $load_global_where:ident $load_constant_where:ident
        $store_shared:ident $store_global:ident $store_shared_where:ident $store_global_where:ident;
    )*) => {$(
        $(#[$attribute])*
        pub struct $word;

        impl $word {
            /// Loads the element `index` after element `i`.
            ///
            /// # Safety
            /// The element lies within the array.
            #[inline(always)]
            unsafe fn read<S: Space>(view: View, i: usize, index: u32) -> $lanes {
                let (view, lane_bytes) = (view.at_bytes($bytes * i).0, index.wrapping_mul($bytes));
                // SAFETY: by the contract of the function, the element lies within the array.
                $lanes(unsafe {
                    if view.space == StateSpace::Shared {
                        instructions::$load_shared(view.shared_address(0, lane_bytes))
                    } else if S::CONSTANT {
                        instructions::$load_constant(view.global_address(0, lane_bytes))
                    } else {
                        instructions::$load_global(view.global_address(0, lane_bytes))
                    }
                })
            }

            /// Loads the element `index` after element `i` in the lanes of the mask.
            ///
            /// # Safety
            /// The elements of these lanes lie within the array.
            #[inline(always)]
            unsafe fn read_where<S: Space>(view: View, mask: Mask32, i: usize, index: u32, otherwise: $lanes) -> $lanes {
                let (view, lane_bytes) = (view.at_bytes($bytes * i).0, index.wrapping_mul($bytes));
                let (held, otherwise) = (mask.0, otherwise.0);
                // SAFETY: by the contract of the function, the element lies within the array.
                $lanes(unsafe {
                    if view.space == StateSpace::Shared {
                        instructions::$load_shared_where(held, view.shared_address(0, lane_bytes), otherwise)
                    } else if S::CONSTANT {
                        instructions::$load_constant_where(held, view.global_address(0, lane_bytes), otherwise)
                    } else {
                        instructions::$load_global_where(held, view.global_address(0, lane_bytes), otherwise)
                    }
                })
            }

            /// Stores the element `index` after element `i`.
            ///
            /// # Safety
            /// The element lies within the array.
            #[inline(always)]
            unsafe fn write(view: View, i: usize, index: u32, x: $lanes) {
                let (view, lane_bytes) = (view.at_bytes($bytes * i).0, index.wrapping_mul($bytes));
                // SAFETY: by the contract of the function, the element lies within the array.
                unsafe {
                    if view.space == StateSpace::Shared {
                        instructions::$store_shared(view.shared_address(0, lane_bytes), x.0);
                    } else {
                        instructions::$store_global(view.global_address(0, lane_bytes), x.0);
                    }
                }
            }

            /// Stores the element `index` after element `i` in the lanes of the mask.
            ///
            /// # Safety
            /// The elements of these lanes lie within the array.
            #[inline(always)]
            unsafe fn write_where(view: View, mask: Mask32, i: usize, index: u32, x: $lanes) {
                let (view, lane_bytes) = (view.at_bytes($bytes * i).0, index.wrapping_mul($bytes));
                // SAFETY: by the contract of the function, the element lies within the array.
                unsafe {
                    if view.space == StateSpace::Shared {
                        instructions::$store_shared_where(mask.0, view.shared_address(0, lane_bytes), x.0);
                    } else {
                        instructions::$store_global_where(mask.0, view.global_address(0, lane_bytes), x.0);
                    }
                }
            }
        }

        impl Word for $word {
            const BYTES: usize = $bytes;
            type Lanes = $lanes;

            #[inline(always)]
            unsafe fn load<S: Space>(view: View, i: usize) -> $lanes {
                // SAFETY: by the contract of the function.
                unsafe { Self::read::<S>(view, i, ptx::lane()) }
            }

            #[inline(always)]
            unsafe fn load_scalar<S: Space>(view: View, i: usize) -> $lanes {
                // SAFETY: by the contract of the function.
                unsafe { Self::read::<S>(view, i, 0) }
            }

            #[inline(always)]
            unsafe fn load_where<S: Space>(view: View, mask: Mask32, i: usize, otherwise: $lanes) -> $lanes {
                // SAFETY: by the contract of the function.
                unsafe { Self::read_where::<S>(view, mask, i, ptx::lane(), otherwise) }
            }

            #[inline(always)]
            unsafe fn gather<S: Space>(view: View, mask: Mask32, index: U32x32, otherwise: $lanes) -> $lanes {
                // SAFETY: by the contract of the function.
                unsafe { Self::read_where::<S>(view, mask, 0, index.0, otherwise) }
            }

            #[inline(always)]
            unsafe fn store(view: View, i: usize, x: $lanes) {
                // SAFETY: by the contract of the function.
                unsafe { Self::write(view, i, ptx::lane(), x) }
            }

            #[inline(always)]
            unsafe fn store_scalar(view: View, i: usize, x: $lanes) {
                // SAFETY: by the contract of the function.
                unsafe { Self::write(view, i, 0, x) }
            }

            #[inline(always)]
            unsafe fn store_where(view: View, mask: Mask32, i: usize, x: $lanes) {
                // SAFETY: by the contract of the function.
                unsafe { Self::write_where(view, mask, i, ptx::lane(), x) }
            }

            #[inline(always)]
            unsafe fn scatter(view: View, mask: Mask32, index: U32x32, x: $lanes) {
                // SAFETY: by the contract of the function.
                unsafe { Self::write_where(view, mask, 0, index.0, x) }
            }
        }
    )*};
}

words! {
    /// The lower half of a lane's `u32`.
    W16: 2, U32x32,
        load_shared16 load_global16 load_constant16
        load_shared16_where load_global16_where load_constant16_where
        store_shared16 store_global16 store_shared16_where store_global16_where;
    /// A `u32`.
    W32: 4, U32x32,
        load_shared32 load_global32 load_constant32
        load_shared32_where load_global32_where load_constant32_where
        store_shared32 store_global32 store_shared32_where store_global32_where;
    /// A `u64`.
    W64: 8, U64x32,
        load_shared64 load_global64 load_constant64
        load_shared64_where load_global64_where load_constant64_where
        store_shared64 store_global64 store_shared64_where store_global64_where;
}
