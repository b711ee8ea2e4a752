//! Softmax cross-entropy over the vocabulary.

use simt::{AS_ON_GPU, Columns, F32x16, F32x32, HALF_WARP, Mask16, Mask32, U32x32, WARP, Warp, half_warps, unroll};

use super::{Tokens, rows};
use crate::activations::{Activations, Pass};
use crate::math::{exp_up_to_88, ln};
use crate::shape::{HELD_TOKENS, Shape};

/// Returns the channels of the half-warp from token `i` on that are tokens rather than padding.
pub fn in_vocab<S: Shape>(s: S, i: usize) -> Mask16 {
    Mask16::lanes_below(s.vocab() - i)
}

/// Returns the target of row `t` of a document. Rows from the document's end on repeat the last target.
fn target(pass: &Pass, t: usize) -> usize {
    pass.document.load_scalar(t.min(pass.n - 1) + 1)
}

/// Computes `e[v] = exp(logits[v] - max)`, `sum_exp = sum_v e[v]` and `gap = max - logits[target]`. The loss of a row is
/// `ln(sum_exp) + gap`. The target of row `t` is token `t + 1`, and `e` replaces the logits.
#[inline(always)]
pub fn forward<S: Shape, const N: usize>(warp: &Warp, s: S, pass: &Pass, tokens: Tokens<N>) {
    let s = s.rematerialize();
    let (v, t0, a) = (s.vocab_padded(), tokens.first, pass.activations(s, 0));
    let logits = a.logits;
    let mut max = [F32x16::splat(f32::NEG_INFINITY); N];
    for i in half_warps(v) {
        unroll!(for t in 0..N {
            let row = in_vocab(s, i).select(logits.load((t0 + t) * v + i), F32x16::splat(f32::NEG_INFINITY));
            max[t] = max[t].max(row);
        });
    }
    let mut largest = [0.0; N];
    unroll!(for t in 0..N {
        largest[t] = max[t].reduce_max();
        let target = target(pass, t0 + t);
        a.gap.store_scalar(t0 + t, largest[t] - logits.load_scalar((t0 + t) * v + target));
    });
    // All lanes have read the targets' logits before the exponentials replace the logits.
    warp.sync();
    let mut sum = [F32x16::splat(0.0); N];
    for i in half_warps(v) {
        let mut e = [F32x16::splat(0.0); N];
        unroll!(for t in 0..N {
            e[t] = exp_up_to_88(logits.load((t0 + t) * v + i) - F32x16::splat(largest[t]));
            e[t] = in_vocab(s, i).select(e[t], F32x16::splat(0.0));
            sum[t] = sum[t] + e[t];
        });
        // Both half-warps have read the logits before either replaces them.
        warp.sync();
        unroll!(for t in 0..N {
            logits.store((t0 + t) * v + i, e[t]);
        });
    }
    unroll!(for t in 0..N {
        a.sum_exp.store_scalar(t0 + t, sum[t].reduce_sum());
    });
    warp.sync();
}

/// Replaces the `e` of [`forward`] by the logits' gradients of the mean loss, `(e[v] / sum_exp - [v = target]) / n`.
#[inline(always)]
pub fn backward<S: Shape, const N: usize>(warp: &Warp, s: S, pass: &Pass, tokens: Tokens<N>) {
    let s = s.rematerialize();
    let (v, t0, Activations { logits: e, sum_exp, .. }) = (s.vocab_padded(), tokens.first, pass.activations(s, 0));
    let inverse_n = 1.0 / tokens.end as f32;
    let mut scale = [0.0; N];
    unroll!(for t in 0..N {
        scale[t] = inverse_n / sum_exp.load_scalar(t0 + t);
    });
    for i in half_warps(v) {
        let mut d = [F32x16::splat(0.0); N];
        unroll!(for t in 0..N {
            let target = target(pass, t0 + t);
            let hit = Mask16::only(target.wrapping_sub(i)).select(F32x16::splat(inverse_n), F32x16::splat(0.0));
            d[t] = e.load((t0 + t) * v + i) * F32x16::splat(scale[t]) - hit;
        });
        // Both half-warps have read `e` before either replaces it.
        warp.sync();
        unroll!(for t in 0..N {
            e.store((t0 + t) * v + i, d[t]);
        });
    }
    warp.sync();
}

/// The logits of a warp's tokens, then their exponentials, with the sum of each token's exponentials.
///
/// A GPU keeps them in registers, a column in each lane, if a warp takes [`HELD_TOKENS`] tokens at once, and the shape is known
/// at compile time and has 32 padded columns.
#[derive(Clone, Copy)]
pub struct HeldLogits<const N: usize> {
    columns: [F32x32; N],
    sums: [f32; N],
}

impl<const N: usize> HeldLogits<N> {
    /// Returns whether the logits are in registers.
    #[inline(always)]
    pub fn are_held<S: Shape>(s: S) -> bool {
        AS_ON_GPU && N == HELD_TOKENS && S::IS_CONST && s.vocab_padded() == WARP
    }

    /// Returns logits without defined values.
    #[inline(always)]
    pub fn unset() -> Self {
        Self { columns: [F32x32::splat(0.0); N], sums: [0.0; N] }
    }

    /// Sets the logits of the warp's token `t`.
    #[inline(always)]
    pub fn set(&mut self, t: usize, x: Columns) {
        if let Columns::Full(x) = x {
            rows::set(&mut self.columns, t, |_| x);
        }
    }

    /// Computes [`forward`] in registers, to the same bits, and stores the sums and the gaps.
    #[inline(always)]
    pub fn forward<S: Shape>(&mut self, s: S, pass: &Pass, tokens: Tokens<N>) {
        let (a, in_vocab) = (pass.activations(s, 0), Mask32::lanes_below(s.vocab()));
        unroll!(for t in 0..N {
            let logits = self.columns[t];
            let largest = in_vocab.select(logits, F32x32::splat(f32::NEG_INFINITY));
            // A logit that is NaN makes its exponential, and so the sum, NaN.
            let larger = |x: F32x32, mask: usize| x.max_number(x.shuffle_xor(mask));
            let largest = larger(larger(larger(larger(larger(largest, 16), 8), 4), 2), 1);
            let row = tokens.first + t;
            a.gap.store_scalar(row, (largest - logits).lane(target(pass, row)));
            let e = in_vocab.select((logits - largest).map(exp_up_to_88), F32x32::splat(0.0));
            (self.columns[t], self.sums[t]) = (e, e.add_halves().reduce_sum());
            a.sum_exp.store_scalar(row, self.sums[t]);
        });
    }

    /// Computes [`backward`] in registers, to the same bits, and stores the logits' gradients.
    #[inline(always)]
    pub fn backward<S: Shape>(&self, warp: &Warp, s: S, pass: &Pass, tokens: Tokens<N>) {
        let (logits, inverse_n) = (pass.activations(s, 0).logits, 1.0 / tokens.end as f32);
        unroll!(for t in 0..N {
            let row = tokens.first + t;
            let is_target = U32x32::lane_index().eq(U32x32::splat(target(pass, row) as u32));
            let hit = is_target.select(F32x32::splat(inverse_n), F32x32::splat(0.0));
            let d = self.columns[t] * F32x32::splat(inverse_n / self.sums[t]) - hit;
            logits.store_halves(row * s.vocab_padded(), HALF_WARP, d);
        });
        warp.sync();
    }
}

/// Returns the sum of the losses of a document's positions, sixteen positions at a time.
#[inline(always)]
pub fn total<S: Shape>(s: S, pass: &Pass) -> f32 {
    let (n, a, mut total) = (pass.n, pass.activations(s.rematerialize(), 0), 0.0);
    for t in (0..n.div_ceil(HALF_WARP)).map(|i| i * HALF_WARP) {
        let losses = ln(a.sum_exp.load(t)) + a.gap.load(t);
        total += Mask16::lanes_below(n - t).select(losses, F32x16::splat(0.0)).reduce_sum();
    }
    total
}
