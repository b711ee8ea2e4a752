//! The sum over the shards of a step, a fixed binary tree. A tree over `n` terms joins the tree over the first `p` terms,
//! for the largest power of two `p < n`, with the tree over the rest.

use simt::{AS_ON_GPU, F32x32, HALF_WARP, View, Warp, div, inline};

use crate::layout::WeightBlock;

/// The number of arrays of gradients that a CPU is content with, so that threads exchange fewer sums than shards.
const CPU_ARRAYS: usize = 32;

/// Returns how many partial sums the sum of term `i` of `n` is added to, if the terms of the tree come in order. The
/// stack of partial sums has one for each bit of `i`.
#[inline(always)]
pub fn merges(i: usize, n: usize) -> usize {
    // Rust-CUDA's compiler miscounts bits of 64-bit integers, so 32 bits are used.
    if i + 1 == n { (i as u32).count_ones() as usize } else { (i as u32 + 1).trailing_zeros() as usize }
}

/// The arrays of gradients that the shards of a step leave.
#[derive(Clone, Copy, Debug)]
pub struct GradientArrays {
    /// The number of consecutive shards whose sum is in one array, a power of two.
    pub shards_each: usize,
    /// The number of arrays.
    pub count: usize,
}

impl GradientArrays {
    /// Returns the arrays for the gradients of `shards` shards, `least` arrays or more if there are as many shards.
    #[inline(always)]
    pub fn new(shards: usize, least: usize) -> Self {
        let mut shards_each = 1;
        while !AS_ON_GPU && shards > shards_each * CPU_ARRAYS.max(least) {
            shards_each *= 2;
        }
        Self { shards_each, count: div(shards + shards_each - 1, shards_each) }
    }
}

/// Returns the number of partial sums beside the array, while a thread sums the shards of an array.
#[inline(always)]
pub fn partial_sums(max_shards: usize) -> usize {
    if AS_ON_GPU { 0 } else { (max_shards / CPU_ARRAYS).ilog2() as usize }
}

/// The stack of partial sums of a subtree.
#[derive(Clone, Copy)]
pub(crate) struct Stack {
    /// The array of the subtree's sum.
    pub bottom: *mut f32,
    /// The other levels, one after the other.
    pub rest: *mut f32,
    /// The number of elements of a level.
    pub len: usize,
}

impl Stack {
    /// Returns the address of a level.
    #[inline(always)]
    fn level(self, i: usize) -> *mut f32 {
        if i == 0 { self.bottom } else { self.rest.wrapping_add((i - 1) * self.len) }
    }

    /// Returns the address of the sum of term `term`, before it is merged.
    #[inline(always)]
    pub fn top(self, term: usize) -> *mut f32 {
        self.level((term as u32).count_ones() as usize)
    }

    /// Adds the sum of term `term` of `terms` to the partial sums on its left that it completes. A GPU has one term.
    ///
    /// # Safety
    /// Every level is valid for its elements, and the warps of the block have written the term.
    #[inline(always)]
    pub unsafe fn merge(self, warp: &Warp, term: usize, terms: usize) {
        let (depth, merges) = ((term as u32).count_ones() as usize, merges(term, terms));
        if AS_ON_GPU || merges == 0 {
            return;
        }
        for i in warp.block_stride(self.len / HALF_WARP).map(|i| i * HALF_WARP) {
            // SAFETY: the caller vouches for the levels.
            let level = |level: usize| unsafe { View::new(self.level(level), self.len) };
            let mut sum = level(depth).load(i);
            for left in 1..=merges {
                sum = level(depth - left).load(i) + sum;
            }
            level(depth - merges).store(i, sum);
        }
    }
}

/// A block of the weights in `arrays` arrays of gradients.
pub(crate) struct BlockOfArrays {
    /// The first array.
    pub grads: View,
    /// The number of elements of an array.
    pub len: usize,
    /// The number of arrays.
    pub arrays: usize,
    /// The block.
    pub block: WeightBlock,
}

/// The levels of the tree above sums of four arrays.
const LEVELS: usize = 5;

impl BlockOfArrays {
    /// Returns the sum of all arrays for the first `N` pairs of rows. The sums of four arrays come in order. On each level
    /// of the tree, a partial sum waits for the one on its right.
    #[inline(always)]
    pub fn sum<const N: usize>(&self) -> [F32x32; N] {
        let mut waiting = [[F32x32::splat(0.0); N]; LEVELS];
        let last = (self.arrays - 1) / 4;
        for i in 0..last {
            let (mut sum, mut is_waiting) = (self.sum_of_four::<N>(4 * i), false);
            for level in 0..LEVELS {
                if is_waiting {
                    continue;
                }
                if i >> level & 1 == 1 {
                    add(&mut sum, waiting[level]);
                } else {
                    waiting[level] = sum;
                    is_waiting = true;
                }
            }
        }
        let mut sum = self.sum_of_four(4 * last);
        for level in 0..LEVELS {
            if last >> level & 1 == 1 {
                add(&mut sum, waiting[level]);
            }
        }
        sum
    }

    /// Returns the sum of the four arrays from array `first` on, or of fewer if there are fewer.
    #[inline(always)]
    fn sum_of_four<const N: usize>(&self, first: usize) -> [F32x32; N] {
        let mut sum = self.rows::<N>(first);
        if first + 3 < self.arrays {
            for pair in 0..N {
                let [second, third, fourth] = [1, 2, 3].map(inline!(|i| self.row(first + i, pair)));
                sum[pair] = (sum[pair] + second) + (third + fourth);
            }
        } else {
            if first + 1 < self.arrays {
                add(&mut sum, self.rows(first + 1));
            }
            if first + 2 < self.arrays {
                add(&mut sum, self.rows(first + 2));
            }
        }
        sum
    }

    /// Returns the pairs of rows of an array.
    #[inline(always)]
    fn rows<const N: usize>(&self, array: usize) -> [F32x32; N] {
        self.block.load(self.grads.at(array * self.len))
    }

    /// Returns a pair of rows of an array.
    #[inline(always)]
    fn row(&self, array: usize, pair: usize) -> F32x32 {
        self.grads.load_halves(array * self.len + self.block.at(pair), self.block.tensor.cols)
    }
}

/// Adds pairs of rows. A sum of two has the same bits in either order.
#[inline(always)]
fn add<const N: usize>(sum: &mut [F32x32; N], rows: [F32x32; N]) {
    for pair in 0..N {
        sum[pair] = sum[pair] + rows[pair];
    }
}
