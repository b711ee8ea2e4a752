//! Causal multi-head attention. All lanes of a head hold the head's score, so no lane needs the score of another.
//!
//! The lower half-warp takes even keys, or queries in [`backward_keys`], and the upper one odd ones. A head narrower than
//! a half-warp fills a segment of the lanes, and a wider head takes several half-warps.

use simt::{F32x16, F32x32, HALF_WARP, View, Warp, div, half_warps};

use super::Tokens;
use crate::activations::{Activations, Heads, probs_row};
use crate::math::exp_up_to_88;
use crate::shape::Shape;

/// Returns `1 / sqrt(D)`, the factor that queries are scaled by.
pub fn query_scale<S: Shape>(s: S) -> f32 {
    1.0 / simt::sqrt(s.head_dim() as f32)
}

/// Returns the pairs of keys that query `t` sees, as the first key and whether the query sees the second one.
fn key_pairs(t: usize) -> impl Iterator<Item = (usize, bool)> {
    let pairs = t / 2 + 1;
    (0..pairs).map(move |pair| (2 * pair, 2 * pair < t))
}

/// The views of one query.
pub struct Query {
    /// `[A]`: the query over `sqrt(D)`.
    pub q: View,
    /// `[T, A]`: the keys.
    pub k: View,
    /// `[T, A]`: the values.
    pub v: View,
    /// `[key pair][2 x 16 lanes]` for each head group: the probabilities, written.
    pub probs: View,
    /// The stride of the head groups' probabilities, in elements.
    pub group_stride: usize,
    /// `[A]`: the output, written.
    pub attn: View,
}

/// Computes `attn = sum_s softmax_s(q k[s]) v[s]` over the keys `s <= t`, for the query at position `t` and every head. A thread of
/// several computes the head groups of its [`Warp::part`] alone.
#[inline(always)]
pub fn attend<S: Shape>(warp: &Warp, s: S, query: &Query, t: usize) {
    let (a, heads) = (s.n_attn_padded(), Heads::new(s));
    for group in warp.part(heads.groups, 1) {
        let (p, k, v) = (query.probs.at(group * query.group_stride), query.k, query.v);
        let mut max = F32x32::splat(f32::NEG_INFINITY);
        for (key, both) in key_pairs(t) {
            let mut score = F32x32::splat(0.0);
            for i in heads.channels(group) {
                score = F32x32::broadcast(query.q.load(i)).mul_add(k.load_halves(key * a + i, a), score);
            }
            let score = score.segmented_sum(heads.width).upper_where(both, f32::NEG_INFINITY);
            p.store_halves(key * HALF_WARP, HALF_WARP, score);
            max = max.max(score);
        }
        let max = F32x32::broadcast(max.max_halves());
        let mut sum = F32x32::splat(0.0);
        for (key, both) in key_pairs(t) {
            let e = (p.load_halves(key * HALF_WARP, HALF_WARP) - max).map(exp_up_to_88).upper_where(both, 0.0);
            p.store_halves(key * HALF_WARP, HALF_WARP, e);
            sum = sum + e;
        }
        let scale = F32x32::broadcast(F32x16::splat(1.0) / sum.add_halves());
        for (n, i) in heads.channels(group).enumerate() {
            let mut sum = F32x32::splat(0.0);
            for (key, _) in key_pairs(t) {
                let mut prob = p.load_halves(key * HALF_WARP, HALF_WARP);
                if n == 0 {
                    prob = prob * scale;
                    p.store_halves(key * HALF_WARP, HALF_WARP, prob);
                }
                sum = prob.mul_add(v.load_halves(key * a + i, a), sum);
            }
            query.attn.store(i, sum.add_halves());
        }
    }
    warp.sync();
}

/// Computes [`attend`] for each query. Keys and values are complete, because a block barrier precedes the op.
#[inline(always)]
pub fn forward<S: Shape, const N: usize>(warp: &Warp, s: S, activations: &Activations, tokens: Tokens<N>) {
    let &Activations { q, k, v, probs, attn, .. } = activations;
    let (a, group_stride) = (s.n_attn_padded(), probs_row(s.block_size_padded()));
    for t in tokens.live() {
        let query = Query { q: q.at(t * a), k, v, probs: probs.at(probs_row(t)), group_stride, attn: attn.at(t * a) };
        attend(warp, s, &query, t);
    }
}

/// Computes the gradients of scores and queries, `dp[s] = dattn v[s]`, `dscore[s] = p[s] (dp[s] - sum_u p[u] dp[u])`,
/// `dq = sum_s dscore[s] k[s] / sqrt(D)`.
#[inline(always)]
pub fn backward_queries<S: Shape, const N: usize>(warp: &Warp, s: S, activations: &Activations, tokens: Tokens<N>) {
    let &Activations { k, v, probs, dattn, dscores, dq, .. } = activations;
    let (a, heads) = (s.n_attn_padded(), Heads::new(s));
    let scale = F32x16::splat(query_scale(s));
    for t in tokens.live() {
        for group in 0..heads.groups {
            let row = group * probs_row(s.block_size_padded()) + probs_row(t);
            let (p, ds) = (probs.at(row), dscores.at(row));
            let mut sum = F32x32::splat(0.0);
            for (key, _) in key_pairs(t) {
                let mut dp = F32x32::splat(0.0);
                for i in heads.channels(group) {
                    dp = F32x32::broadcast(dattn.load(t * a + i)).mul_add(v.load_halves(key * a + i, a), dp);
                }
                let dp = dp.segmented_sum(heads.width);
                ds.store_halves(key * HALF_WARP, HALF_WARP, dp);
                sum = p.load_halves(key * HALF_WARP, HALF_WARP).mul_add(dp, sum);
            }
            let sum = F32x32::broadcast(sum.add_halves());
            for (key, _) in key_pairs(t) {
                let dp = ds.load_halves(key * HALF_WARP, HALF_WARP);
                let d = p.load_halves(key * HALF_WARP, HALF_WARP) * (dp - sum);
                ds.store_halves(key * HALF_WARP, HALF_WARP, d);
            }
            for i in heads.channels(group) {
                let mut sum = F32x32::splat(0.0);
                for (key, _) in key_pairs(t) {
                    sum = ds.load_halves(key * HALF_WARP, HALF_WARP).mul_add(k.load_halves(key * a + i, a), sum);
                }
                dq.store(t * a + i, sum.add_halves() * scale);
            }
        }
    }
    warp.sync();
}

/// Computes the gradients of keys and values, `dk[s] = sum_t dscore[t, s] q[t]`, `dv[s] = sum_t p[t, s] dattn[t]` over
/// the queries `t >= s`. The rows of `tokens` are keys. A block barrier precedes the op, so every `dscore` is complete.
#[inline(always)]
pub fn backward_keys<S: Shape, const N: usize>(warp: &Warp, s: S, activations: &Activations, tokens: Tokens<N>) {
    let &Activations { q, probs, dattn, dscores, dk, dv, .. } = activations;
    let (a, n, heads) = (s.n_attn_padded(), tokens.end, Heads::new(s));
    for key in tokens.live() {
        for i in half_warps(a) {
            let group = div(i / HALF_WARP, heads.half_warps) * probs_row(s.block_size_padded());
            let (p, ds) = (probs.at(group + key * HALF_WARP), dscores.at(group + key * HALF_WARP));
            let (mut sum_k, mut sum_v) = (F32x32::splat(0.0), F32x32::splat(0.0));
            for t in (0..(n - key).div_ceil(2)).map(|pair| key + 2 * pair) {
                // The last pair may have no second query.
                let second = usize::from(t + 1 < n);
                let (row, next) = (probs_row(t), probs_row(t + second) - probs_row(t));
                let d = ds.load_halves(row, next).upper_where(second == 1, 0.0);
                let p = p.load_halves(row, next).upper_where(second == 1, 0.0);
                sum_k = d.mul_add(q.load_halves(t * a + i, second * a), sum_k);
                sum_v = p.mul_add(dattn.load_halves(t * a + i, second * a), sum_v);
            }
            dk.store(key * a + i, sum_k.add_halves());
            dv.store(key * a + i, sum_v.add_halves());
        }
    }
    warp.sync();
}
