//! Token and position embeddings, and the norm of their sum.

use crate::shape::{Shape, TILE};
use crate::simt::{F32x16, F32x32, Ids, TOKENS, Tile, Warp};
use crate::stages::{rmsnorm, tiles};

/// `x = rmsnorm(wte[token] + wpe[pos])`.
///
/// `wte: [V, C]`, `wpe: [T, C]` -> `x: [T, C]`, `r: [T]` (1 / rms), from row `t0` on. Row `t0 + i` embeds `tokens[i]` at
/// position `positions[i]`.
#[inline(always)]
pub fn forward<S: Shape>(
    s: S,
    (wte, wpe): (Tile, Tile),
    (tokens, positions): (&[usize; TOKENS], &[usize; TOKENS]),
    (x, r): (Tile, Tile),
    t0: usize,
) {
    let c = s.n_embd_padded();
    let mut squares = [F32x16::splat(0.0); TOKENS];
    for i in tiles(c) {
        for t in 0..TOKENS {
            let e = wte.row(tokens[t] * c + i) + wpe.row(positions[t] * c + i);
            squares[t] = e.mul_add(e, squares[t]);
        }
    }
    let scale = rmsnorm::inverse_rms(s, squares);
    for t in 0..TOKENS {
        r.set(t0 + t, scale[t]);
    }
    for i in tiles(c) {
        for t in 0..TOKENS {
            let e = wte.row(tokens[t] * c + i) + wpe.row(positions[t] * c + i);
            x.set_row((t0 + t) * c + i, e * F32x16::splat(scale[t]));
        }
    }
}

/// The gradient of `wte` by the embedding, added to that by the output head, for the rows of one block of `TILE` by
/// `TILE` weights at `(row, col)`: `dwte[token_t] += dx_embed[t]` for the document's tokens in order.
///
/// `dx_embed: [T, C]` -> `dwte: [V, C]`. The warp that owns the block runs it.
#[inline(always)]
pub fn backward_token<S: Shape>(
    warp: &Warp,
    s: S,
    dx_embed: Tile,
    document: Ids,
    n: usize,
    dwte: Tile,
    (row, col): (usize, usize),
) {
    let c = s.n_embd_padded();
    for t in 0..n {
        let token = document.get(t);
        if token >= row && token < row + TILE {
            let sum = dwte.row(token * c + col) + dx_embed.row(t * c + col);
            // Both half-warps have read the row before either writes it, and written it before either reads it again.
            warp.sync();
            dwte.set_row(token * c + col, sum);
            warp.sync();
        }
    }
}

/// The gradient of rows `t` and `t + 1` of `wpe`: that of the sum, or zero beyond the document's end.
///
/// `dx_embed: [T, C]` -> two rows of 16 channels from `col` on.
#[inline(always)]
pub fn backward_position<S: Shape>(s: S, dx_embed: Tile, n: usize, t: usize, col: usize) -> F32x32 {
    if t < n {
        dx_embed.row_pair(t * s.n_embd_padded() + col, s.n_embd_padded()).upper_where(t + 1 < n, 0.0)
    } else {
        F32x32::splat(0.0)
    }
}
