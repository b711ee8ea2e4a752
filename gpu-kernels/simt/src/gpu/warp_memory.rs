//! Accesses of all 32 lanes to memory, with a mask.

use super::address::{Address, Space};
use super::lanes::F32x32;
use super::ptx;
use super::view::{U32View, View};
use super::warp_lanes::{Mask32, U32x32};

impl Address {
    /// Loads the element at the lane's index after element `i`, or returns `otherwise` in the lanes outside of the
    /// mask.
    #[inline(always)]
    fn read_where(self, mask: Mask32, i: usize, index: u32, otherwise: u32) -> u32 {
        let lane_bytes = index.wrapping_mul(4);
        // SAFETY: the elements of the lanes in the mask lie within the array (see `View`).
        unsafe {
            if self.space == Space::Shared {
                ptx::load_shared_where(mask.0, self.shared_address(i, lane_bytes), otherwise)
            } else {
                ptx::load_global_where(mask.0, self.global_address(i, lane_bytes), otherwise)
            }
        }
    }

    /// Stores the element at the lane's index after element `i` in the lanes of the mask.
    #[inline(always)]
    fn write_where(self, mask: Mask32, i: usize, index: u32, x: u32) {
        let lane_bytes = index.wrapping_mul(4);
        // SAFETY: the elements of the lanes in the mask lie within the array (see `View`).
        unsafe {
            if self.space == Space::Shared {
                ptx::store_shared_where(mask.0, self.shared_address(i, lane_bytes), x);
            } else {
                ptx::store_global_where(mask.0, self.global_address(i, lane_bytes), x);
            }
        }
    }
}

impl U32View {
    /// Adds each lane's `x` to the element at the lane's index, atomically, in the lanes of the mask. The sums are
    /// modulo 2^32, so their order does not matter. An index is below 2^30.
    #[inline(always)]
    pub fn atomic_add(self, mask: Mask32, index: U32x32, x: U32x32) {
        let (address, lane_bytes) = (self.0, index.0.wrapping_mul(4));
        // SAFETY: the elements of the lanes in the mask lie within the array (see `View`).
        unsafe {
            if address.space == Space::Shared {
                ptx::add_shared_where(mask.0, address.shared_address(0, lane_bytes), x.0);
            } else {
                ptx::add_global_where(mask.0, address.global_address(0, lane_bytes), x.0);
            }
        }
    }
}

macro_rules! accesses {
    ($($view:ident: $lanes:ident, $to:expr, $from:expr;)*) => {$(
        impl $view {
            /// Returns the view as it is, because only the CPU checks bounds.
            #[inline(always)]
            pub fn named(self, _name: &'static str) -> Self {
                self
            }

            /// Loads the 32 elements from `i` on, one for each lane.
            #[inline(always)]
            pub fn load_lanes(self, i: usize) -> $lanes {
                $lanes($from(self.0.read(i, 4 * ptx::lane())))
            }

            /// Stores the 32 elements from `i` on, one from each lane.
            #[inline(always)]
            pub fn store_lanes(self, i: usize, x: $lanes) {
                self.0.write(i, 4 * ptx::lane(), $to(x.0));
            }

            /// Loads the elements from `i` on in the lanes of the mask, and returns `otherwise` in the others.
            #[inline(always)]
            pub fn load_where(self, mask: Mask32, i: usize, otherwise: $lanes) -> $lanes {
                $lanes($from(self.0.read_where(mask, i, ptx::lane(), $to(otherwise.0))))
            }

            /// Stores the elements from `i` on in the lanes of the mask.
            #[inline(always)]
            pub fn store_where(self, mask: Mask32, i: usize, x: $lanes) {
                self.0.write_where(mask, i, ptx::lane(), $to(x.0));
            }

            /// Loads the element at each lane's index in the lanes of the mask, and returns `otherwise` in the others.
            /// An index is below 2^30.
            #[inline(always)]
            pub fn gather(self, mask: Mask32, index: U32x32, otherwise: $lanes) -> $lanes {
                $lanes($from(self.0.read_where(mask, 0, index.0, $to(otherwise.0))))
            }

            /// Stores the element at each lane's index in the lanes of the mask. The indices differ. An index is below
            /// 2^30.
            #[inline(always)]
            pub fn scatter(self, mask: Mask32, index: U32x32, x: $lanes) {
                self.0.write_where(mask, 0, index.0, $to(x.0));
            }
        }
    )*};
}

accesses! {
    View: F32x32, f32::to_bits, f32::from_bits;
    U32View: U32x32, u32::from, u32::from;
}
