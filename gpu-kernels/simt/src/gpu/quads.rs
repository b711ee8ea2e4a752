//! Accesses of four adjacent elements in each lane, and of one at a constant offset.

use super::channels::F32x16;
use super::lanes::F32x32;
use super::ptx;
use super::view::View;
use super::warp_lanes::{Mask32, U32x32};
use crate::target::HALF_WARP;

impl View {
    /// Loads four adjacent elements in each lane, those from `OFFSET` after the lane's index on. Both are multiples of four,
    /// and an index is below 2^30.
    #[inline(always)]
    pub fn load_quads<const OFFSET: usize>(self, index: U32x32) -> [F32x32; 4] {
        quad(self.0.read4::<OFFSET>(0, index.0.wrapping_mul(4)))
    }

    /// Loads four adjacent elements in each lane of the mask, from the lane's index on, as [`Self::load_quads`]. The other
    /// lanes get zeros.
    #[inline(always)]
    pub fn load_quads_where(self, mask: Mask32, index: U32x32) -> [F32x32; 4] {
        quad(self.0.read4_where(mask.0, index.0.wrapping_mul(4)))
    }

    /// Stores four adjacent elements from each lane, from `OFFSET` after the lane's index on. Both are multiples of four, and
    /// an index is below 2^30. The lanes' elements differ.
    #[inline(always)]
    pub fn store_quads<const OFFSET: usize>(self, index: U32x32, x: [F32x32; 4]) {
        self.0.write4::<OFFSET>(0, index.0.wrapping_mul(4), bits(x));
    }

    /// Stores four adjacent elements from each lane of the mask, from the lane's index on, as [`Self::store_quads`].
    #[inline(always)]
    pub fn store_quads_where(self, mask: Mask32, index: U32x32, x: [F32x32; 4]) {
        self.0.write4_where(mask.0, index.0.wrapping_mul(4), bits(x));
    }

    /// Loads four adjacent elements for each channel, those from `i + c * stride` on for channel `c`. Both are multiples of four.
    #[inline(always)]
    pub fn load_strided_quads(self, i: usize, stride: usize) -> [F32x16; 4] {
        let x = self.0.read4::<0>(i, strided_bytes(stride));
        let mut quad = [F32x16(0.0); 4];
        for j in 0..4 {
            quad[j] = F32x16(f32::from_bits(x[j]));
        }
        quad
    }

    /// Stores a value of each channel. That of channel `c` goes to element `i + c * stride`.
    #[inline(always)]
    pub fn store_strided(self, i: usize, stride: usize, x: F32x16) {
        self.0.write(i, strided_bytes(stride), x.0.to_bits());
    }

    /// Stores an element from each lane, `OFFSET` after the lane's index, which is below 2^30. The lanes' elements differ.
    #[inline(always)]
    pub fn scatter_at<const OFFSET: usize>(self, index: U32x32, x: F32x32) {
        self.0.write_at::<OFFSET>(0, index.0.wrapping_mul(4), x.0.to_bits());
    }
}

/// Returns the offset in bytes of the lane's element, if the elements of the channels are `stride` apart.
#[inline(always)]
fn strided_bytes(stride: usize) -> u32 {
    (ptx::lane() % HALF_WARP as u32).wrapping_mul(4 * stride as u32)
}

/// Returns the values with these bit patterns.
#[inline(always)]
fn quad(bits: [u32; 4]) -> [F32x32; 4] {
    let mut quad = [F32x32(0.0); 4];
    for j in 0..4 {
        quad[j] = F32x32(f32::from_bits(bits[j]));
    }
    quad
}

/// Returns the bit patterns.
#[inline(always)]
fn bits(x: [F32x32; 4]) -> [u32; 4] {
    let mut bits = [0; 4];
    for j in 0..4 {
        bits[j] = x[j].0.to_bits();
    }
    bits
}
