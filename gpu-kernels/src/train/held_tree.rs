//! The gradient tree of a GPU whose warps hold weights (see [`held`](super::held)). The order of its sums is that of
//! [`tree`](crate::tree).
//!
//! Thirty-two weights fall to several warps of a block, each of which sums up to eight arrays. The first of these warps joins
//! the sums. So each lane has all of its loads under way at once, and a large batch keeps all multiprocessors busy.

use simt::{Block, F32x32, GPU_WARPS, HALF_WARP, PerWarp, Target, View, WARPS, inline};

use super::batch::MAX_SHARDS;
use super::held::Held;
use super::weights::Weights;
use crate::layout::Layout;
use crate::shape::Shape;

/// The most arrays that a warp sums, so that the warps of a block sum those of a step.
const TERMS: usize = MAX_SHARDS / GPU_WARPS;

/// Returns the sum of the first `terms` of up to `N` terms, by the tree. A term that is missing counts as -0, the neutral element
/// of addition.
#[inline(always)]
fn tree<const N: usize>(terms: usize, term: impl Fn(usize) -> F32x32) -> F32x32 {
    let mut sums = [F32x32::splat(-0.0); N];
    if terms >= N {
        for i in 0..N {
            sums[i] = term(i);
        }
    } else {
        for i in 0..N {
            if i < terms {
                sums[i] = term(i);
            }
        }
    }
    // Rust-CUDA's compiler miscounts bits of 64-bit integers, so 32 bits are used, here and below.
    for level in 0..(N as u32).ilog2() {
        let distance = 1 << level;
        // Every loop has constant bounds, so that the compiler unrolls all of them and keeps the sums in registers.
        for i in 0..N {
            if i % (2 * distance) == 0 && i + distance < N {
                sums[i] = sums[i] + sums[i + distance];
            }
        }
    }
    sums[0]
}

/// The arrays of gradients that a grid sums.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    /// The first array.
    pub first: View,
    /// The number of arrays.
    pub arrays: usize,
    /// The place of the sum.
    pub to: View,
    /// The factor of the sum.
    pub scale: f32,
}

impl<S: Shape> Weights<S> {
    /// Stores the gradients that the warps hold in an array.
    #[inline(always)]
    pub(super) fn store_gradients<T: Target>(self, block: &Block<T>, held: &mut PerWarp<Held>, to: View) {
        block.each_warp_with(held, inline!(move |warp, held| held.store(self.s, warp, to, &held.rows.grads)));
    }

    /// Computes a sum of arrays in all blocks, with a block's `workspace` of 32 elements for each warp.
    #[inline(always)]
    pub(super) fn sum_gradients<T: Target>(self, block: &Block<T>, sum: Sum, workspace: View) {
        const LANES: u32 = 2 * HALF_WARP as u32;
        let (Sum { first, arrays, to, scale }, len) = (sum, Layout(self.s).len());
        // The number of warps for 32 weights is a power of two, so that they are warps of one block.
        let (arrays, warps) = (arrays as u32, WARPS as u32);
        let shift = arrays.div_ceil(TERMS as u32).next_power_of_two().trailing_zeros();
        let items = (len as u32 / LANES) << shift;
        let mut round = block.rematerialize(block.index) as u32 * warps;
        // The iterator of a range with a step would divide.
        while round < items {
            let at = |item: u32| (item >> shift) * LANES;
            block.each_warp(inline!(move |warp| {
                let item = round + warp.index as u32;
                if item < items {
                    let before = (item & ((1 << shift) - 1)) * TERMS as u32;
                    let arrays_of_warp = first.at((before * len as u32 + at(item)) as usize);
                    let load = |i: usize| arrays_of_warp.load_halves(i * len, HALF_WARP);
                    let sum = tree::<TERMS>(arrays.saturating_sub(before) as usize, load);
                    workspace.store_halves(warp.index * LANES as usize, HALF_WARP, sum);
                }
            }));
            block.each_warp(inline!(move |warp| {
                let item = round + warp.index as u32;
                if item < items && item & ((1 << shift) - 1) == 0 {
                    let load = |i: usize| workspace.load_halves((warp.index + i) * LANES as usize, HALF_WARP);
                    let sum = tree::<GPU_WARPS>(1 << shift, load) * F32x32::splat(scale);
                    to.store_halves(at(item) as usize, HALF_WARP, sum);
                }
            }));
            round += block.count as u32 * warps;
        }
    }
}
