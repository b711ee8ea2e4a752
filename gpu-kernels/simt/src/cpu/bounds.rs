//! The checks of the accesses of a [`View`], by debug builds and the race checker.

#[cfg(feature = "race-check")]
use super::race::{self, Lanes};
use super::view::View;
#[cfg(feature = "race-check")]
use crate::space::Kind;

impl View {
    /// Asserts in debug builds and under the race checker that the `count` elements from `i` on lie within the array.
    #[inline(always)]
    #[track_caller]
    pub(super) fn check_bounds(self, i: usize, count: usize) {
        self.check_elements(size_of::<f32>(), i, count);
    }

    /// Asserts as [`Self::check_bounds`] does for elements of `bytes` bytes.
    #[inline(always)]
    #[track_caller]
    #[cfg_attr(not(any(debug_assertions, feature = "race-check")), allow(unused_variables, clippy::unused_self))]
    pub(super) fn check_elements(self, bytes: usize, i: usize, count: usize) {
        #[cfg(any(debug_assertions, feature = "race-check"))]
        {
            // A view may begin outside of its array, as long as its accesses lie within.
            let ((begin, end), size) = (self.bounds, bytes as isize);
            let first = (self.ptr as isize - begin as isize) / size + i as isize;
            let (last, len) = (first + count as isize, (end - begin) / bytes);
            let is_within = first >= 0 && last <= len as isize;
            let (name, quote) = if self.name.is_empty() { ("an array", "") } else { (self.name, "`") };
            assert!(
                is_within,
                "access to elements {first}..{last} of {quote}{name}{quote}, expected a range within 0..{len}"
            );
        }
    }

    /// Records an access for the race checker.
    #[cfg(feature = "race-check")]
    #[track_caller]
    pub(super) fn record(self, i: usize, count: usize, lanes: Lanes, kind: Kind) {
        self.check_bounds(i, count);
        let start = self.ptr as usize + 4 * i;
        for e in 0..count {
            let lanes = match lanes {
                Lanes::BothHalves => 0x1_0001 << e,
                Lanes::Half(half) => 1 << (16 * half as usize + e),
                Lanes::All => u32::MAX,
                Lanes::AllOfHalf(half) => 0xffff << (16 * half),
                Lanes::One(lane) => 1 << lane,
                Lanes::Column(column) => 1 << (16 * (e % 2) + column),
            };
            race::access(start + 4 * e, lanes, kind);
        }
    }
}
