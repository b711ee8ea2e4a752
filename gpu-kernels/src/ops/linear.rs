//! Products with a weight matrix, and the gradient of the matrix.

use core::ops::Range;

use simt::{Columns, F32x32, HALF_WARP, View, WARP, Warp, half_warps, inline, rem, unroll};

use super::Tokens;
use super::rows::Rows;
use crate::layout::WeightBlock;
use crate::shape::{Shape, TOKEN_GROUP};

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
    /// `[threads, rows, 32]`: memory for the columns that many tokens share, see [`packed_sums`].
    pub packed: Option<View>,
}

/// Computes `y[t, col] = sum_i x[t, i] w[i, col]` and hands 16 or 32 columns at a time to `store(t, col, y[t, col..])`.
///
/// The even `i` are summed in order, and so are the odd `i`. Then the two sums are added. Rows from the document's end on
/// get the products of their rows of `x`, or zeros.
#[inline(always)]
pub fn forward<S: Shape, const N: usize>(
    warp: &Warp,
    s: S,
    linear: &Linear,
    tokens: Tokens<N>,
    store: impl FnMut(usize, usize, Columns),
) {
    forward_sum(warp, s, 1, |_| *linear, tokens, store);
    warp.sync();
}

/// Computes `y: [T, cols]` as in [`forward`].
#[inline(always)]
pub fn forward_into<S: Shape, const N: usize>(warp: &Warp, s: S, linear: &Linear, tokens: Tokens<N>, y: View) {
    let cols = linear.cols;
    forward(warp, s, linear, tokens, inline!(|t, i, value| value.store(y, t * cols + i)));
}

/// Computes `x += y` for `x: [T, cols]`, with `y` as in [`forward`].
#[inline(always)]
pub fn accumulate<S: Shape, const N: usize>(warp: &Warp, s: S, linear: &Linear, tokens: Tokens<N>, x: View) {
    let cols = linear.cols;
    forward(
        warp,
        s,
        linear,
        tokens,
        inline!(|t, i, y| {
            let sum = y.map_with(x, t * cols + i, |y, x| x + y);
            // Both half-warps have read the row before either replaces it.
            warp.sync();
            sum.store(x, t * cols + i);
        }),
    );
}

/// Computes `x += y` with `y` as in [`forward`], for the rows of the warp's tokens.
#[inline(always)]
pub fn add_to<S: Shape, const N: usize>(warp: &Warp, s: S, linear: &Linear, tokens: Tokens<N>, x: &mut Rows<N>) {
    forward_sum(warp, s, 1, |_| *linear, tokens, inline!(|t, i, y| x.add(warp, t - tokens.first, i, y)));
    x.sync(warp);
}

/// Computes the sum of `terms` products in order, each as in [`forward`]. All products have the same width. The caller
/// synchronises the warp, once after several sums. Many tokens with memory for packed columns have one term. A thread of
/// several computes the columns of its [`Warp::part`] alone.
///
/// The accumulators of several tokens are kept in registers. With more of them the matrix is read less often.
#[inline(always)]
pub fn forward_sum<S: Shape, const N: usize>(
    warp: &Warp,
    _: S,
    terms: usize,
    term: impl Fn(usize) -> Linear,
    tokens: Tokens<N>,
    mut store: impl FnMut(usize, usize, Columns),
) {
    if N > TOKEN_GROUP
        && let Some(packed) = term(0).packed
    {
        debug_assert_eq!(terms, 1, "packed columns have one term");
        return packed_sums(warp, &term(0), packed, tokens, store);
    }
    let (cols, two, four) = (term(0).cols, N.min(2), N.min(4));
    // With constant dimensions each product is unrolled code of its own, of which an engine of WebAssembly would spill much.
    let is_unrolled_wasm = S::IS_CONST && cfg!(target_family = "wasm");
    let has_two = N == 2 || warp.accumulators(four) < four || is_unrolled_wasm;
    let is_full = S::IS_CONST && rem(cols, WARP) == 0 && warp.accumulators(2 * two) == 2 * two;
    // The more of a row is read at once, the faster a large matrix comes from memory. With few registers, this pays for a token
    // alone. The page has small matrices.
    let (blocks, is_alone) = (if has_two { 2 } else { 4 }, tokens.end == tokens.first + 1);
    let may_be_large = N > 1 && !S::IS_CONST && !cfg!(target_family = "wasm");
    let is_wide = may_be_large && (is_alone || !has_two);
    let Range { start, end } = warp.part(cols, WARP);
    let wide = if is_wide { end - rem(end - start, blocks * HALF_WARP) } else { start };
    for col in (start..wide).step_by(blocks * HALF_WARP) {
        if has_two {
            sums::<2, N, 2, false>(terms, &term, tokens, col, S::IS_CONST, &mut store);
        } else {
            sums::<8, N, 4, false>(terms, &term, tokens, col, S::IS_CONST, &mut store);
        }
    }
    for col in (wide..end).step_by(if is_full { WARP } else { HALF_WARP }) {
        if N == 1 && is_full {
            sums::<1, N, 1, true>(terms, &term, tokens, col, S::IS_CONST, &mut store);
        } else if N == 1 {
            sums::<1, N, 1, false>(terms, &term, tokens, col, S::IS_CONST, &mut store);
        } else if has_two && is_full {
            sums::<2, N, 1, true>(terms, &term, tokens, col, S::IS_CONST, &mut store);
        } else if has_two {
            sums::<2, N, 1, false>(terms, &term, tokens, col, S::IS_CONST, &mut store);
        } else if is_full {
            sums::<4, N, 1, true>(terms, &term, tokens, col, S::IS_CONST, &mut store);
        } else {
            sums::<4, N, 1, false>(terms, &term, tokens, col, S::IS_CONST, &mut store);
        }
    }
}

/// Computes a product as [`forward_sum`], for so many tokens that copying the matrix costs little. The columns that are multiplied
/// at once lie one after the other in the copy, so that they stay in the nearest caches while all tokens pass. In the matrix
/// they are apart by a row, and few of such lines fit in a cache.
#[inline(always)]
fn packed_sums<const N: usize>(
    warp: &Warp,
    linear: &Linear,
    packed: View,
    tokens: Tokens<N>,
    mut store: impl FnMut(usize, usize, Columns),
) {
    let &Linear { w, rows, cols, .. } = linear;
    let (packed, Range { start, end }) = (packed.at(warp.thread * rows * WARP), warp.part(cols, WARP));
    for first in (start..end).step_by(WARP) {
        let width = WARP.min(end - first);
        for row in 0..rows {
            for i in half_warps(width) {
                packed.store(row * width + i, w.load(row * cols + first + i));
            }
        }
        warp.sync();
        let columns = Linear { w: packed, cols: width, ..*linear };
        sums_of_many(warp, columns, tokens, inline!(|t, i, y| store(t, first + i, y)));
        warp.sync();
    }
}

/// Computes a product of up to 32 columns as [`forward_sum`], for many tokens.
#[inline(always)]
fn sums_of_many<const N: usize>(
    warp: &Warp,
    linear: Linear,
    tokens: Tokens<N>,
    mut store: impl FnMut(usize, usize, Columns),
) {
    if linear.cols == WARP && warp.accumulators(8) == 8 {
        // The compiler knows the stride, and loads a row where it is used.
        let linear = Linear { cols: WARP, ..linear };
        sums::<8, N, 2, false>(1, &|_| linear, tokens, 0, false, &mut store);
    } else {
        for i in half_warps(linear.cols) {
            sums::<2, N, 1, false>(1, &|_| linear, tokens, i, false, &mut store);
        }
    }
}

/// Computes `B` blocks of columns of [`forward_sum`], each of 32 columns if `FULL`, otherwise of 16, for the `N` tokens. `K`
/// products of a token and a block are computed at a time. `is_const` is that of [`Columns::products`].
#[inline(always)]
fn sums<const K: usize, const N: usize, const B: usize, const FULL: bool>(
    terms: usize,
    term: &impl Fn(usize) -> Linear,
    tokens: Tokens<N>,
    col: usize,
    is_const: bool,
    store: &mut impl FnMut(usize, usize, Columns),
) {
    let width = if FULL { WARP } else { HALF_WARP };
    for t in (0..N).step_by(K / B) {
        // Adding -0, the neutral element of addition, keeps the sign of a zero.
        let mut sum = [Columns::splat(-0.0, FULL); K];
        // A warp has at least one token, so the first test needs no branch.
        if t == 0 || tokens.first + t < tokens.end {
            for i in 0..terms {
                let Linear { x, w, rows, cols, .. } = term(i);
                let x = x.at((tokens.first + t) * rows);
                let y = Columns::products::<K, B, FULL>(x, w.at(col), rows, cols, is_const);
                unroll!(for k in 0..K {
                    sum[k] = sum[k] + y[k];
                });
            }
        }
        unroll!(for k in 0..K {
            store(tokens.first + t + k / B, col + k % B * width, sum[k]);
        });
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
