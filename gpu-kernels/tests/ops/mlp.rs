//! The op `mlp`, which is the activation function between the two matrices, against the reference.

use gpu_kernels::ops::mlp::{backward, forward};
use gpu_kernels::shape::{TOKEN_GROUP, TOKENS};
use reference::model::{Vector, mlp};
use reference::value::{Tape, Value};
use simt::{F32x16, half_warps, round_up};

use crate::support::{
    Channels, Input, Padded, assert_gradients, by_row, launch_tokens, leaves, matrix, values, weighted,
};
use crate::tensors::assert_close;

/// The cases `(hidden, n)`, the numbers of hidden channels and of positions.
const CASES: &[(usize, usize)] = if cfg!(miri) { &[(5, 2)] } else { &[(16, 8), (21, 5), (36, 1)] };

/// Returns `relu(u)^2`, the reference's MLP with identity matrices.
fn relu_squared<'t>(tape: &'t Tape, u: &[Value<'t>]) -> Vector<'t> {
    let identity: Vec<f64> = (0..u.len().pow(2)).map(|i| if i % (u.len() + 1) == 0 { 1.0 } else { 0.0 }).collect();
    let identity = matrix(&leaves(tape, &identity), u.len());
    mlp(&identity, &identity, u)
}

#[test]
fn forward_and_backward_agree_with_the_reference() {
    for (hidden, n) in CASES.iter().copied() {
        let what = format!("hidden {hidden}, n = {n}");
        let (t, f) = (round_up(n, TOKEN_GROUP), Channels::plain(hidden));
        let (u, dh2) = (values(1, n * hidden), values(2, n * hidden));
        let mut input = Padded::new(t, f, &u, f32::NAN);
        let mut dh = Padded::new(t, f, &dh2, f32::NAN);
        let (mut h, mut h2, mut du) = (Padded::unwritten(t, f), Padded::unwritten(t, f), Padded::unwritten(t, f));
        let (u_view, dh_view, h_view, h2_view, du_view) = (input.view(), dh.view(), h.view(), h2.view(), du.view());
        launch_tokens(n, |_, tokens| {
            for i in half_warps(f.padded) {
                for at in (0..TOKENS).map(|t| (tokens.first + t) * f.padded + i) {
                    let positive = forward(u_view.load(at));
                    h_view.store(at, positive);
                    h2_view.store(at, positive * positive);
                    du_view.store(at, backward(dh_view.load(at), positive));
                }
            }
        });
        h.assert_close(&format!("{what}: h"), &by_row(&u, hidden, |_, u| u.iter().map(|u| u.relu()).collect()), 0.0);
        h2.assert_close(&format!("{what}: h2"), &by_row(&u, hidden, relu_squared), 1.0);
        let input = Input { name: "u", cols: hidden, values: &u, gradient: du.rows(&what, n) };
        // Doubling `h` is exact. The product with `dh2` is the one rounding.
        assert_gradients(&what, &[input], 1.0, |tape, inputs| {
            let y: Vec<_> = inputs[0].chunks(hidden).flat_map(|u| relu_squared(tape, u)).collect();
            weighted(tape, &y, &dh2)
        });
    }
}

#[test]
fn zero_has_a_zero_gradient_and_nan_stays_nan() {
    for zero in [0.0, -0.0] {
        let h = forward(F32x16::splat(zero));
        let got = [h.last(), (h * h).last(), backward(F32x16::splat(1.0), h).last()];
        assert_close("h, h2, du", 1, &got, &[0.0; 3], 0.0);
    }
    let h = forward(F32x16::splat(f32::NAN));
    assert!(h.last().is_nan() && (h * h).last().is_nan());
}
