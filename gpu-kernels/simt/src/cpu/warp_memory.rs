//! Accesses of all 32 lanes to memory, with a mask.

use core::simd::Simd;
use core::sync::atomic::{AtomicU32, Ordering};

use super::lanes::F32x32;
#[cfg(feature = "race-check")]
use super::race::Kind;
use super::view::{U32View, View};
use super::warp_lanes::{LANES, Mask32, U32x32};
use crate::target::WARP;

/// The kind of an access, which only the race checker needs to know.
#[cfg(not(feature = "race-check"))]
#[derive(Clone, Copy)]
enum Kind {
    Read,
    Write,
    Atomic,
}

impl View {
    /// Checks the bounds of the elements at the lanes' indices after element `i`, in the lanes of the mask, and records
    /// the accesses for the race checker.
    #[inline(always)]
    #[track_caller]
    #[cfg_attr(not(feature = "race-check"), allow(unused_variables))]
    #[cfg_attr(not(any(debug_assertions, feature = "race-check")), allow(clippy::unused_self))]
    fn check_lanes(self, mask: Mask32, i: usize, index: [u32; WARP], kind: Kind) {
        #[cfg(any(debug_assertions, feature = "race-check"))]
        for lane in 0..WARP {
            if mask.test(lane) {
                self.check_bounds(i + index[lane] as usize, 1);
                #[cfg(feature = "race-check")]
                super::race::access(self.ptr as usize + 4 * (i + index[lane] as usize), 1 << lane, kind);
            }
        }
    }
}

impl U32View {
    /// Adds each lane's `x` to the element at the lane's index, atomically, in the lanes of the mask. The sums are
    /// modulo 2^32, so their order does not matter. An index is below 2^30.
    #[inline(always)]
    #[track_caller]
    pub fn atomic_add(self, mask: Mask32, index: U32x32, x: U32x32) {
        let (index, x) = (index.0.to_array(), x.0.to_array());
        self.0.check_lanes(mask, 0, index, Kind::Atomic);
        for lane in 0..WARP {
            if mask.test(lane) {
                // SAFETY: the element lies within the array (see `View`). While it is accessed atomically, no other
                // access of the launch is plain.
                let element = unsafe { AtomicU32::from_ptr(self.0.ptr.cast::<u32>().add(index[lane] as usize)) };
                element.fetch_add(x[lane], Ordering::Relaxed);
            }
        }
    }
}

macro_rules! accesses {
    ($($view:ident: $lanes:ident, $element:ident, $as_view:expr, $to:expr, $from:expr;)*) => {$(
        impl $view {
            /// Loads the 32 elements from `i` on, one for each lane.
            #[inline(always)]
            #[track_caller]
            pub fn load_lanes(self, i: usize) -> $lanes {
                let view = $as_view(self);
                view.check_lanes(Mask32::splat(true), i, LANES, Kind::Read);
                // SAFETY: 32 elements from `i` on lie within the array (see `View`).
                $from(unsafe { view.ptr.add(i).cast::<Simd<$element, WARP>>().read_unaligned() })
            }

            /// Stores the 32 elements from `i` on, one from each lane.
            #[inline(always)]
            #[track_caller]
            pub fn store_lanes(self, i: usize, x: $lanes) {
                let view = $as_view(self);
                view.check_lanes(Mask32::splat(true), i, LANES, Kind::Write);
                // SAFETY: 32 elements from `i` on lie within the array (see `View`).
                unsafe { view.ptr.add(i).cast::<Simd<$element, WARP>>().write_unaligned($to(x)) }
            }

            /// Loads the elements from `i` on in the lanes of the mask, and returns `otherwise` in the others.
            #[inline(always)]
            #[track_caller]
            pub fn load_where(self, mask: Mask32, i: usize, otherwise: $lanes) -> $lanes {
                let view = $as_view(self);
                view.check_lanes(mask, i, LANES, Kind::Read);
                // SAFETY: the elements of the lanes in the mask lie within the array (see `View`).
                $from(unsafe { Simd::load_select_ptr(view.ptr.wrapping_add(i).cast(), mask.0.cast(), $to(otherwise)) })
            }

            /// Stores the elements from `i` on in the lanes of the mask.
            #[inline(always)]
            #[track_caller]
            pub fn store_where(self, mask: Mask32, i: usize, x: $lanes) {
                let view = $as_view(self);
                view.check_lanes(mask, i, LANES, Kind::Write);
                // SAFETY: the elements of the lanes in the mask lie within the array (see `View`).
                unsafe { $to(x).store_select_ptr(view.ptr.wrapping_add(i).cast(), mask.0.cast()) }
            }

            /// Loads the element at each lane's index in the lanes of the mask, and returns `otherwise` in the others.
            /// An index is below 2^30.
            #[inline(always)]
            #[track_caller]
            pub fn gather(self, mask: Mask32, index: U32x32, otherwise: $lanes) -> $lanes {
                let view = $as_view(self);
                view.check_lanes(mask, 0, index.0.to_array(), Kind::Read);
                let (index, mut x) = (index.0.to_array(), $to(otherwise).to_array());
                for lane in 0..WARP {
                    if mask.test(lane) {
                        // SAFETY: the element lies within the array (see `View`).
                        x[lane] = unsafe { *view.ptr.cast::<$element>().add(index[lane] as usize) };
                    }
                }
                $from(Simd::from_array(x))
            }

            /// Stores the element at each lane's index in the lanes of the mask. The indices differ. An index is below
            /// 2^30.
            #[inline(always)]
            #[track_caller]
            pub fn scatter(self, mask: Mask32, index: U32x32, x: $lanes) {
                let view = $as_view(self);
                view.check_lanes(mask, 0, index.0.to_array(), Kind::Write);
                let (index, x) = (index.0.to_array(), $to(x).to_array());
                for lane in 0..WARP {
                    if mask.test(lane) {
                        // SAFETY: the element lies within the array (see `View`).
                        unsafe { *view.ptr.cast::<$element>().add(index[lane] as usize) = x[lane] };
                    }
                }
            }
        }
    )*};
}

accesses! {
    View: F32x32, f32, (|view: View| view), F32x32::to_simd, F32x32::from_simd;
    U32View: U32x32, u32, (|view: U32View| view.0), (|x: U32x32| x.0), U32x32;
}
