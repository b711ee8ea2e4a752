//! Softmax cross-entropy over the vocabulary.

use crate::math::{exp, ln};
use crate::shape::{Shape, TILE};
use crate::simt::{F32x16, Ids, Mask16, TOKENS, Tile, Warp};
use crate::stages::tiles;

/// The channels of the tile that begins at token `i` which are tokens at all, not padding.
#[inline(always)]
pub fn in_vocab<S: Shape>(s: S, i: usize) -> Mask16 {
    Mask16::first(s.vocab() - i)
}

/// `e[v] = exp(logits[v] - max)`, `sum = sum_v e[v]`, `gap = max - logits[target]`; the loss is `ln(sum) + gap`.
///
/// `logits: [T, V]` becomes `e`; `sum, gap: [T]`; rows from `t0` on, the target of row `t` is `document[t + 1]`.
#[inline(always)]
pub fn forward<S: Shape>(
    warp: &Warp,
    s: S,
    logits: Tile,
    (sum_exp, gap): (Tile, Tile),
    document: Ids,
    t0: usize,
    n: usize,
) {
    let v = s.vocab_padded();
    let mut max = [F32x16::splat(f32::NEG_INFINITY); TOKENS];
    for i in tiles(v) {
        for t in 0..TOKENS {
            let row = in_vocab(s, i).select(logits.row((t0 + t) * v + i), F32x16::splat(f32::NEG_INFINITY));
            max[t] = max[t].max(row);
        }
    }
    let mut largest = [0.0; TOKENS];
    for t in 0..TOKENS {
        largest[t] = max[t].reduce_max();
        let target = document.get((t0 + t).min(n - 1) + 1);
        gap.set(t0 + t, largest[t] - logits.get((t0 + t) * v + target));
    }
    // The targets' logits are read before the exponentials replace them.
    warp.sync();
    let mut sum = [F32x16::splat(0.0); TOKENS];
    for i in tiles(v) {
        let mut e = [F32x16::splat(0.0); TOKENS];
        for t in 0..TOKENS {
            e[t] = exp(logits.row((t0 + t) * v + i) - F32x16::splat(largest[t]));
            e[t] = in_vocab(s, i).select(e[t], F32x16::splat(0.0));
            sum[t] = sum[t] + e[t];
        }
        warp.sync();
        for t in 0..TOKENS {
            logits.set_row((t0 + t) * v + i, e[t]);
        }
    }
    for t in 0..TOKENS {
        sum_exp.set(t0 + t, sum[t].sum());
    }
    warp.sync();
}

/// `dlogits[v] = (e[v] / sum - [v = target]) / n`.
///
/// `e: [T, V]`, left by [`forward`], becomes `dlogits`; rows from `t0` on.
#[inline(always)]
pub fn backward<S: Shape>(warp: &Warp, s: S, e: Tile, sum_exp: Tile, document: Ids, t0: usize, n: usize) {
    let v = s.vocab_padded();
    let inverse_n = 1.0 / n as f32;
    let mut scale = [0.0; TOKENS];
    for t in 0..TOKENS {
        scale[t] = inverse_n / sum_exp.get(t0 + t);
    }
    for i in tiles(v) {
        let mut d = [F32x16::splat(0.0); TOKENS];
        for t in 0..TOKENS {
            let target = document.get((t0 + t).min(n - 1) + 1);
            let hit = Mask16::only(target.wrapping_sub(i)).select(F32x16::splat(inverse_n), F32x16::splat(0.0));
            d[t] = e.row((t0 + t) * v + i) * F32x16::splat(scale[t]) - hit;
        }
        warp.sync();
        for t in 0..TOKENS {
            e.set_row((t0 + t) * v + i, d[t]);
        }
    }
    warp.sync();
}

/// The sum of the losses of a document's `n` positions, sixteen positions at a time.
#[inline(always)]
pub fn total((sum_exp, gap): (Tile, Tile), n: usize) -> f32 {
    let mut total = 0.0;
    for t in (0..n.div_ceil(TILE)).map(|tile| tile * TILE) {
        let losses = ln(sum_exp.row(t)) + gap.row(t);
        total += Mask16::first(n - t).select(losses, F32x16::splat(0.0)).sum();
    }
    total
}
