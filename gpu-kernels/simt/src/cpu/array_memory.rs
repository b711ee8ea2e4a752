//! The accesses of [`Array`](crate::Array) to memory.

use core::simd::Simd;

use super::lanes::F32x32;
#[cfg(feature = "race-check")]
use super::race;
use super::view::View;
use super::warp_lanes::{Mask32, U32x32};
use crate::space::Kind;
use crate::target::WARP;

impl View {
    /// Returns the address of element `i` of the type `E`.
    #[inline(always)]
    pub(super) fn element<E>(self, i: usize) -> *mut E {
        self.ptr.cast::<E>().wrapping_add(i)
    }

    /// Returns the array's name, or a text that stands for it.
    #[cfg_attr(not(any(debug_assertions, feature = "race-check")), allow(clippy::unused_self))]
    pub(crate) fn name(self) -> &'static str {
        #[cfg(any(debug_assertions, feature = "race-check"))]
        if !self.name.is_empty() {
            return self.name;
        }
        "an array"
    }

    /// Checks the bounds of the elements of `bytes` bytes at the lanes' indices after element `i`, in the lanes of the
    /// mask, and records the accesses for the race checker.
    #[inline(always)]
    #[track_caller]
    #[cfg_attr(not(feature = "race-check"), allow(unused_variables, clippy::unused_self))]
    pub(crate) fn record_lanes(self, bytes: usize, mask: Mask32, i: usize, index: U32x32, kind: Kind) {
        #[cfg(any(debug_assertions, feature = "race-check"))]
        for lane in 0..WARP {
            if mask.test(lane) {
                let i = i + index.0[lane] as usize;
                self.check_elements(bytes, i, 1);
                #[cfg(feature = "race-check")]
                race::access(self.ptr as usize + bytes * i, 1 << lane, kind);
            }
        }
    }

    /// Checks the bounds of the element `i` of `bytes` bytes, which all lanes access with the same value, and records the
    /// access for the race checker.
    #[inline(always)]
    #[track_caller]
    #[cfg_attr(not(feature = "race-check"), allow(unused_variables))]
    pub(crate) fn record_scalar(self, bytes: usize, i: usize, kind: Kind) {
        self.check_elements(bytes, i, 1);
        #[cfg(feature = "race-check")]
        race::access(self.ptr as usize + bytes * i, u32::MAX, kind);
    }

    /// Loads the elements of [`Array::load_wide`](crate::Array::load_wide).
    ///
    /// # Safety
    /// The elements lie within the array.
    #[inline(always)]
    pub(crate) unsafe fn load_wide<const W: usize>(self, i: usize) -> [F32x32; W] {
        let mut x = [F32x32::splat(0.0); W];
        for j in 0..W {
            // SAFETY: by the contract of the function, the elements lie within the array.
            let bits = unsafe { self.element::<u32>(i + WARP * j).cast::<Simd<u32, WARP>>().read_unaligned() };
            x[j] = F32x32::from_bits(U32x32(bits));
        }
        x
    }

    /// Stores the elements of [`Array::store_wide`](crate::Array::store_wide).
    ///
    /// # Safety
    /// The elements lie within the array.
    #[inline(always)]
    #[allow(clippy::large_types_passed_by_value, reason = "the function is inlined")]
    pub(crate) unsafe fn store_wide<const W: usize>(self, i: usize, x: [F32x32; W]) {
        for j in 0..W {
            // SAFETY: by the contract of the function, the elements lie within the array.
            unsafe { self.element::<u32>(i + WARP * j).cast::<Simd<u32, WARP>>().write_unaligned(x[j].to_bits().0) };
        }
    }
}
