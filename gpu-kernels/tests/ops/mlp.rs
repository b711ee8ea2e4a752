//! `mlp`: what stands between its two matrices.

use gpu_kernels::ops::mlp::{backward, forward};
use gpu_kernels::ops::tiles;
use gpu_kernels::shape::{TOKEN_GROUP, round_up};
use reference::model::{Vector, mlp};
use reference::value::{Tape, Value};
use simt::{F32x16, TOKENS};

use crate::support::{Channels, Input, Tensor, assert_gradients, by_row, launch, leaves, matrix, numbers, weighted};
use crate::tensors::assert_close;

/// Hidden channels and positions.
const CASES: [(usize, usize); 3] = [(16, 8), (21, 5), (36, 1)];

/// The reference's MLP with matrices that change nothing: `relu(u)^2`.
fn between<'t>(tape: &'t Tape, u: &[Value<'t>]) -> Vector<'t> {
    let identity: Vec<f64> = (0..u.len().pow(2)).map(|i| if i % (u.len() + 1) == 0 { 1.0 } else { 0.0 }).collect();
    let identity = matrix(&leaves(tape, &identity), u.len());
    mlp(&identity, &identity, u)
}

#[test]
fn forward_and_backward_agree_with_the_reference() {
    for (hidden, n) in CASES {
        let what = format!("hidden {hidden}, n = {n}");
        let (t, f) = (round_up(n, TOKEN_GROUP), Channels::plain(hidden));
        let (u, dh2) = (numbers(1, n * hidden), numbers(2, n * hidden));
        let mut input = Tensor::new(t, f, &u, f32::NAN);
        let mut dh = Tensor::new(t, f, &dh2, f32::NAN);
        let (mut h, mut h2, mut du) = (Tensor::unwritten(t, f), Tensor::unwritten(t, f), Tensor::unwritten(t, f));
        let (tu, tdh, th, th2, tdu) = (input.view(), dh.view(), h.view(), h2.view(), du.view());
        launch(|warp| {
            for t0 in warp.token_groups(n) {
                for i in half_warps(f.padded) {
                    for at in (0..TOKENS).map(|t| (t0 + t) * f.padded + i) {
                        let (positive, square) = forward(tu.row(at));
                        th.store(at, positive);
                        th2.store(at, square);
                        tdu.store(at, backward(tdh.row(at), positive));
                    }
                }
            }
        });
        h.assert_close(&format!("{what}: h"), &by_row(&u, hidden, |_, u| u.iter().map(|u| u.relu()).collect()), 0.0);
        h2.assert_close(&format!("{what}: h2"), &by_row(&u, hidden, between), 1.0);
        let input = Input { name: "u", cols: hidden, values: &u, gradient: du.rows(&what, n) };
        // The doubling is exact.
        assert_gradients(&what, &[input], 1.0, |tape, inputs| {
            let y: Vec<_> = inputs[0].chunks(hidden).flat_map(|u| between(tape, u)).collect();
            weighted(tape, &y, &dh2)
        });
    }
}

#[test]
fn zero_has_no_gradient_and_what_is_no_number_passes() {
    for zero in [0.0, -0.0] {
        let (h, h2) = forward(F32x16::splat(zero));
        let got = [h.last(), h2.last(), backward(F32x16::splat(1.0), h).last()];
        assert_close("h, h2, du", 1, &got, &[0.0; 3], 0.0);
    }
    let (h, h2) = forward(F32x16::splat(f32::NAN));
    assert!(h.last().is_nan() && h2.last().is_nan());
}
