//! The gradients of attention, a head of a document in one item.

use simt::{Block, F32x16, HALF_WARP, Target, View, Warp, half_warps, inline, round_up};

use super::attention_forward::{Attention, BLOCK, Head, SCORES, blocks, rows, score, unseen};
use super::tile::{Plain, Small, Strided, Transposed, transpose};
use crate::math::exp;

/// The gradients of the attention.
#[derive(Clone, Copy)]
pub struct AttentionGradients {
    /// `[R, A]`: the gradient of the output.
    pub dattn: View,
    /// `[R, 3A]`: the gradients of the unscaled queries, the keys and the values.
    pub dqkv: View,
    /// The factor of the queries.
    pub query_scale: f32,
}

impl Attention {
    /// Computes the gradients of a head's queries, keys and values.
    #[inline(always)]
    pub fn backward<T: Target>(self, block: &Block<T>, to: AttentionGradients, head: Head, scratch: View) {
        let Backward { dots, .. } = Backward::new(scratch, self.head_dim);
        block.each_warp(inline!(move |warp| self.output_dots(warp, to.dattn, head, dots)));
        for j in 0..blocks(head.n) {
            let (first_key, keys) = (j * BLOCK, BLOCK.min(head.n - j * BLOCK));
            for i in j..blocks(head.n) {
                self.backward_block(block, to, head, [i, j], scratch);
            }
            block.each_warp(inline!(move |warp| {
                let (a, head, s) = self.region(warp, head, scratch);
                let first_key = warp.rematerialize(first_key);
                let (d, [dk, dv]) = (a.head_dim, [1, 2].map(|which| a.rows(to.dqkv, head, which, first_key)));
                for t in warp.block_stride(keys) {
                    for c in half_warps(d) {
                        dk.view.store(t * dk.stride + c, s.dk.load(t * d + c));
                        dv.view.store(t * dv.stride + c, s.dv.load(t * d + c));
                    }
                }
            }));
        }
    }

    /// Returns the attention and the head as [`Self::rematerialize`] does, and the scratch memory.
    #[inline(always)]
    fn region(self, warp: &Warp, head: Head, scratch: View) -> (Self, Head, Backward) {
        let (a, head) = self.rematerialize(warp, head);
        (a, head, Backward::new(scratch, a.head_dim))
    }

    /// Computes `sum_c dattn[t, c] attn[t, c]` for each position of a head, which is `sum_u p[t, u] dp[t, u]`.
    #[inline(always)]
    fn output_dots(self, warp: &Warp, dattn: View, head: Head, dots: View) {
        let (a, head) = self.rematerialize(warp, head);
        let (y, dy) = (a.output(a.attn, head, 0), a.output(dattn, head, 0));
        // The last half-warp of queries may reach past the last position.
        for t in warp.block_stride(round_up(head.n, HALF_WARP)) {
            let mut sum = F32x16::splat(0.0);
            for c in half_warps(a.head_dim) {
                sum = y.view.load(t * y.stride + c).mul_add(dy.view.load(t * dy.stride + c), sum);
            }
            dots.store_scalar(t, sum.reduce_sum());
        }
    }

    /// Adds the part of block `[i, j]` of the scores to the gradients.
    #[inline(always)]
    fn backward_block<T: Target>(
        self,
        block: &Block<T>,
        to: AttentionGradients,
        head: Head,
        [i, j]: [usize; 2],
        scratch: View,
    ) {
        let (first, first_key) = (i * BLOCK, j * BLOCK);
        let (live, keys) = (BLOCK.min(head.n - first), BLOCK.min(head.n - first_key));
        block.each_warp(inline!(move |warp| {
            let (a, head, s) = self.region(warp, head, scratch);
            let blocks = [live.div_ceil(HALF_WARP), a.head_dim / HALF_WARP];
            transpose(warp, 0, a.rows(a.qkv, head, 0, first), blocks, rows(s.q, BLOCK));
            let count = blocks[0] * blocks[1];
            transpose(warp, count, a.output(to.dattn, head, first), blocks, rows(s.dout, BLOCK));
        }));
        block.each_warp(inline!(move |warp| {
            let (a, head, s) = self.region(warp, head, scratch);
            let [k, v] = [1, 2].map(|which| a.rows(a.qkv, head, which, first_key));
            score::<T>(warp, k, s.q, a.head_dim, keys, live, s.p);
            score::<T>(warp, v, s.dout, a.head_dim, keys, live, s.ds);
        }));
        block.each_warp(inline!(move |warp| {
            let (a, head, s) = self.region(warp, head, scratch);
            let (max, inverse_sum) = a.statistics(head, first);
            for half in warp.block_stride(live.div_ceil(HALF_WARP)) {
                let at = half * HALF_WARP;
                let (max, inverse_sum, dot) = (max.load(at), inverse_sum.load(at), s.dots.load(first + at));
                for key in 0..keys {
                    let cell = key * BLOCK + at;
                    let p = exp(s.p.load(cell) - max) * inverse_sum;
                    let p = unseen(first_key + key, first + at).select(F32x16::splat(0.0), p);
                    let ds = p * (s.ds.load(cell) - dot);
                    // Both half-warps have read the scores before either replaces them.
                    warp.sync();
                    s.p.store(cell, p);
                    s.ds.store(cell, ds);
                }
            }
        }));
        block.each_warp(inline!(move |warp| {
            // A GPU would keep the operands of a loop over both sums in memory.
            let (a, head, s) = self.region(warp, head, scratch);
            let (d, size) = (a.head_dim, [keys, live, a.head_dim]);
            add_product::<T>(warp, s.p, a.output(to.dattn, head, first), size, i == j, s.dv);
            add_product::<T>(warp, s.ds, a.rows(a.qkv, head, 0, first), size, i == j, s.dk);
            let (left, right) = (Transposed::new(rows(s.ds, BLOCK)), a.rows(a.qkv, head, 1, first_key));
            let product = Small { left, right, len: keys, rows: live, half_warps: d / HALF_WARP };
            product.each_pair::<T>(warp, inline!(|row, col, x| s.dq.store_halves(row * d + col, d, x)));
        }));
        block.each_warp(inline!(move |warp| {
            let (a, head, s) = self.region(warp, head, scratch);
            let (d, dq, scale) = (a.head_dim, a.rows(to.dqkv, head, 0, first), F32x16::splat(to.query_scale));
            for t in warp.block_stride(live) {
                for c in half_warps(d) {
                    let (at, x) = (t * dq.stride + c, s.dq.load(t * d + c));
                    let sum = if j == 0 { x * scale } else { x.mul_add(scale, dq.view.load(at)) };
                    // Both half-warps have read the sum before either replaces it.
                    warp.sync();
                    dq.view.store(at, sum);
                }
            }
        }));
    }
}

/// The scratch memory of the backward pass. Matrices of a block's queries or keys are `[D, BLOCK]` if transposed, and
/// otherwise `[BLOCK, D]`. Scores are `[keys, queries]`, or transposed.
#[derive(Clone, Copy)]
struct Backward {
    /// The transposed queries.
    q: View,
    /// The transposed gradient of the output.
    dout: View,
    /// The gradient of the queries from one block of keys.
    dq: View,
    /// The gradient of the keys.
    dk: View,
    /// The gradient of the values.
    dv: View,
    /// The scores, then the probabilities.
    p: View,
    /// The gradients of the probabilities, then of the scores.
    ds: View,
    /// The result of [`Attention::output_dots`].
    dots: View,
}

impl Backward {
    #[inline(always)]
    fn new(scratch: View, head_dim: usize) -> Self {
        let panel = BLOCK * head_dim;
        let (panels, scores) = (|i| scratch.at(i * panel), |i| scratch.at(5 * panel + i * SCORES));
        Self {
            q: panels(0),
            dout: panels(1),
            dq: panels(2),
            dk: panels(3),
            dv: panels(4),
            p: scores(0),
            ds: scores(1),
            dots: scores(2),
        }
    }
}

/// Adds the product of a block of scores `[keys, queries]` and `right: [queries, D]` to `sum: [keys, D]`, or begins the sum.
#[inline(always)]
fn add_product<T: Target>(
    warp: &Warp,
    scores: View,
    right: Strided,
    [keys, queries, d]: [usize; 3],
    begins: bool,
    sum: View,
) {
    let left = Plain(rows(scores, BLOCK));
    let product = Small { left, right, len: queries, rows: keys, half_warps: d / HALF_WARP };
    product.each_pair::<T>(
        warp,
        inline!(|row, col, x| {
            let at = row * d + col;
            sum.store_halves(at, d, if begins { x } else { sum.load_halves(at, d) + x });
        }),
    );
}
