//! Softmax cross-entropy over the vocabulary.

use simt::{F32x16, HALF_WARP, Mask16, Warp, half_warps};

use super::Tokens;
use crate::activations::{Activations, Pass};
use crate::math::{exp, ln};
use crate::shape::{Shape, TOKENS};

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
pub fn forward<S: Shape>(warp: &Warp, s: S, pass: &Pass, tokens: Tokens) {
    let (v, t0, a) = (s.vocab_padded(), tokens.first, pass.activations(s, 0));
    let logits = a.logits;
    let mut max = [F32x16::splat(f32::NEG_INFINITY); TOKENS];
    for i in half_warps(v) {
        for t in 0..TOKENS {
            let row = in_vocab(s, i).select(logits.load((t0 + t) * v + i), F32x16::splat(f32::NEG_INFINITY));
            max[t] = max[t].max(row);
        }
    }
    let mut largest = [0.0; TOKENS];
    for t in 0..TOKENS {
        largest[t] = max[t].reduce_max();
        let target = target(pass, t0 + t);
        a.gap.store_scalar(t0 + t, largest[t] - logits.load_scalar((t0 + t) * v + target));
    }
    // All lanes have read the targets' logits before the exponentials replace the logits.
    warp.sync();
    let mut sum = [F32x16::splat(0.0); TOKENS];
    for i in half_warps(v) {
        let mut e = [F32x16::splat(0.0); TOKENS];
        for t in 0..TOKENS {
            e[t] = exp(logits.load((t0 + t) * v + i) - F32x16::splat(largest[t]));
            e[t] = in_vocab(s, i).select(e[t], F32x16::splat(0.0));
            sum[t] = sum[t] + e[t];
        }
        // Both half-warps have read the logits before either replaces them.
        warp.sync();
        for t in 0..TOKENS {
            logits.store((t0 + t) * v + i, e[t]);
        }
    }
    for t in 0..TOKENS {
        a.sum_exp.store_scalar(t0 + t, sum[t].reduce_sum());
    }
    warp.sync();
}

/// Replaces the `e` of [`forward`] by the logits' gradients of the mean loss, `(e[v] / sum_exp - [v = target]) / n`.
#[inline(always)]
pub fn backward<S: Shape>(warp: &Warp, s: S, pass: &Pass, tokens: Tokens) {
    let (v, t0, Activations { logits: e, sum_exp, .. }) = (s.vocab_padded(), tokens.first, pass.activations(s, 0));
    let inverse_n = 1.0 / tokens.end as f32;
    let mut scale = [0.0; TOKENS];
    for t in 0..TOKENS {
        scale[t] = inverse_n / sum_exp.load_scalar(t0 + t);
    }
    for i in half_warps(v) {
        let mut d = [F32x16::splat(0.0); TOKENS];
        for t in 0..TOKENS {
            let target = target(pass, t0 + t);
            let hit = Mask16::only(target.wrapping_sub(i)).select(F32x16::splat(inverse_n), F32x16::splat(0.0));
            d[t] = e.load((t0 + t) * v + i) * F32x16::splat(scale[t]) - hit;
        }
        // Both half-warps have read `e` before either replaces it.
        warp.sync();
        for t in 0..TOKENS {
            e.store((t0 + t) * v + i, d[t]);
        }
    }
    warp.sync();
}

/// Returns the sum of the losses of a document's positions, sixteen positions at a time.
#[inline(always)]
pub fn total<S: Shape>(s: S, pass: &Pass) -> f32 {
    let (n, a, mut total) = (pass.n, pass.activations(s, 0), 0.0);
    for t in (0..n.div_ceil(HALF_WARP)).map(|i| i * HALF_WARP) {
        let losses = ln(a.sum_exp.load(t)) + a.gap.load(t);
        total += Mask16::lanes_below(n - t).select(losses, F32x16::splat(0.0)).reduce_sum();
    }
    total
}
