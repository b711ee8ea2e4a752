//! Drawing the next token from logits: top-k, temperature, and a number of the sample's random stream.

use crate::math::{exp, ln};
use crate::shape::{Shape, TILE};
use crate::simt::{F32x16, Mask16, Tile};
use crate::stages::cross_entropy::in_vocab;
use crate::stages::tiles;

/// A token and its logit. Tokens are ordered by falling logit, equal logits by rising token.
#[derive(Clone, Copy)]
struct Ranked {
    logit: f32,
    token: usize,
}

impl Ranked {
    /// Which of the 16 tokens from `i` on come after this one.
    #[inline(always)]
    fn before(self, logits: F32x16, i: usize) -> Mask16 {
        let logit = F32x16::splat(self.logit);
        let up_to_token = Mask16::first((self.token + 1).saturating_sub(i));
        logits.lt(logit).or(logits.equals(logit).and_not(up_to_token))
    }
}

/// The token that follows `last` in rank.
#[inline(always)]
fn next_ranked<S: Shape>(s: S, logits: Tile, last: Option<Ranked>) -> Ranked {
    let candidates = |i: usize| {
        let row = logits.row(i);
        let mask = match last {
            Some(last) => in_vocab(s, i).and(last.before(row, i)),
            None => in_vocab(s, i),
        };
        mask.select(row, F32x16::splat(f32::NEG_INFINITY))
    };
    let mut max = F32x16::splat(f32::NEG_INFINITY);
    for i in tiles(s.vocab_padded()) {
        max = candidates(i).max(max);
    }
    let logit = max.reduce_max();
    let mut token = 0;
    for i in (0..s.vocab_padded() / TILE).rev().map(|tile| tile * TILE) {
        let hits = candidates(i).equals(F32x16::splat(logit)).bits();
        if hits != 0 {
            token = i + hits.trailing_zeros() as usize;
        }
    }
    Ranked { logit, token }
}

/// Draws a token: of the `top_k` first in rank, with probabilities `softmax(logits / temperature)`, the first whose
/// cumulative probability, in the order of tokens, exceeds `uniform`. An `inverse_temperature` of zero is greedy.
///
/// `logits: [V]`; `uniform` in `[0, 1)`.
#[inline(always)]
pub fn draw<S: Shape>(s: S, logits: Tile, top_k: usize, inverse_temperature: f32, uniform: f32) -> usize {
    let first = next_ranked(s, logits, None);
    if inverse_temperature == 0.0 {
        return first.token;
    }
    // The last token in rank that is drawn from. None comes after the vocabulary's last, which need not be searched for.
    let mut last = Ranked { logit: f32::NEG_INFINITY, token: s.vocab() };
    if top_k < s.vocab() {
        last = first;
        for _ in 1..top_k {
            last = next_ranked(s, logits, Some(last));
        }
    }
    let cumulative = |i: usize| {
        let row = logits.row(i);
        let e = exp((row - F32x16::splat(first.logit)) * F32x16::splat(inverse_temperature));
        in_vocab(s, i).and_not(last.before(row, i)).select(e, F32x16::splat(0.0)).prefix_sum()
    };
    let mut total = 0.0;
    for i in tiles(s.vocab_padded()) {
        total += cumulative(i).last();
    }
    let (mut below, mut token, mut found) = (0.0, first.token, false);
    for i in tiles(s.vocab_padded()) {
        let sum = cumulative(i);
        let hits = (F32x16::splat(below) + sum).gt(F32x16::splat(uniform * total)).bits();
        if !found && hits != 0 {
            token = i + hits.trailing_zeros() as usize;
            found = true;
        }
        below += sum.last();
    }
    token
}

/// `ln(softmax(logits)[token])`, of all logits and without a temperature: `logits: [V]`.
#[inline(always)]
pub fn log_probability<S: Shape>(s: S, logits: Tile, token: usize) -> f32 {
    let max = next_ranked(s, logits, None).logit;
    let mut sum = F32x16::splat(0.0);
    for i in tiles(s.vocab_padded()) {
        let e = exp(logits.row(i) - F32x16::splat(max));
        sum = sum + in_vocab(s, i).select(e, F32x16::splat(0.0));
    }
    logits.get(token) - max - ln(F32x16::splat(sum.sum())).reduce_max()
}
