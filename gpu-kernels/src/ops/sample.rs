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

/// Returns the logits from token `i` on that follow `last` in rank, and negative infinity for other tokens.
#[inline(always)]
fn candidates<S: Shape>(s: S, logits: View, last: Ranked, i: usize) -> F32x16 {
    let row = logits.load(i);
    in_vocab(s, i).and(last.before(row, i)).select(row, F32x16::splat(f32::NEG_INFINITY))
}

/// Returns the token that follows `last` in rank.
#[inline(always)]
fn next_ranked<S: Shape>(s: S, logits: View, last: Ranked) -> Ranked {
    let mut max = F32x16::splat(f32::NEG_INFINITY);
    for i in half_warps(s.vocab_padded()) {
        max = candidates(s, logits, last, i).max(max);
    }
    let logit = max.reduce_max();
    let mut token = 0;
    for i in half_warps(s.vocab_padded()).rev() {
        let hits = candidates(s, logits, last, i).eq(F32x16::splat(logit)).to_bitmask();
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

/// Returns the largest of `keep(logits)` over the vocabulary. NaN is left out.
#[inline(always)]
fn largest<S: Shape>(s: S, logits: View, keep: impl Fn(F32x16) -> F32x16) -> f32 {
    let mut max = F32x16::splat(f32::NEG_INFINITY);
    for i in half_warps(s.vocab_padded()) {
        max = in_vocab(s, i).select(keep(logits.load(i)), F32x16::splat(f32::NEG_INFINITY)).max(max);
    }
    max.reduce_max()
}

/// Returns the token of rank `count` in each of several rows of logits.
///
/// Each round finds the next smaller logit of every row, so that the latencies of the rows' reductions overlap. If fewer tokens
/// than `count` have other logits, the row's tokens are ranked one by one.
#[inline(always)]
fn ranked<S: Shape, const N: usize>(s: S, logits: [View; N], first: [f32; N], count: u32) -> [Ranked; N] {
    let (mut logit, mut ranked) = (first, [Ranked::START; N]);
    for _ in 1..count {
        for t in 0..N {
            let limit = F32x16::splat(logit[t]);
            logit[t] = largest(s, logits[t], |row| row.lt(limit).select(row, F32x16::splat(f32::NEG_INFINITY)));
        }
    }
    for t in 0..N {
        ranked[t] = Ranked { logit: logit[t], token: s.vocab() };
        let mut up_to = 0;
        for i in half_warps(s.vocab_padded()) {
            up_to += in_vocab(s, i).and_not(ranked[t].before(logits[t].load(i), i)).to_bitmask().count_ones();
        }
        if up_to != count {
            ranked[t] = Ranked::START;
            for _ in 0..count {
                ranked[t] = next_ranked(s, logits[t], ranked[t]);
            }
        }
    }
    ranked
}

/// Draws a token of each of several rows of logits, with probabilities `softmax(logits / temperature)`, as `params` restrict
/// them. A row is `[V]`.
///
/// Probabilities accumulate in the order of tokens. The first token whose cumulative probability exceeds `uniform`, in
/// `[0, 1)`, is drawn. Logits with NaN or an infinite maximum have no probabilities, so that nothing is drawn.
#[inline(always)]
pub fn draw<S: Shape, const N: usize>(
    s: S,
    logits: [View; N],
    params: &SamplingParams,
    uniform: [f32; N],
) -> [Option<usize>; N] {
    let (mut first, mut drawn) = ([0.0; N], [None; N]);
    for t in 0..N {
        first[t] = largest(s, logits[t], |row| row);
    }
    // The last token in rank that may be drawn. If all may be drawn, no search is needed.
    let mut last = [Ranked { logit: f32::NEG_INFINITY, token: s.vocab() }; N];
    if params.top_k < s.vocab() as u32 {
        last = ranked(s, logits, first, params.top_k);
    }
    for t in 0..N {
        drawn[t] = draw_up_to(s, logits[t], params, uniform[t], first[t], last[t]);
    }
    drawn
}

/// The weights of a row's tokens. A weight is a probability over that of the likeliest token, whose logit is `first`.
struct Weights<'a, S> {
    s: S,
    logits: View,
    params: &'a SamplingParams,
    first: f32,
}

impl<S: Shape> Weights<'_, S> {
    /// Returns the weights of tokens with these logits.
    #[inline(always)]
    fn of(&self, logits: F32x16) -> F32x16 {
        exp((logits - F32x16::splat(self.first)) * F32x16::splat(self.params.inverse_temperature))
    }

    /// Returns the cumulative weights of the tokens from `i` on that may be drawn, if `last` is the last one in rank.
    #[inline(always)]
    fn cumulative(&self, last: Ranked, i: usize) -> F32x16 {
        let row = self.logits.load(i);
        let excluded = last.before(row, i).or(self.of(row).lt(F32x16::splat(self.params.min_p)));
        in_vocab(self.s, i).and_not(excluded).select(self.of(row), F32x16::splat(0.0)).prefix_sum()
    }

    /// Returns the sum of the weights of the tokens that may be drawn.
    #[inline(always)]
    fn sum(&self, last: Ranked) -> f32 {
        sum_half_warps(self.s.vocab_padded(), inline!(|i| self.cumulative(last, i).last()))
    }
}

/// Draws a token of rank `last` or before, as [`draw`]. The largest logit is `first`.
#[inline(always)]
fn draw_up_to<S: Shape>(
    s: S,
    logits: View,
    params: &SamplingParams,
    uniform: f32,
    first: f32,
    mut last: Ranked,
) -> Option<usize> {
    let weights = Weights { s, logits, params, first };
    let mut total = weights.sum(last);
    if params.top_p < 1.0 {
        let (mut weight, enough) = (1.0, params.top_p * total);
        last = next_ranked(s, logits, Ranked::START);
        for _ in 1..params.top_k {
            if weight < enough {
                last = next_ranked(s, logits, last);
                weight += weights.of(F32x16::splat(last.logit)).reduce_max();
            }
        }
        total = weights.sum(last);
    }
    let (mut below, mut drawn) = (0.0, None);
    for i in half_warps(s.vocab_padded()) {
        let sum = weights.cumulative(last, i);
        let hits = (F32x16::splat(below) + sum).gt(F32x16::splat(uniform * total)).to_bitmask();
        drawn = drawn.or((hits != 0).then_some(i + hits.trailing_zeros() as usize));
        below += sum.last();
    }
    if drawn.is_none() {
        drawn = Some(next_ranked(s, logits, Ranked::START).token);
    }
    if total.is_nan() { None } else { drawn }
}

/// Returns `ln(softmax(logits)[token])` for `logits: [V]`, over all logits and without a temperature.
#[inline(always)]
pub fn log_probability<S: Shape>(s: S, logits: View, token: usize) -> f32 {
    let max = largest(s, logits, |row| row);
    let mut sum = F32x16::splat(0.0);
    for i in half_warps(s.vocab_padded()) {
        let e = exp(logits.load(i) - F32x16::splat(max));
        sum = sum + in_vocab(s, i).select(e, F32x16::splat(0.0));
    }
    logits.load_scalar(token) - max - ln(F32x16::splat(sum.reduce_sum())).reduce_max()
}
