//! The draw of the next token from logits, with top-k and a temperature.

use simt::{F32x16, Mask16, View, half_warps};

use super::cross_entropy::in_vocab;
use crate::math::{exp, ln};
use crate::shape::Shape;

/// A token and its logit. Tokens rank by descending logit, and equal logits by ascending token.
#[derive(Clone, Copy)]
struct Ranked {
    logit: f32,
    token: usize,
}

impl Ranked {
    /// Returns which of the 16 tokens from `i` on rank after this token.
    #[inline(always)]
    fn before(self, logits: F32x16, i: usize) -> Mask16 {
        let logit = F32x16::splat(self.logit);
        let up_to_token = Mask16::lanes_below((self.token + 1).saturating_sub(i));
        logits.lt(logit).or(logits.eq(logit).and_not(up_to_token))
    }
}

/// Returns the token that follows `last` in rank, or the first token if there is no `last`.
#[inline(always)]
fn next_ranked<S: Shape>(s: S, logits: View, last: Option<Ranked>) -> Ranked {
    let candidates = |i: usize| {
        let row = logits.load(i);
        let mask = match last {
            Some(last) => in_vocab(s, i).and(last.before(row, i)),
            None => in_vocab(s, i),
        };
        mask.select(row, F32x16::splat(f32::NEG_INFINITY))
    };
    let mut max = F32x16::splat(f32::NEG_INFINITY);
    for i in half_warps(s.vocab_padded()) {
        max = candidates(i).max(max);
    }
    let logit = max.reduce_max();
    let mut token = 0;
    for i in half_warps(s.vocab_padded()).rev() {
        let hits = candidates(i).eq(F32x16::splat(logit)).to_bitmask();
        if hits != 0 {
            token = i + hits.trailing_zeros() as usize;
        }
    }
    Ranked { logit, token }
}

/// Draws one of the `top_k` likeliest tokens, with probabilities `softmax(logits / temperature)`. `logits` is `[V]`.
///
/// Probabilities accumulate in the order of tokens. The first token whose cumulative probability exceeds `uniform`, in
/// `[0, 1)`, is drawn. An `inverse_temperature` of zero means greedy decoding. Logits with NaN or an infinite maximum
/// have no probabilities, so that nothing is drawn.
#[inline(always)]
pub fn draw<S: Shape>(s: S, logits: View, top_k: usize, inverse_temperature: f32, uniform: f32) -> Option<usize> {
    let (first, greedy) = (next_ranked(s, logits, None), inverse_temperature == 0.0);
    // `last` is the last token in rank that may be drawn. If all may be drawn, no search is needed.
    let mut last = Ranked { logit: f32::NEG_INFINITY, token: s.vocab() };
    if top_k < s.vocab() && !greedy {
        last = first;
        for _ in 1..top_k {
            last = next_ranked(s, logits, Some(last));
        }
    }
    let scale = F32x16::splat(if greedy { 1.0 } else { inverse_temperature });
    let cumulative = |i: usize| {
        let row = logits.load(i);
        let e = exp((row - F32x16::splat(first.logit)) * scale);
        in_vocab(s, i).and_not(last.before(row, i)).select(e, F32x16::splat(0.0)).prefix_sum()
    };
    let mut total = 0.0;
    for i in half_warps(s.vocab_padded()) {
        total += cumulative(i).last();
    }
    let (mut below, mut token, mut found) = (0.0, first.token, greedy);
    for i in half_warps(s.vocab_padded()) {
        let sum = cumulative(i);
        let hits = (F32x16::splat(below) + sum).gt(F32x16::splat(uniform * total)).to_bitmask();
        if !found && hits != 0 {
            token = i + hits.trailing_zeros() as usize;
            found = true;
        }
        below += sum.last();
    }
    (!total.is_nan()).then_some(token)
}

/// Returns `ln(softmax(logits)[token])` for `logits: [V]`, over all logits and without a temperature.
#[inline(always)]
pub fn log_probability<S: Shape>(s: S, logits: View, token: usize) -> f32 {
    let max = next_ranked(s, logits, None).logit;
    let mut sum = F32x16::splat(0.0);
    for i in half_warps(s.vocab_padded()) {
        let e = exp(logits.load(i) - F32x16::splat(max));
        sum = sum + in_vocab(s, i).select(e, F32x16::splat(0.0));
    }
    logits.load_scalar(token) - max - ln(F32x16::splat(sum.reduce_sum())).reduce_max()
}
