//! Causal multi-head attention in blocks of queries and keys, which stores no probabilities.
//!
//! The lanes of a half-warp hold the queries, so that each channel has the maximum and the sum of its own query. A block
//! of scores is the transposed one, `[keys, queries]`. Blocks of keys after all queries of a block are skipped.
//!
//! The forward pass goes through the blocks of keys in order. It keeps each query's largest score and the sum of the
//! exponentials, and rescales the sum and the output where a block raises the maximum. The backward pass
//! ([`attention_backward`](super::attention_backward)) recomputes the probabilities from the maximum and the sum.

use simt::{AS_ON_GPU, Block, F32x16, HALF_WARP, Mask16, Target, View, Warp, half_warps, inline};

use super::tile::{Plain, Small, Strided, Transposed, transpose};
use crate::math::exp;

/// The number of queries and of keys of a block.
pub const BLOCK: usize = 32;

/// The number of elements in a block of scores.
pub(super) const SCORES: usize = BLOCK * BLOCK;

/// The attention of all documents of a step in one layer.
#[derive(Clone, Copy)]
pub struct Attention {
    /// `[R, 3A]`: the queries over `sqrt(D)`, the keys and the values. Up to 15 rows after the last one are read.
    pub qkv: View,
    /// `[R, A]`: the output.
    pub attn: View,
    /// `[H, rows]`: the largest score of each query.
    pub max: View,
    /// `[H, rows]`: the inverse of the sum of the exponentials of a query's scores minus the maximum.
    pub inverse_sum: View,
    /// The stride of the heads' maxima and sums.
    pub rows: usize,
    /// A, the width of the queries.
    pub width: usize,
    /// D, the number of channels of a head, a multiple of [`HALF_WARP`].
    pub head_dim: usize,
}

/// A head of a document.
#[derive(Clone, Copy)]
pub struct Head {
    /// The head's index.
    pub index: usize,
    /// The document's first row.
    pub first_row: usize,
    /// The number of positions of the document.
    pub n: usize,
}

/// Returns the number of blocks of `n` positions.
pub fn blocks(n: usize) -> usize {
    n.div_ceil(BLOCK)
}

/// Returns the number of elements of scratch memory of the forward and of the backward pass, for documents
/// of up to `longest` positions.
pub fn scratch_len(head_dim: usize, longest: usize) -> usize {
    let panel = BLOCK * head_dim;
    // On 64-bit ARM, `View::broadcast_pairs` reads up to sixteen elements past the last panel.
    5 * panel + 2 * SCORES + 4 * BLOCK + longest.next_multiple_of(HALF_WARP) + HALF_WARP
}

/// Returns the queries of the half-warp from `query` on that come before `key`, and must not see it.
#[inline(always)]
pub(super) fn unseen(key: usize, query: usize) -> Mask16 {
    Mask16::lanes_below(key.saturating_sub(query))
}

/// Rows of a matrix, as an operand of [`Small`].
#[inline(always)]
pub(super) fn rows(view: View, stride: usize) -> Strided {
    Strided { view, stride }
}

impl Attention {
    /// Returns the attention and the head with sizes that pass through [`Warp::rematerialize`]. Otherwise the compiler of a
    /// GPU computes the addresses of all uses before the loops over blocks, and spills them.
    #[inline(always)]
    pub(super) fn rematerialize(self, warp: &Warp, head: Head) -> (Self, Head) {
        let Head { index, first_row, n } = head;
        let [rows, width, head_dim] = [self.rows, self.width, self.head_dim].map(inline!(|x| warp.rematerialize(x)));
        let [index, first_row] = [index, first_row].map(inline!(|x| warp.rematerialize(x)));
        (Self { rows, width, head_dim, ..self }, Head { index, first_row, n })
    }

    /// Returns the rows of queries, keys or values (`which` 0, 1, 2) of a head from position `t` on.
    #[inline(always)]
    pub(super) fn rows(&self, qkv: View, head: Head, which: usize, t: usize) -> Strided {
        let stride = 3 * self.width;
        let at = (head.first_row + t) * stride + which * self.width + head.index * self.head_dim;
        rows(qkv.at(at), stride)
    }

    /// Returns the rows of an output `[R, A]` of a head from position `t` on.
    #[inline(always)]
    pub(super) fn output(&self, view: View, head: Head, t: usize) -> Strided {
        rows(view.at((head.first_row + t) * self.width + head.index * self.head_dim), self.width)
    }

    /// Returns the maxima and the inverse sums of a head from position `t` on.
    #[inline(always)]
    pub(super) fn statistics(&self, head: Head, t: usize) -> (View, View) {
        let at = head.index * self.rows + head.first_row + t;
        (self.max.at(at), self.inverse_sum.at(at))
    }

    /// Computes the output of the queries of block `i` of a head, and their maxima and sums.
    #[inline(always)]
    pub fn forward<T: Target>(self, block: &Block<T>, head: Head, i: usize, scratch: View) {
        let (d, first) = (self.head_dim, i * BLOCK);
        let live = BLOCK.min(head.n - first);
        let (q, out, scores) = (scratch, scratch.at(BLOCK * d), scratch.at(2 * BLOCK * d));
        let max = scores.at(SCORES);
        let running = Running { max, sum: max.at(BLOCK), rescale: max.at(2 * BLOCK) };
        block.each_warp(inline!(move |warp| {
            let from = self.rows(self.qkv, head, 0, first);
            transpose(warp, 0, from, [live.div_ceil(HALF_WARP), d / HALF_WARP], rows(q, BLOCK));
            running.reset(warp, live);
            for at in warp.block_stride(BLOCK * d / HALF_WARP) {
                out.store(at * HALF_WARP, F32x16::splat(0.0));
            }
        }));
        for j in 0..=i {
            let keys = BLOCK.min(head.n - j * BLOCK);
            block.each_warp(inline!(move |warp| {
                let (attention, head) = self.rematerialize(warp, head);
                let k = attention.rows(attention.qkv, head, 1, j * BLOCK);
                score::<T>(warp, k, q, attention.head_dim, keys, live, scores);
            }));
            block.each_warp(inline!(move |warp| {
                for half in warp.block_stride(live.div_ceil(HALF_WARP)) {
                    // The next block's keys, then its values. Each row is a few lines, which no processor fetches ahead.
                    let ahead = self.rows(self.qkv, head, 1 + half, (j + 1) * BLOCK);
                    let ahead_width = if AS_ON_GPU || j == i { 0 } else { d };
                    running.add(
                        warp,
                        scores,
                        [first, half * HALF_WARP],
                        [j * BLOCK, keys],
                        inline!(|key| {
                            for c in half_warps(ahead_width) {
                                ahead.view.prefetch(key * ahead.stride + c);
                            }
                        }),
                    );
                }
            }));
            block.each_warp(inline!(move |warp| {
                let (attention, head) = self.rematerialize(warp, head);
                let (d, right) = (attention.head_dim, attention.rows(attention.qkv, head, 2, j * BLOCK));
                let left = Transposed::new(rows(scores, BLOCK));
                let product = Small { left, right, len: keys, rows: live, half_warps: d / HALF_WARP };
                let scales = running.rescale;
                product.each_pair::<T>(
                    warp,
                    inline!(|row, col, x| {
                        let (at, scale) = (row * d + col, scales.broadcast_halves(row, 1));
                        out.store_halves(at, d, out.load_halves(at, d).mul_add(scale, x));
                    }),
                );
            }));
        }
        block.each_warp(inline!(move |warp| {
            let (attn, (max, inverse_sum)) = (self.output(self.attn, head, first), self.statistics(head, first));
            for t in warp.block_stride(live) {
                let inverse = 1.0 / running.sum.load_scalar(t);
                max.store_scalar(t, running.max.load_scalar(t));
                inverse_sum.store_scalar(t, inverse);
                for c in half_warps(d) {
                    attn.view.store(t * attn.stride + c, out.load(t * d + c) * F32x16::splat(inverse));
                }
            }
        }));
    }
}

/// Computes the scores `[keys, queries]` of keys `[keys, D]` and transposed queries `[D, BLOCK]`.
#[inline(always)]
pub(super) fn score<T: Target>(
    warp: &Warp,
    k: Strided,
    q: View,
    head_dim: usize,
    keys: usize,
    queries: usize,
    scores: View,
) {
    let half_warps = queries.div_ceil(HALF_WARP);
    let product = Small { left: Plain(k), right: rows(q, BLOCK), len: head_dim, rows: keys, half_warps };
    product.each_pair::<T>(warp, inline!(|row, col, x| scores.store_halves(row * BLOCK + col, BLOCK, x)));
}

/// The running maxima and sums of a block's queries.
#[derive(Clone, Copy)]
struct Running {
    /// `[BLOCK]`: the largest score so far.
    max: View,
    /// `[BLOCK]`: the sum of the exponentials of the scores so far, minus the maximum.
    sum: View,
    /// `[BLOCK]`: the factor by which the last block of keys has changed the earlier exponentials.
    rescale: View,
}

impl Running {
    /// Begins without keys.
    #[inline(always)]
    fn reset(self, warp: &Warp, queries: usize) {
        for half in warp.block_stride(queries.div_ceil(HALF_WARP)) {
            self.max.store(half * HALF_WARP, F32x16::splat(f32::NEG_INFINITY));
            self.sum.store(half * HALF_WARP, F32x16::splat(0.0));
        }
    }

    /// Adds a block of scores of `keys` keys from `first_key` on, and replaces the scores by their exponentials. Keys that a
    /// query must not see get zero. The queries are those of the half-warp at `at` in the block that begins at
    /// `first_query`. `prefetch` is called once for each key.
    #[inline(always)]
    fn add(
        self,
        warp: &Warp,
        scores: View,
        [first_query, at]: [usize; 2],
        [first_key, keys]: [usize; 2],
        prefetch: impl Fn(usize),
    ) {
        let (query, old) = (first_query + at, self.max.load(at));
        let mut max = old;
        for key in 0..keys {
            let score = scores.load(key * BLOCK + at);
            max = max.max(unseen(first_key + key, query).select(F32x16::splat(f32::NEG_INFINITY), score));
        }
        let rescale = exp(old - max);
        let mut sum = F32x16::splat(0.0);
        for key in 0..keys {
            prefetch(key);
            let cell = key * BLOCK + at;
            let e = exp(scores.load(cell) - max);
            let e = unseen(first_key + key, query).select(F32x16::splat(0.0), e);
            sum = sum + e;
            // Both half-warps have read the score before either replaces it.
            warp.sync();
            scores.store(cell, e);
        }
        let sum = self.sum.load(at).mul_add(rescale, sum);
        warp.sync();
        self.max.store(at, max);
        self.sum.store(at, sum);
        self.rescale.store(at, rescale);
    }
}
