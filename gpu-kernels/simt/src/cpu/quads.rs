//! Accesses of four adjacent elements in each lane, and of one at a constant offset. A GPU has instructions for them.

use core::simd::Simd;

use super::channels::F32x16;
use super::lanes::F32x32;
use super::view::View;
use super::warp_lanes::{Mask32, U32x32};
use crate::space::Kind;
use crate::target::{HALF_WARP, WARP};

impl View {
    /// Loads four adjacent elements in each lane, those from `OFFSET` after the lane's index on. Both are multiples of four,
    /// and an index is below 2^30.
    #[inline(always)]
    #[track_caller]
    pub fn load_quads<const OFFSET: usize>(self, index: U32x32) -> [F32x32; 4] {
        self.at(OFFSET).load_quads_where(Mask32::splat(true), index)
    }

    /// Loads four adjacent elements in each lane of the mask, from the lane's index on, as [`Self::load_quads`]. The other
    /// lanes get zeros.
    #[inline(always)]
    #[track_caller]
    pub fn load_quads_where(self, mask: Mask32, index: U32x32) -> [F32x32; 4] {
        let mut quad = [F32x32::splat(0.0); 4];
        for j in 0..4 {
            self.record_lanes(4, mask, j, index, Kind::Read);
            let mut x = [0.0; WARP];
            for lane in 0..WARP {
                if mask.test(lane) {
                    // SAFETY: the element lies within the array (see `View`).
                    x[lane] = unsafe { *self.element(j + index.0[lane] as usize) };
                }
            }
            quad[j] = F32x32::from_simd(Simd::from_array(x));
        }
        quad
    }

    /// Stores four adjacent elements from each lane, from `OFFSET` after the lane's index on. Both are multiples of four, and
    /// an index is below 2^30. The lanes' elements differ.
    #[inline(always)]
    #[track_caller]
    pub fn store_quads<const OFFSET: usize>(self, index: U32x32, x: [F32x32; 4]) {
        self.at(OFFSET).store_quads_where(Mask32::splat(true), index, x);
    }

    /// Stores four adjacent elements from each lane of the mask, from the lane's index on, as [`Self::store_quads`].
    #[inline(always)]
    #[track_caller]
    pub fn store_quads_where(self, mask: Mask32, index: U32x32, x: [F32x32; 4]) {
        for j in 0..4 {
            self.at(j).scatter_where(mask, index, x[j]);
        }
    }

    /// Loads four adjacent elements for each channel, those from `i + c * stride` on for channel `c`. Both are multiples of four.
    #[inline(always)]
    #[track_caller]
    pub fn load_strided_quads(self, i: usize, stride: usize) -> [F32x16; 4] {
        let quad = self.at(i).load_quads_where(Mask32::lanes_below(HALF_WARP), channels_apart(stride));
        quad.map(|x| x.0)
    }

    /// Stores a value of each channel. That of channel `c` goes to element `i + c * stride`.
    #[inline(always)]
    #[track_caller]
    pub fn store_strided(self, i: usize, stride: usize, x: F32x16) {
        self.at(i).scatter_where(Mask32::lanes_below(HALF_WARP), channels_apart(stride), F32x32::broadcast(x));
    }

    /// Stores an element from each lane, `OFFSET` after the lane's index, which is below 2^30. The lanes' elements differ.
    #[inline(always)]
    #[track_caller]
    pub fn scatter_at<const OFFSET: usize>(self, index: U32x32, x: F32x32) {
        self.at(OFFSET).scatter_where(Mask32::splat(true), index, x);
    }

    #[inline(always)]
    #[track_caller]
    fn scatter_where(self, mask: Mask32, index: U32x32, x: F32x32) {
        self.record_lanes(4, mask, 0, index, Kind::Write);
        let x = x.to_simd().to_array();
        for lane in 0..WARP {
            if mask.test(lane) {
                // SAFETY: the element lies within the array (see `View`).
                unsafe { *self.element(index.0[lane] as usize) = x[lane] };
            }
        }
    }
}

/// Returns the places of the channels, if they are `stride` apart.
#[inline(always)]
fn channels_apart(stride: usize) -> U32x32 {
    U32x32::lane_index() * U32x32::splat(stride as u32)
}
