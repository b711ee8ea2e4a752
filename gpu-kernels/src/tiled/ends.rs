//! The two ends of the model, which are the embedding and the cross-entropy.

use simt::{F32x16, HALF_WARP, Mask16, U32View, View, Warp, half_warps};

use super::rows::Rows;
use super::workspace::Workspace;
use crate::math::{exp, ln};
use crate::ops::cross_entropy::in_vocab;
use crate::ops::embed::{self, Embed};
use crate::shape::{Shape, TOKENS};

/// Embeds the rows `first .. first + TOKENS`, the input of layer 0. `count` is the number of rows.
#[inline(always)]
pub fn embed<S: Shape>(
    warp: &Warp,
    s: S,
    tables: [View; 2],
    rows: &Rows<U32View>,
    a: &Workspace,
    [first, count]: [usize; 2],
) {
    let c = s.n_embd_padded();
    let (mut tokens, mut positions) = ([0; TOKENS], [0; TOKENS]);
    for t in 0..TOKENS {
        // Rows after the last one repeat it, so that every load is within the lists.
        let row = (first + t).min(count - 1);
        (tokens[t], positions[t]) = (rows.tokens.load_scalar(row), rows.positions.load_scalar(row));
    }
    let [wte, wpe] = tables;
    embed::forward(warp, s, &Embed { wte, wpe, tokens, positions }, a.rstd_embed, first, |at, x| {
        a.x_embed.store(at, x);
    });
    for t in 0..TOKENS {
        for i in half_warps(c) {
            let at = (first + t) * c + i;
            a.x.store(at, a.x_embed.load(at));
        }
    }
    warp.sync();
}

/// Computes `sum_exp = sum_v exp(logits[v] - max)` and `gap = max - logits[target]` of a row. If it trains, it replaces
/// the logits by their gradients of the document's mean loss, `(exp(logits[v] - max) / sum_exp - [v = target]) / n`.
#[inline(always)]
pub fn cross_entropy<S: Shape>(warp: &Warp, s: S, rows: &Rows<U32View>, a: &Workspace, row: usize, trains: bool) {
    let (logits, target) = (a.logits.at(row * s.vocab_padded()), rows.targets.load_scalar(row));
    let mut max = F32x16::splat(f32::NEG_INFINITY);
    for i in half_warps(s.vocab_padded()) {
        max = max.max(in_vocab(s, i).select(logits.load(i), F32x16::splat(f32::NEG_INFINITY)));
    }
    let largest = max.reduce_max();
    a.gap.store_scalar(row, largest - logits.load_scalar(target));
    // All lanes have read the target's logit before the exponentials replace the logits.
    warp.sync();
    let mut sum = F32x16::splat(0.0);
    for i in half_warps(s.vocab_padded()) {
        let e = exp(logits.load(i) - F32x16::splat(largest));
        let e = in_vocab(s, i).select(e, F32x16::splat(0.0));
        sum = sum + e;
        // Both half-warps have read the logits before either replaces them.
        warp.sync();
        logits.store(i, e);
    }
    let sum = sum.reduce_sum();
    a.sum_exp.store_scalar(row, sum);
    if trains {
        let inverse_n = 1.0 / rows.lengths.load_scalar(row) as f32;
        let scale = F32x16::splat(inverse_n / sum);
        for i in half_warps(s.vocab_padded()) {
            let hit = Mask16::only(target.wrapping_sub(i)).select(F32x16::splat(inverse_n), F32x16::splat(0.0));
            let d = logits.load(i) * scale - hit;
            warp.sync();
            logits.store(i, d);
        }
    }
    warp.sync();
}

/// Returns the sum of the losses of a document's `n` rows from `first` on, sixteen rows at a time.
#[inline(always)]
pub fn nll(a: &Workspace, first: usize, n: usize) -> f32 {
    let mut total = 0.0;
    for t in (0..n).step_by(HALF_WARP) {
        let losses = ln(a.sum_exp.load(first + t)) + a.gap.load(first + t);
        total += Mask16::lanes_below(n - t).select(losses, F32x16::splat(0.0)).reduce_sum();
    }
    total
}
