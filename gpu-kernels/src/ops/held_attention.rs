//! Attention in registers, for the tokens of a GPU's warp. The results are those of [`attention`](super::attention), to the bit.
//!
//! The tokens of a warp see the same pairs of keys, so that a load of a pair serves all of them. Scores, probabilities and
//! their gradients stay in registers, because the way through shared memory takes longer than the arithmetic. Only what other
//! warps need is stored.

use simt::{AS_ON_GPU, Columns, F32x16, F32x32, HALF_WARP, View, Warp, unroll};

use super::attention::query_scale;
use super::{Tokens, rows};
use crate::activations::{Activations, Heads};
use crate::math::exp_up_to_88;
use crate::shape::{HELD_TOKENS, Shape, TOKEN_GROUP};

/// The pairs of keys of the longest document.
const PAIRS: usize = TOKEN_GROUP / 2;

/// Returns the offset of query `t` and a pair of keys in the probabilities and in their gradients. The layout is
/// `[pair][query][2 x 16 lanes]`, where a pair has the queries from its first key on. So each offset is a constant apart from
/// that of the warp's first token.
#[inline(always)]
fn row(pair: usize, t: usize) -> usize {
    (pair * (2 * PAIRS - 1 - pair) + t) * 2 * HALF_WARP
}

/// The attention of a warp's tokens in one layer.
#[derive(Clone, Copy)]
pub struct HeldAttention<const N: usize> {
    tokens: Tokens<N>,
    /// The number of pairs of keys that the tokens see.
    pairs: usize,
    /// The gradients of the attention's outputs.
    dattn: [F32x16; N],
}

impl<const N: usize> HeldAttention<N> {
    /// Returns whether attention is in registers. That is so on a GPU if a warp takes [`HELD_TOKENS`] tokens at once, the shape is
    /// known at compile time, the heads fill sixteen channels, and documents are short.
    #[inline(always)]
    pub fn is_held<S: Shape>(s: S) -> bool {
        let is_short = s.block_size_padded() == TOKEN_GROUP;
        AS_ON_GPU && N == HELD_TOKENS && S::IS_CONST && s.n_attn_padded() == HALF_WARP && is_short
    }

    /// Returns the attention of tokens, without gradients.
    #[inline(always)]
    pub fn new(tokens: Tokens<N>) -> Self {
        Self { tokens, pairs: (tokens.first + N - 1) / 2 + 1, dattn: [F32x16::splat(0.0); N] }
    }

    /// Returns whether token `t` of the warp sees both keys of a pair.
    #[inline(always)]
    fn sees_both(&self, pair: usize, t: usize) -> bool {
        2 * pair < self.tokens.first + t
    }

    /// Stores a value of each token for a pair of keys.
    #[inline(always)]
    fn store(&self, view: View, pair: usize, values: [F32x32; N]) {
        unroll!(for t in 0..N {
            view.store_halves(row(pair, self.tokens.first + t), HALF_WARP, values[t]);
        });
    }

    /// Computes [`attention::forward`](super::attention::forward).
    #[inline(always)]
    pub fn forward<S: Shape>(&self, warp: &Warp, s: S, a: &Activations) {
        let (width, first, zero) = (Heads::new(s).width, self.tokens.first, F32x32::splat(0.0));
        let mut q = [zero; N];
        unroll!(for t in 0..N {
            q[t] = F32x32::broadcast(a.q.load((first + t) * HALF_WARP));
        });
        let mut scores = [[F32x32::splat(f32::NEG_INFINITY); N]; PAIRS];
        unroll!(for pair in 0..PAIRS {
            if pair < self.pairs {
                let k = a.k.load_halves(2 * pair * HALF_WARP, HALF_WARP);
                unroll!(for t in 0..N {
                    let score = q[t].mul_add(k, zero).segmented_sum(width);
                    scores[pair][t] = score.upper_where(self.sees_both(pair, t), f32::NEG_INFINITY);
                });
            }
        });
        let (mut max, mut sum, mut probs) = (scores[0], [zero; N], scores);
        unroll!(for t in 0..N {
            for pair in 1..PAIRS {
                max[t] = max[t].max_number(scores[pair][t]);
            }
            // A score that is NaN makes its exponential, and so the sum, NaN.
            max[t] = max[t].max_number(max[t].shuffle_xor(HALF_WARP));
        });
        unroll!(for pair in 0..PAIRS {
            if pair < self.pairs {
                unroll!(for t in 0..N {
                    let e = (scores[pair][t] - max[t]).map(exp_up_to_88).upper_where(self.sees_both(pair, t), 0.0);
                    (probs[pair][t], sum[t]) = (e, sum[t] + e);
                });
            }
        });
        let (mut scale, mut out) = ([zero; N], [zero; N]);
        unroll!(for t in 0..N {
            scale[t] = F32x32::broadcast(F32x16::splat(1.0) / sum[t].add_halves());
        });
        unroll!(for pair in 0..PAIRS {
            if pair < self.pairs {
                let v = a.v.load_halves(2 * pair * HALF_WARP, HALF_WARP);
                unroll!(for t in 0..N {
                    probs[pair][t] = probs[pair][t] * scale[t];
                    out[t] = probs[pair][t].mul_add(v, out[t]);
                });
                self.store(a.probs, pair, probs[pair]);
            }
        });
        unroll!(for t in 0..N {
            a.attn.store((first + t) * HALF_WARP, out[t].add_halves());
        });
        warp.sync();
    }

    /// Sets the gradient of the attention's output of the warp's token `t`, and stores it.
    #[inline(always)]
    pub fn set_dattn(&mut self, a: &Activations, t: usize, x: Columns) {
        if let Columns::Half(x) = x {
            rows::set(&mut self.dattn, t, |_| x);
            a.dattn.store((self.tokens.first + t) * HALF_WARP, x);
        }
    }

    /// Computes [`attention::backward_queries`](super::attention::backward_queries). The caller synchronises the warp.
    ///
    /// The probabilities are loaded again, because there is no room for them in registers during the MLP.
    #[inline(always)]
    pub fn backward_queries<S: Shape>(&self, s: S, a: &Activations) {
        let (width, first, zero) = (Heads::new(s).width, self.tokens.first, F32x32::splat(0.0));
        let (mut dp, mut sum, mut dq) = ([[zero; N]; PAIRS], [zero; N], [zero; N]);
        let mut probs = dp;
        unroll!(for pair in 0..PAIRS {
            if pair < self.pairs {
                let v = a.v.load_halves(2 * pair * HALF_WARP, HALF_WARP);
                unroll!(for t in 0..N {
                    dp[pair][t] = F32x32::broadcast(self.dattn[t]).mul_add(v, zero).segmented_sum(width);
                    probs[pair][t] = a.probs.load_halves(row(pair, first + t), HALF_WARP);
                    sum[t] = probs[pair][t].mul_add(dp[pair][t], sum[t]);
                });
            }
        });
        unroll!(for t in 0..N {
            sum[t] = F32x32::broadcast(sum[t].add_halves());
        });
        unroll!(for pair in 0..PAIRS {
            if pair < self.pairs {
                let k = a.k.load_halves(2 * pair * HALF_WARP, HALF_WARP);
                let mut d = [zero; N];
                unroll!(for t in 0..N {
                    d[t] = probs[pair][t] * (dp[pair][t] - sum[t]);
                    dq[t] = d[t].mul_add(k, dq[t]);
                });
                self.store(a.dscores, pair, d);
            }
        });
        let scale = F32x16::splat(query_scale(s));
        unroll!(for t in 0..N {
            a.dq.store((first + t) * HALF_WARP, dq[t].add_halves() * scale);
        });
    }

    /// Computes [`attention::backward_keys`](super::attention::backward_keys).
    #[inline(always)]
    pub fn backward_keys(warp: &Warp, a: &Activations, tokens: Tokens<N>) {
        let (first, zero) = (tokens.first, F32x32::splat(0.0));
        let (mut dk, mut dv) = ([zero; N], [zero; N]);
        unroll!(for pair in 0..PAIRS {
            unroll!(for key in 0..N {
                let t = first + key + 2 * pair;
                if t < tokens.end {
                    let at = row(first / 2, t) + (first + key) % 2 * HALF_WARP;
                    // The last pair may have no second query. The rows from the document's end on are finite.
                    let is_whole = t + 1 < tokens.end;
                    let load = |view: View| view.load_halves(at, 2 * HALF_WARP).upper_where(is_whole, 0.0);
                    let row = |view: View| view.load_halves(t * HALF_WARP, HALF_WARP);
                    dk[key] = load(a.dscores).mul_add(row(a.q), dk[key]);
                    dv[key] = load(a.probs).mul_add(row(a.dattn), dv[key]);
                }
            });
        });
        unroll!(for key in 0..N {
            a.dk.store((first + key) * HALF_WARP, dk[key].add_halves());
            a.dv.store((first + key) * HALF_WARP, dv[key].add_halves());
        });
        warp.sync();
    }
}
