//! Products with a weight matrix, for a group of tokens, and the gradient of the matrix.

use crate::shape::{Shape, TILE};
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

/// `y[t, col + c] = sum_i x[t, i] w[i, col + c]` for 16 channels `c` and the tokens of a group.
///
/// `x: [T, rows]`, `w: [rows, cols]` -> `store(t, y[t, col..])` for each of the `TOKENS` tokens from `t0` on. The first `live` (one or
/// more) count; the others get what their rows of `x` give, or zeros. The lower half-warp sums the even `i` in order, the upper one
/// the odd `i`; then the two are added.
#[inline(always)]
pub fn product<S: Shape>(
    warp: &Warp,
    s: S,
    x: Tile,
    tokens: (usize, usize),
    m: Matrix,
    col: usize,
    store: impl Fn(usize, F32x16),
) {
    sum_of_products(warp, s, |_| (x, m), 1, tokens, col, store);
}

/// The sum, term by term, of `terms` [`product`]s, each of the `x` and `w` that `term` gives.
///
/// The sums of several tokens are kept in registers together: the more they are, the less often the matrix is read. But where the
/// dimensions are constants each product of a step stands in the code by itself, without a loop, and the code of a step should fit
/// the instruction cache.
#[inline(always)]
pub fn sum_of_products<S: Shape>(
    warp: &Warp,
    _: S,
    term: impl Fn(usize) -> (Tile, Matrix),
    terms: usize,
    tokens: (usize, usize),
    col: usize,
    store: impl Fn(usize, F32x16),
) {
    const TWO: usize = if TOKENS < 2 { TOKENS } else { 2 };
    const FOUR: usize = if TOKENS < 4 { TOKENS } else { 4 };
    if S::IS_CONST || warp.accumulators(FOUR) < FOUR {
        sums::<TWO>(term, terms, tokens, col, store);
    } else {
        sums::<FOUR>(term, terms, tokens, col, store);
    }
}

/// [`sum_of_products`], the sums of `N` tokens at a time.
#[inline(always)]
fn sums<const N: usize>(
    term: impl Fn(usize) -> (Tile, Matrix),
    terms: usize,
    (t0, live): (usize, usize),
    col: usize,
    store: impl Fn(usize, F32x16),
) {
    for t in (0..TOKENS).step_by(N) {
        // The sum of nothing: added to it, every number stays what it is, -0 too.
        let mut sum = [F32x16::splat(-0.0); N];
        // The first always count, which spares a GPU the branch.
        if t == 0 || t < live {
            for i in 0..terms {
                let (x, m) = term(i);
                let y = product_of::<N>(x.at((t0 + t) * m.rows), m, col);
                for k in 0..N {
                    sum[k] = sum[k] + y[k].add_halves();
                }
            }
        }
        for k in 0..N {
            store(t0 + t + k, sum[k]);
        }
    }
}

/// [`product`] for the first `N` tokens of `x`, before the half-warps' sums are added.
#[inline(always)]
fn product_of<const N: usize>(x: Tile, m: Matrix, col: usize) -> [F32x32; N] {
    let mut y = [F32x32::splat(0.0); N];
    for i in tiles(m.rows) {
        let x = x.at(i).anchored();
        let mut splats = [x.splats(0); N];
        for t in 0..N {
            splats[t] = x.splats(t * m.rows);
        }
        let w = m.w.at(i * m.cols + col).anchored();
        for pair in 0..TILE / 2 {
            let w = w.row_pair(2 * pair * m.cols, m.cols);
            for t in 0..N {
                y[t] = splats[t].pair(pair).mul_add(w, y[t]);
            }
        }
    }
    y
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
            let x = F32x32::broadcast(x.row(t * x_width + col));
            let dy = dy.splats(t * dy_width + row);
            for r in first..first + count {
                dw[r] = dy.pair(r).mul_add(x, dw[r]);
            }
        }
    }
    dw
}
