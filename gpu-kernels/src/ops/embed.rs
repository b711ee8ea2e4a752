//! Token and position embeddings, and the norm of their sum.

use simt::{F32x32, HALF_WARP, U32View, View, Warp};

use super::rmsnorm::normalize;
use crate::layout::WeightBlock;
use crate::shape::{Shape, TOKENS};

/// The inputs of [`forward`].
pub struct Embed {
    /// `[V, C]`: the token embedding.
    pub wte: View,
    /// `[T, C]`: the position embedding.
    pub wpe: View,
    /// The tokens of the rows that the warp embeds.
    pub tokens: [usize; TOKENS],
    /// The positions of the tokens.
    pub positions: [usize; TOKENS],
}

/// Computes `x = rmsnorm(wte[token] + wpe[pos])`, `[T, C]`, and the norm's `rstd`, `[T]`, for the rows from `t0` on.
#[inline(always)]
pub fn forward<S: Shape>(warp: &Warp, s: S, embed: &Embed, x: View, rstd: View, t0: usize) {
    let c = s.n_embd_padded();
    let sum = |t: usize, i: usize| embed.wte.load(embed.tokens[t] * c + i) + embed.wpe.load(embed.positions[t] * c + i);
    normalize(warp, s, sum, x, rstd, t0);
}

/// The inputs of [`backward_token`] and [`backward_position`].
pub struct EmbedBackward {
    /// `[T, C]`: the gradient of the sum of the embeddings.
    pub dx: View,
    /// The document's tokens.
    pub document: U32View,
    /// The number of positions that the document trains.
    pub n: usize,
}

/// Adds the embedding's part to a block of the gradient of `wte`, which already holds the part of the `lm_head`. It adds
/// `dwte[token_t] += dx[t]` for the document's tokens in order.
#[inline(always)]
pub fn backward_token<S: Shape>(warp: &Warp, s: S, embed: &EmbedBackward, grads: View, block: WeightBlock) {
    let c = s.n_embd_padded();
    let WeightBlock { tensor, row, col } = block;
    for t in 0..embed.n {
        let token = embed.document.load_scalar(t);
        if token >= row && token < row + HALF_WARP {
            let at = tensor.offset + token * c + col;
            let sum = grads.load(at) + embed.dx.load(t * c + col);
            // Both half-warps have read the row before either writes it, and have written it before either reads it again.
            warp.sync();
            grads.store(at, sum);
            warp.sync();
        }
    }
}

/// Returns the gradient of rows `t` and `t + 1` of `wpe`, 16 channels from `col` on. It is zero from the document's end on.
#[inline(always)]
pub fn backward_position<S: Shape>(s: S, embed: &EmbedBackward, t: usize, col: usize) -> F32x32 {
    let c = s.n_embd_padded();
    if t < embed.n {
        embed.dx.load_halves(t * c + col, c).upper_where(t + 1 < embed.n, 0.0)
    } else {
        F32x32::splat(0.0)
    }
}
