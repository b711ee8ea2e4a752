//! The activations of a step's rows.

use simt::{HALF_WARP, View, round_up};

use super::rows::RowCounts;
use crate::shape::Shape;

/// Returns the number of rows of a buffer. The micro-kernel reads up to 15 rows after the last one, and attention reads
/// as many after a document's last one.
pub fn padded_rows(rows: usize) -> usize {
    round_up(rows, HALF_WARP) + HALF_WARP
}

impl RowCounts {
    /// Returns [`padded_rows`] of R.
    pub fn padded(self) -> usize {
        padded_rows(self.rows as usize)
    }
}

buffers! {
    /// The activations of one layer and of the whole model, for `rows` padded rows.
    pub struct Workspace(s, rows)
    model {
    /// `[R, C]`: the embedding after its norm, the input of layer 0.
    x_embed: rows * s.n_embd_padded(),
    /// `[R]`: 1 / rms of the embedding.
    rstd_embed: rows,
    /// `[R, C]`: the residual stream.
    x: rows * s.n_embd_padded(),
    /// `[R, V]`: the logits, then the gradient of the logits.
    logits: rows * s.vocab_padded(),
    /// `[R]`: the sum of the exponentials.
    sum_exp: rows,
    /// `[R]`: the largest logit minus the target's.
    gap: rows,
    /// `[R, C]`: the gradient of a layer's output, then of its input.
    dx: rows * s.n_embd_padded(),
    /// `[R, C]`: the gradient of the residual stream between attention and MLP.
    dx_mid: rows * s.n_embd_padded(),
    /// `[R, 4C]`: the gradient of `fc1 xn`.
    dh: rows * s.n_hidden_padded(),
    /// `[R, A]`: the gradient of the attention's output.
    dattn: rows * s.n_attn_padded(),
    /// `[R, 3A]`: the gradients of the unscaled queries, the keys and the values.
    dqkv: 3 * rows * s.n_attn_padded(),
    }
    layer {
    /// `[R, C]`: the input of attention, after its norm.
    xn_attn: rows * s.n_embd_padded(),
    /// `[R]`: 1 / rms before attention.
    rstd_attn: rows,
    /// `[R, 3A]`: the queries over `sqrt(D)`, the keys and the values.
    qkv: 3 * rows * s.n_attn_padded(),
    /// `[R, A]`: the attention's output.
    attn: rows * s.n_attn_padded(),
    /// `[H, R]`: the largest score of each query.
    attn_max: s.n_head() * rows,
    /// `[H, R]`: the inverse of the sum of the exponentials of a query's scores.
    attn_inverse_sum: s.n_head() * rows,
    /// `[R, C]`: the input of the MLP, after its norm.
    xn_mlp: rows * s.n_embd_padded(),
    /// `[R]`: 1 / rms before the MLP.
    rstd_mlp: rows,
    /// `[R, 4C]`: `relu(fc1 xn)^2`. The backward pass takes its root, which costs less than memory for both.
    h2: rows * s.n_hidden_padded(),
    }
}
