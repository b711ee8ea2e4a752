//! Products with a weight matrix, and the gradient of the matrix.

use simt::{Columns, F32x32, HALF_WARP, View, WARP, Warp, rem};

use super::Tokens;
use crate::layout::WeightBlock;
use crate::shape::{Shape, TOKENS};

/// An input with the matrix that it is multiplied by. The matrix is contracted over its rows, with its columns along the lanes.
#[derive(Clone, Copy)]
pub struct Linear {
    /// `[T, rows]`: the input.
    pub x: View,
    /// `[rows, cols]`: the matrix.
    pub w: View,
    /// The number of rows, which is the width of the input.
    pub rows: usize,
    /// The number of columns, which is the width of the output.
    pub cols: usize,
}

/// Computes `y[t, col] = sum_i x[t, i] w[i, col]` and hands 16 or 32 columns at a time to `store(t, col, y[t, col..])`.
///
/// The even `i` are summed in order, and so are the odd `i`. Then the two sums are added. Rows from the document's end on
/// get the products of their rows of `x`, or zeros.
#[inline(always)]
pub fn forward<S: Shape>(warp: &Warp, s: S, linear: &Linear, tokens: Tokens, store: impl Fn(usize, usize, Columns)) {
    forward_sum(warp, s, 1, |_| *linear, tokens, store);
    warp.sync();
}

/// Computes `y: [T, cols]` as in [`forward`].
#[inline(always)]
pub fn forward_into<S: Shape>(warp: &Warp, s: S, linear: &Linear, tokens: Tokens, y: View) {
    let cols = linear.cols;
    forward(warp, s, linear, tokens, |t, i, value| value.store(y, t * cols + i));
}

/// Computes `x += y` for `x: [T, cols]`, with `y` as in [`forward`].
#[inline(always)]
pub fn accumulate<S: Shape>(warp: &Warp, s: S, linear: &Linear, tokens: Tokens, x: View) {
    let cols = linear.cols;
    forward(warp, s, linear, tokens, |t, i, y| {
        let sum = y.map_with(x, t * cols + i, |y, x| x + y);
        // Both half-warps have read the row before either replaces it.
        warp.sync();
        sum.store(x, t * cols + i);
    });
}

/// Computes the sum of `terms` products in order, each as in [`forward`]. All products have the same width. The caller
/// synchronises the warp, once after several sums.
///
/// The accumulators of several tokens are kept in registers. With more of them the matrix is read less often. But with
/// constant dimensions each product is unrolled code of its own, and a step's code should fit the instruction cache.
#[inline(always)]
pub fn forward_sum<S: Shape>(
    warp: &Warp,
    _: S,
    terms: usize,
    term: impl Fn(usize) -> Linear,
    tokens: Tokens,
    store: impl Fn(usize, usize, Columns),
) {
    const TWO: usize = if TOKENS < 2 { TOKENS } else { 2 };
    const FOUR: usize = if TOKENS < 4 { TOKENS } else { 4 };
    let cols = term(0).cols;
    let is_full = S::IS_CONST && rem(cols, WARP) == 0 && warp.accumulators(2 * TWO) == 2 * TWO;
    for col in (0..cols).step_by(if is_full { WARP } else { HALF_WARP }) {
        if is_full {
            sums::<TWO, true>(terms, &term, tokens, col, &store);
        } else if S::IS_CONST || warp.accumulators(FOUR) < FOUR {
            sums::<TWO, false>(terms, &term, tokens, col, &store);
        } else {
            sums::<FOUR, false>(terms, &term, tokens, col, &store);
        }
    }
}

/// Computes columns of [`forward_sum`], 32 of them if `FULL`, otherwise 16, for `N` tokens at a time.
#[inline(always)]
fn sums<const N: usize, const FULL: bool>(
    terms: usize,
    term: &impl Fn(usize) -> Linear,
    tokens: Tokens,
    col: usize,
    store: &impl Fn(usize, usize, Columns),
) {
    for t in (0..TOKENS).step_by(N) {
        // Adding -0, the neutral element of addition, keeps the sign of a zero.
        let mut sum = [Columns::splat(-0.0, FULL); N];
        // A warp has at least one token, so the first test needs no branch.
        if t == 0 || tokens.first + t < tokens.end {
            for i in 0..terms {
                let Linear { x, w, rows, cols } = term(i);
                let y = Columns::products::<N, FULL>(x.at((tokens.first + t) * rows), w.at(col), rows, cols);
                for k in 0..N {
                    sum[k] = sum[k] + y[k];
                }
            }
        }
        for k in 0..N {
            store(tokens.first + t + k, col, sum[k]);
        }
    }
}

/// Computes the gradient of a block of 16 by 16 weights, held as pairs of rows, `dw[r, c] += sum_t dy[t, r] x[t, c]` over the
/// document's `n` positions in order, for `dy: [T, rows]` and `x: [T, cols]`.
#[inline(always)]
pub fn weight_gradient(warp: &Warp, block: WeightBlock, dy: View, x: View, n: usize, dw: &mut [F32x32; HALF_WARP / 2]) {
    let WeightBlock { tensor, row, col } = block;
    let count = warp.accumulators(HALF_WARP / 2);
    for first in (0..HALF_WARP / 2).step_by(count) {
        for t in 0..n {
            let x = F32x32::broadcast(x.load(t * tensor.cols + col));
            let dy = dy.broadcast_pairs(t * tensor.rows + row);
            for r in first..first + count {
                dw[r] = dy.broadcast_pair(r).mul_add(x, dw[r]);
            }
        }
    }
}
