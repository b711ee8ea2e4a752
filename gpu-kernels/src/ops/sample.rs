//! The draw of the next token from logits, with top-k, a temperature, min-p and top-p.

use simt::{F32x16, Mask16, View, half_warps, inline, sum_half_warps};

use super::cross_entropy::in_vocab;
use crate::math::{exp, ln};
use crate::shape::Shape;

/// A token and its logit. Tokens rank by descending logit, and equal logits by ascending token. NaN has no rank.
#[derive(Clone, Copy)]
struct Ranked {
    logit: f32,
    token: usize,
}

impl Ranked {
    /// The rank before that of every token.
    const START: Self = Self { logit: f32::INFINITY, token: usize::MAX };

    /// Returns which of the 16 tokens from `i` on rank after this token.
    #[inline(always)]
    fn before(self, logits: F32x16, i: usize) -> Mask16 {
        let logit = F32x16::splat(self.logit);
        let up_to_token = Mask16::lanes_below(self.token.wrapping_add(1).saturating_sub(i));
        logits.lt(logit).or(logits.eq(logit).and_not(up_to_token))
    }
}

/// Returns the token that follows `last` in rank.
#[inline(always)]
fn next_ranked<S: Shape>(s: S, logits: View, last: Ranked) -> Ranked {
    let candidates = |i: usize| {
        let row = logits.load(i);
        in_vocab(s, i).and(last.before(row, i)).select(row, F32x16::splat(f32::NEG_INFINITY))
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

/// The parameters of a draw, in the order in which they act.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SamplingParams {
    /// The number of likeliest tokens that are drawn from, from 1, which is greedy decoding, to V.
    pub top_k: u32,
    /// The inverse of the temperature, above zero.
    pub inverse_temperature: f32,
    /// The least probability of a token, relative to that of the likeliest.
    pub min_p: f32,
    /// The share of the probability that the likeliest of these tokens reach together. Less likely ones are left out.
    pub top_p: f32,
}

/// Draws a token with probabilities `softmax(logits / temperature)`, as `params` restrict it. `logits` is `[V]`.
///
/// Probabilities accumulate in the order of tokens. The first token whose cumulative probability exceeds `uniform`, in
/// `[0, 1)`, is drawn. Logits with NaN or an infinite maximum have no probabilities, so that nothing is drawn.
#[inline(always)]
pub fn draw<S: Shape>(s: S, logits: View, params: &SamplingParams, uniform: f32) -> Option<usize> {
    let first = next_ranked(s, logits, Ranked::START);
    // A weight is a probability over that of the first token.
    let weigh = |row| exp((row - F32x16::splat(first.logit)) * F32x16::splat(params.inverse_temperature));
    let cumulative = |last: Ranked, i: usize| {
        let row = logits.load(i);
        let excluded = last.before(row, i).or(weigh(row).lt(F32x16::splat(params.min_p)));
        in_vocab(s, i).and_not(excluded).select(weigh(row), F32x16::splat(0.0)).prefix_sum()
    };
    let sum = |last| sum_half_warps(s.vocab_padded(), inline!(|i| cumulative(last, i).last()));
    // `last` is the last token in rank that may be drawn. If all may be drawn, no search is needed.
    let mut last = Ranked { logit: f32::NEG_INFINITY, token: s.vocab() };
    if params.top_k < s.vocab() as u32 {
        last = first;
        for _ in 1..params.top_k {
            last = next_ranked(s, logits, last);
        }
    }
    let mut total = sum(last);
    if params.top_p < 1.0 {
        let (mut weight, enough) = (1.0, params.top_p * total);
        last = first;
        for _ in 1..params.top_k {
            if weight < enough {
                last = next_ranked(s, logits, last);
                weight += weigh(F32x16::splat(last.logit)).reduce_max();
            }
        }
        total = sum(last);
    }
    let (mut below, mut drawn) = (0.0, None);
    for i in half_warps(s.vocab_padded()) {
        let sum = cumulative(last, i);
        let hits = (F32x16::splat(below) + sum).gt(F32x16::splat(uniform * total)).to_bitmask();
        drawn = drawn.or((hits != 0).then_some(i + hits.trailing_zeros() as usize));
        below += sum.last();
    }
    (!total.is_nan()).then_some(drawn.unwrap_or(first.token))
}

/// Returns `ln(softmax(logits)[token])` for `logits: [V]`, over all logits and without a temperature.
#[inline(always)]
pub fn log_probability<S: Shape>(s: S, logits: View, token: usize) -> f32 {
    let max = next_ranked(s, logits, Ranked::START).logit;
    let mut sum = F32x16::splat(0.0);
    for i in half_warps(s.vocab_padded()) {
        let e = exp(logits.load(i) - F32x16::splat(max));
        sum = sum + in_vocab(s, i).select(e, F32x16::splat(0.0));
    }
    logits.load_scalar(token) - max - ln(F32x16::splat(sum.reduce_sum())).reduce_max()
}
