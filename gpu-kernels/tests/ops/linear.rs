//! `linear`: the product forward and backward, and the gradient of the matrix.

use gpu_kernels::ops::linear::{self, product, weight_gradient};
use gpu_kernels::ops::tiles;
use gpu_kernels::shape::{HALF_WARP, RuntimeShape, TOKEN_GROUP, round_up};
use reference::model;
use simt::F32x32;

use crate::support::{
    Channels, Input, Tensor, assert_gradients, by_row, launch, leaves, matrix, numbers, weighted, wide,
};
use crate::tensors::assert_close;

/// `(input, output, n)`: wide and narrow matrices, and documents from one position to three groups of tokens.
const CASES: [(usize, usize, usize); 6] =
    [(16, 16, 8), (16, 27, 1), (21, 84, 5), (34, 9, 11), (7, 19, 17), (52, 13, 3)];

#[test]
fn product_forward_and_backward_and_weight_gradient_agree_with_the_reference() {
    for (input, output, n) in CASES {
        let what = format!("[{output}, {input}], n = {n}");
        let (t, i, o) = (round_up(n, TOKEN_GROUP), Channels::plain(input), Channels::plain(output));
        let (x, w, dy) = (numbers(1, n * input), numbers(2, output * input), numbers(3, n * output));
        let transpose = |at: usize| w[at % output * input + at / output];
        let mut transposed = Tensor::new(i.padded, o, &(0..w.len()).map(transpose).collect::<Vec<f32>>(), 0.0);
        let mut straight = Tensor::new(o.padded, i, &w, 0.0);
        let (mut tx, mut tdy) = (Tensor::new(t, i, &x, f32::NAN), Tensor::new(t, o, &dy, f32::NAN));
        let (mut y, mut dx, mut dw) =
            (Tensor::unwritten(t, o), Tensor::unwritten(t, i), Tensor::unwritten(o.padded, i));
        let forward = linear::Matrix { w: transposed.view(), rows: i.padded, cols: o.padded };
        let backward = linear::Matrix { w: straight.view(), rows: o.padded, cols: i.padded };
        let (x_tile, dy_tile, y_tile, dx_tile, dw_tile) = (tx.view(), tdy.view(), y.view(), dx.view(), dw.view());
        let shape = RuntimeShape { vocab: 1, block_size: 1, n_embd: 1, n_head: 1, n_layer: 1 };
        launch(|warp| {
            for t0 in warp.token_groups(n) {
                for col in half_warps(o.padded) {
                    product(warp, shape, x_tile, (t0, n - t0), forward, col, |t, y| {
                        y_tile.store(t * o.padded + col, y);
                    });
                }
                for col in half_warps(i.padded) {
                    product(warp, shape, dy_tile, (t0, n - t0), backward, col, |t, dx| {
                        dx_tile.store(t * i.padded + col, dx);
                    });
                }
            }
            for row in warp.block_stride(o.padded / HALF_WARP).map(|row| row * HALF_WARP) {
                for col in half_warps(i.padded) {
                    let block = weight_gradient(
                        warp,
                        (dy_tile, o.padded, row),
                        (x_tile, i.padded, col),
                        n,
                        [F32x32::splat(0.0); HALF_WARP / 2],
                    );
                    for (r, rows) in block.into_iter().enumerate() {
                        dw_tile.store_halves((row + 2 * r) * i.padded + col, i.padded, rows);
                    }
                }
            }
        });
        let expected = by_row(&x, input, |tape, x| model::linear(&matrix(&leaves(tape, &wide(&w)), input), x));
        // A multiply-add for every second input, then the sum of the halves.
        y.assert_close(&format!("{what}: y"), &expected, input as f64 / 2.0 + 1.0);
        let inputs = [
            Input { name: "x", cols: input, values: &x, gradient: dx.rows(&what, n) },
            Input { name: "w", cols: input, values: &w, gradient: dw.rows(&what, output) },
        ];
        // For `dx` as above, over the outputs; for `dw` a multiply-add for every position.
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
