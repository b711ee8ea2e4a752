//! Products with a weight matrix, for a group of tokens, and the gradient of the matrix.

use core::ops::Range;

use crate::shape::TILE;
use crate::simt::{F32x16, F32x32, TOKENS, Tile, Warp};
use crate::stages::tiles;

/// A matrix as a stage reads it: contracted over its rows, its columns along the lanes.
#[derive(Clone, Copy)]
pub struct Matrix {
    /// The elements, row-major.
    pub w: Tile,
    /// Rows: the width of the input.
    pub rows: usize,
    /// Columns: the width of the output.
    pub cols: usize,
}

/// Tokens of a group that [`product`] always computes, positions or padding; the rest only where the document reaches them. A name
/// of the usual corpus has seven positions in the mean.
const ALWAYS: usize = if TOKENS < 6 { TOKENS } else { 6 };

/// `y[t, col + c] = sum_i x[t, i] w[i, col + c]` for 16 channels `c`.
///
/// `x: [T, rows]` from row `t0` on, `w: [rows, cols]` -> one value for each of `TOKENS` tokens, of which the first `live`
/// (one or more) count. The lower half-warp sums the even `i` in order, the upper one the odd `i`; then the two are added.
#[inline(always)]
pub fn product(warp: &Warp, x: Tile, (t0, live): (usize, usize), m: Matrix, col: usize) -> [F32x16; TOKENS] {
    let mut y = [F32x32::splat(0.0); TOKENS];
    product_of(warp, 0..ALWAYS, x, t0, m, col, &mut y);
    if ALWAYS < TOKENS && ALWAYS < live {
        product_of(warp, ALWAYS..TOKENS, x, t0, m, col, &mut y);
    }
    let mut folded = [F32x16::splat(0.0); TOKENS];
    for t in 0..TOKENS {
        folded[t] = y[t].fold();
    }
    folded
}

/// [`product`] for some of the tokens, before the half-warps' sums are added.
#[inline(always)]
fn product_of(warp: &Warp, tokens: Range<usize>, x: Tile, t0: usize, m: Matrix, col: usize, y: &mut [F32x32; TOKENS]) {
    for half in warp.halves(tokens.len()) {
        for i in tiles(m.rows) {
            let x = x.at(t0 * m.rows + i).anchored();
            let mut splats = [x.splats(0); TOKENS];
            for t in tokens.clone() {
                splats[t] = x.splats(t * m.rows);
            }
            let w = m.w.at(i * m.cols + col).anchored();
            for pair in 0..TILE / 2 {
                let w = w.row_pair(2 * pair * m.cols, m.cols);
                for t in tokens.clone() {
                    y[t] = splats[t].pair(pair).mul_add_in(half, w, y[t]);
                }
            }
        }
    }
}

/// Writes 16 channels of each token: `y[t, col + c]`, `y: [T, width]` from row `t0` on.
#[inline(always)]
pub fn store(y: Tile, width: usize, t0: usize, col: usize, values: [F32x16; TOKENS]) {
    for t in 0..TOKENS {
        y.set_row((t0 + t) * width + col, values[t]);
    }
}

/// The gradient of a block of `TILE` by `TILE` weights: `dw[row + r, col + c] += sum_t dy[t, row + r] x[t, col + c]`, over
/// the document's `n` positions in order.
///
/// `dy: [T, dy_width]`, `x: [T, x_width]`, `dw` the block as pairs of rows -> the same.
#[inline(always)]
pub fn weight_gradient(
    warp: &Warp,
    (dy, dy_width, row): (Tile, usize, usize),
    (x, x_width, col): (Tile, usize, usize),
    n: usize,
    mut dw: [F32x32; TILE / 2],
) -> [F32x32; TILE / 2] {
    let count = warp.accumulators(TILE / 2);
    for first in (0..TILE / 2).step_by(count) {
        for t in 0..n {
            let x = F32x32::both(x.row(t * x_width + col));
            let dy = dy.splats(t * dy_width + row);
            for r in first..first + count {
                dw[r] = dy.pair(r).mul_add(x, dw[r]);
            }
        }
    }
    dw
}
