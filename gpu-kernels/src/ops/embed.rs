//! Token and position embeddings, and the norm of their sum.

use simt::{F32x16, F32x32, HALF_WARP, View, Warp};

use super::Tokens;
use super::rmsnorm::normalize;
use crate::activations::Pass;
use crate::layout::WeightBlock;
use crate::shape::{Shape, TOKENS};

/// The inputs of [`forward`].
pub struct Embed<const N: usize = TOKENS> {
    /// `[V, C]`: the token embedding.
    pub wte: View,
    /// `[T, C]`: the position embedding.
    pub wpe: View,
    /// The tokens of the rows that the warp embeds.
    pub tokens: [usize; N],
    /// The positions of the tokens.
    pub positions: [usize; N],
}

/// Computes `x = rmsnorm(wte[token] + wpe[pos])`, `[T, C]`, for the rows from `t0` on, and hands it to `store(element, x)`. The
/// norm's `rstd` is `[T]`.
#[inline(always)]
pub fn forward<S: Shape, const N: usize>(
    warp: &Warp,
    s: S,
    embed: &Embed<N>,
    rstd: View,
    t0: usize,
    store: impl Fn(usize, F32x16),
) {
    rows(s, embed, rstd, Tokens { first: t0, end: t0 + N }, |t, i, x| store((t0 + t) * s.n_embd_padded() + i, x));
    warp.sync();
}

/// Computes [`forward`], and hands `x` to `store(t, channel, x)`. Rows count from the first token, and the caller synchronises the warp.
#[inline(always)]
pub fn rows<S: Shape, const N: usize>(
    s: S,
    embed: &Embed<N>,
    rstd: View,
    tokens: Tokens<N>,
    store: impl FnMut(usize, usize, F32x16),
) {
    let c = s.n_embd_padded();
    let sum = |t: usize, i: usize| embed.wte.load(embed.tokens[t] * c + i) + embed.wpe.load(embed.positions[t] * c + i);
    normalize(s, sum, rstd, tokens, store);
}

/// Adds `dwte[token_t] += dx_embed[t]` in order to a block of the gradient of `wte`, which holds the `lm_head`'s part.
#[inline(always)]
pub fn backward_token<S: Shape>(warp: &Warp, s: S, pass: &Pass, grads: View, block: WeightBlock) {
    let (c, dx) = (s.n_embd_padded(), pass.activations(s, 0).dx_embed);
    let WeightBlock { tensor, row, col } = block;
    for t in 0..pass.n {
        let token = pass.document.load_scalar(t);
        if token >= row && token < row + HALF_WARP {
            let at = tensor.offset + token * c + col;
            let sum = grads.load(at) + dx.load(t * c + col);
            // Both half-warps have read the row before either writes it, and have written it before either reads it again.
            warp.sync();
            grads.store(at, sum);
            warp.sync();
        }
    }
}

/// Returns the gradient of a pair of rows of `wpe`, 16 channels wide. Rows from the document's end on get zeros.
#[inline(always)]
pub fn backward_position<S: Shape>(s: S, pass: &Pass, pair: WeightBlock) -> F32x32 {
    let (c, t, dx) = (s.n_embd_padded(), pair.row, pass.activations(s, 0).dx_embed);
    if t < pass.n { dx.load_halves(t * c + pair.col, c).upper_where(t + 1 < pass.n, 0.0) } else { F32x32::splat(0.0) }
}
