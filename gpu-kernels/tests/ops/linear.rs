//! The op `linear` against the reference, with the product forward and backward, and the gradient of the matrix.

use gpu_kernels::layout::Place;
use gpu_kernels::ops::Tokens;
use gpu_kernels::ops::linear::{self, Linear, weight_gradient};
use gpu_kernels::shape::{RuntimeShape, TOKEN_GROUP};
use reference::model;
use simt::{Columns, F32x32, HALF_WARP, WARP, round_up};

use crate::support::{
    Channels, Input, Padded, ROUNDING, assert_gradients, by_row, launch, launch_tokens, leaves, matrix, to_f64, values,
    view, weighted,
};
use crate::tensors::{assert_close, norm};

/// The cases `(input, output, n)`, with wide and narrow matrices, and documents from one position to three groups of
/// tokens, some with a last group of one token.
const CASES: &[(usize, usize, usize)] = if cfg!(miri) {
    &[(3, 5, 2)]
} else {
    &[(16, 16, 8), (16, 27, 1), (21, 84, 5), (34, 9, 11), (7, 19, 17), (52, 13, 3), (20, 100, 9)]
};

/// A shape known at run time. The ops read only whether the shape is constant.
const SHAPE: RuntimeShape = RuntimeShape { vocab: 1, block_size: 1, n_embd: 1, n_head: 1, n_layer: 1 };

/// Returns the transpose of `w: [w.len() / cols, cols]`.
fn transpose(w: &[f32], cols: usize) -> Vec<f32> {
    let rows = w.len() / cols;
    (0..w.len()).map(|i| w[i % rows * cols + i / rows]).collect()
}

#[test]
fn forward_backward_and_weight_gradient_agree_with_the_reference() {
    for (input, output, n) in CASES.iter().copied() {
        let what = format!("[{output}, {input}], n = {n}");
        let (t, i, o) = (round_up(n, TOKEN_GROUP), Channels::plain(input), Channels::plain(output));
        let (x, w, dy) = (values(1, n * input), values(2, output * input), values(3, n * output));
        let mut transposed = Padded::new(i.padded, o, &transpose(&w, input), 0.0);
        let mut straight = Padded::new(o.padded, i, &w, 0.0);
        let (mut x_rows, mut dy_rows) = (Padded::new(t, i, &x, f32::NAN), Padded::new(t, o, &dy, f32::NAN));
        let (mut y, mut dx, mut dw) =
            (Padded::unwritten(t, o), Padded::unwritten(t, i), Padded::unwritten(o.padded, i));
        let (x_view, dy_view) = (x_rows.view(), dy_rows.view());
        let (y_view, dx_view, dw_view) = (y.view(), dx.view(), dw.view());
        let forward = Linear { x: x_view, w: transposed.view(), rows: i.padded, cols: o.padded, packed: None };
        let backward = Linear { x: dy_view, w: straight.view(), rows: o.padded, cols: i.padded, packed: None };
        launch_tokens(n, |warp, tokens| {
            linear::forward(warp, SHAPE, &forward, tokens, |t, col, y| y.store(y_view, t * o.padded + col));
            linear::forward_into(warp, SHAPE, &backward, tokens, dx_view);
        });
        launch(|warp| {
            let matrix = Place { offset: 0, rows: o.padded, cols: i.padded, decays: true };
            for block in warp.block_stride(matrix.blocks(HALF_WARP)).map(|i| matrix.block(HALF_WARP, i)) {
                let mut dw = [F32x32::splat(0.0); HALF_WARP / 2];
                weight_gradient(warp, block, dy_view, x_view, n, &mut dw);
                block.store(dw_view, dw);
            }
        });
        let expected = by_row(&x, input, |tape, x| model::linear(&matrix(&leaves(tape, &to_f64(&w)), input), x));
        // The bound counts a multiply-add for every second input, then the sum of the halves.
        y.assert_close(&format!("{what}: y"), &expected, input as f64 / 2.0 + 1.0);
        let inputs = [
            Input { name: "x", cols: input, values: &x, gradient: dx.rows(&what, n) },
            Input { name: "w", cols: input, values: &w, gradient: dw.rows(&what, output) },
        ];
        // The bound for `dx` counts as above, over the outputs. The one for `dw` counts a multiply-add for every
        // position.
        let roundings = (output as f64 / 2.0 + 1.0).max(n as f64);
        assert_gradients(&what, &inputs, roundings, |tape, inputs| {
            let w = matrix(&inputs[1], input);
            let y: Vec<_> = inputs[0].chunks(input).flat_map(|x| model::linear(&w, x)).collect();
            weighted(tape, &y, &dy)
        });
        let padding = &dw.memory[output * i.padded..];
        assert_close(format!("{what}: dw of padded rows"), i.padded, padding, &vec![0.0; padding.len()], 0.0);
    }
}

#[test]
fn full_and_half_columns_of_a_product_have_the_same_bits() {
    let (rows, cols) = (48, 64);
    let (mut x, mut w) = (values(1, 2 * rows), values(2, rows * cols));
    let [mut full, mut halves, mut blocks] = [(); 3].map(|()| vec![f32::NAN; 4 * HALF_WARP]);
    let [x_view, w_view] = [&mut x, &mut w].map(|memory| view(memory));
    let [full_view, halves_view, blocks_view] = [&mut full, &mut halves, &mut blocks].map(|memory| view(memory));
    launch(|warp| {
        if warp.index > 0 {
            return;
        }
        let w_view = w_view.at(HALF_WARP);
        let full = Columns::products::<2, 1, true>(x_view, w_view, rows, cols, false);
        let blocks = Columns::products::<4, 2, false>(x_view, w_view, rows, cols, false);
        for t in 0..2 {
            full[t].store(full_view, 2 * t * HALF_WARP);
            for half in 0..2 {
                let at = (2 * t + half) * HALF_WARP;
                blocks[2 * t + half].store(blocks_view, at);
                let halves = Columns::products::<2, 1, false>(x_view, w_view.at(half * HALF_WARP), rows, cols, false);
                halves[t].store(halves_view, at);
            }
        }
    });
    assert!(full.iter().all(|y| y.is_finite()));
    let bits = |values: &[f32]| values.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&full), bits(&halves));
    assert_eq!(bits(&blocks), bits(&halves));
}

#[test]
fn packed_columns_give_the_bits_of_the_matrix() {
    const N: usize = 2 * TOKEN_GROUP;
    let (rows, n) = (48, N - 3);
    for cols in [HALF_WARP, WARP, WARP + HALF_WARP] {
        let (mut x, mut w, mut packed) = (values(1, N * rows), values(2, rows * cols), vec![f32::NAN; rows * WARP]);
        let [mut expected, mut got] = [(); 2].map(|()| vec![f32::NAN; N * cols]);
        let [x_view, w_view, packed_view] = [&mut x, &mut w, &mut packed].map(|memory| view(memory));
        let [expected_view, got_view] = [&mut expected, &mut got].map(|memory| view(memory));
        let product = Linear { x: x_view, w: w_view, rows, cols, packed: None };
        launch(|warp| {
            if warp.index > 0 {
                return;
            }
            for first in (0..n).step_by(TOKEN_GROUP) {
                let tokens = Tokens::<TOKEN_GROUP> { first, end: n };
                linear::forward(warp, SHAPE, &product, tokens, |t, i, y| y.store(expected_view, t * cols + i));
            }
            let (product, tokens) = (Linear { packed: Some(packed_view), ..product }, Tokens::<N> { first: 0, end: n });
            linear::forward(warp, SHAPE, &product, tokens, |t, i, y| y.store(got_view, t * cols + i));
        });
        let bits = |values: &[f32]| values[..n * cols].iter().map(|y| y.to_bits()).collect::<Vec<_>>();
        assert!(expected[..n * cols].iter().all(|y| y.is_finite()));
        assert_eq!(bits(&got), bits(&expected), "{cols} columns");
    }
}

// The test computes `x += w0 x0 + w1 x1` in one `forward_sum`, and in one `accumulate` for each term.
#[test]
fn sums_of_products_agree_with_the_reference() {
    for (input, output, n) in CASES.iter().copied() {
        let what = format!("[{output}, {input}], n = {n}");
        let (t, i, o) = (round_up(n, TOKEN_GROUP), Channels::plain(input), Channels::plain(output));
        let x = [values(1, n * input), values(2, n * input)];
        let w = [values(3, output * input), values(4, output * input)];
        let skip = values(5, n * output);
        let mut x_rows = x.each_ref().map(|x| Padded::new(t, i, x, f32::NAN));
        let mut transposed = w.each_ref().map(|w| Padded::new(i.padded, o, &transpose(w, input), 0.0));
        let (mut sum, mut accumulated) = (Padded::new(t, o, &skip, f32::NAN), Padded::new(t, o, &skip, f32::NAN));
        let terms = [0, 1].map(|k| Linear {
            x: x_rows[k].view(),
            w: transposed[k].view(),
            rows: i.padded,
            cols: o.padded,
            packed: None,
        });
        let (sum_view, accumulated_view) = (sum.view(), accumulated.view());
        launch_tokens(n, |warp, tokens| {
            linear::forward_sum(
                warp,
                SHAPE,
                terms.len(),
                |k| terms[k],
                tokens,
                |t, col, y| {
                    let at = t * o.padded + col;
                    let y = y.map_with(sum_view, at, |y, x| x + y);
                    warp.sync();
                    y.store(sum_view, at);
                },
            );
            warp.sync();
            for term in &terms {
                linear::accumulate(warp, SHAPE, term, tokens, accumulated_view);
            }
        });
        let product =
            |k: usize| by_row(&x[k], input, |tape, x| model::linear(&matrix(&leaves(tape, &to_f64(&w[k])), input), x));
        let (first, second) = (product(0), product(1));
        let expected: Vec<f64> = (0..skip.len()).map(|e| f64::from(skip[e]) + first[e] + second[e]).collect();
        // The bound counts the roundings of two products and of the two additions. The terms may cancel, so the bound
        // is relative to the sum of their norms.
        let roundings = 2.0 * (input as f64 / 2.0 + 2.0);
        let bound = roundings * ROUNDING * (norm(&to_f64(&skip)) + norm(&first) + norm(&second));
        for (name, got) in [("forward_sum", &sum), ("accumulate", &accumulated)] {
            assert_close(format!("{what}: {name}"), output, &got.rows(&what, n), &expected, bound);
        }
    }
}
