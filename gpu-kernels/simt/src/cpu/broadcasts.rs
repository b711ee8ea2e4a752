//! Adjacent elements, each for a half-warp or for all lanes.

use super::channels::F32x16;
use super::lanes::F32x32;
#[cfg(feature = "race-check")]
use super::race::Lanes;
use super::view::View;
#[cfg(feature = "race-check")]
use crate::space::Kind;

/// Sixteen adjacent elements, taken in pairs with one element for each half-warp.
///
/// On x86-64 [`Self::broadcast_pair`] loads the elements, because a multiplication takes an operand from memory. NEON
/// multiplies by a lane of a register, so that `aarch64` loads four elements at once.
#[derive(Clone, Copy)]
pub struct BroadcastPairs {
    #[cfg_attr(all(target_arch = "aarch64", not(feature = "race-check")), expect(dead_code))]
    pub(super) view: View,
    #[cfg(target_arch = "aarch64")]
    pub(super) lanes: F32x16,
}

impl BroadcastPairs {
    /// Returns element `2 i` in every lane of the lower half-warp and element `2 i + 1` in every lane of the upper one.
    #[inline(always)]
    #[track_caller]
    pub fn broadcast_pair(&self, i: usize) -> F32x32 {
        #[cfg(feature = "race-check")]
        for half in 0..2 {
            self.view.record(2 * i + half, 1, Lanes::AllOfHalf(half as u32), Kind::Read);
        }
        F32x32(F32x16::splat(self.element(2 * i)), F32x16::splat(self.element(2 * i + 1)))
    }

    /// Returns element `i` in every lane.
    #[inline(always)]
    #[track_caller]
    pub fn splat(&self, i: usize) -> F32x32 {
        #[cfg(feature = "race-check")]
        self.view.record(i, 1, Lanes::All, Kind::Read);
        F32x32::splat(self.element(i))
    }

    #[cfg(not(target_arch = "aarch64"))]
    #[inline(always)]
    #[track_caller]
    fn element(&self, i: usize) -> f32 {
        self.view.value(i)
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    fn element(&self, i: usize) -> f32 {
        self.lanes.0[i]
    }
}

/// Sixteen adjacent elements, taken one by one.
pub type Broadcasts = BroadcastPairs;

impl View {
    /// Returns the 16 elements from `i` on, a multiple of four, in pairs.
    #[inline(always)]
    #[track_caller]
    pub fn broadcast_pairs(self, i: usize) -> BroadcastPairs {
        BroadcastPairs {
            view: self.at(i),
            #[cfg(target_arch = "aarch64")]
            lanes: self.read16(i),
        }
    }

    /// Returns the 16 elements from `i` on, a multiple of four.
    #[inline(always)]
    #[track_caller]
    pub fn broadcasts(self, i: usize) -> Broadcasts {
        self.broadcast_pairs(i)
    }
}
