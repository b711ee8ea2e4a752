//! The op `rmsnorm` against the reference.

use gpu_kernels::ops::rmsnorm::{self, RmsNorm, RmsNormBackward};
use gpu_kernels::shape::{RuntimeShape, Shape};
use reference::model;

use crate::support::{
    Channels, Input, Padded, ROUNDING, assert_gradients, by_row, cases, launch_tokens, scalars, to_f32, to_f64, values,
    view, weighted,
};
use crate::tensors::{assert_close, norm};

/// Returns rows of several magnitudes. In the smallest rows, the eps of 1e-5 is some thousandths of the mean square.
fn input(n: usize, c: usize) -> Vec<f32> {
    let size = |t: usize| [1.0, 0.1, 9.0][t % 3];
    values(1, n * c).iter().enumerate().map(|(i, x)| x * size(i / c)).collect()
}

/// Returns `1 / sqrt(mean(x^2) + 1e-5)` of each row.
pub fn rstd(x: &[f64], c: usize) -> Vec<f64> {
    let mean_square = |row: &[f64]| row.iter().map(|x| x * x).sum::<f64>() / c as f64;
    x.chunks(c).map(|row| 1.0 / (mean_square(row) + 1e-5).sqrt()).collect()
}

/// Runs the forward pass over the `n` rows of `x`, and returns `y` and `rstd`.
fn forward(s: RuntimeShape, n: usize, x: &[f32], beyond: f32) -> (Padded, Vec<f32>) {
    let (t, c) = (s.block_size_padded(), Channels::plain(s.n_embd()));
    let mut x = Padded::new(t, c, x, beyond);
    let (mut y, mut rstd) = (Padded::unwritten(t, c), scalars(t, &[]));
    let norm = RmsNorm { x: x.view(), y: y.view(), rstd: view(&mut rstd) };
    launch_tokens(n, |warp, tokens| rmsnorm::forward(warp, s, &norm, tokens));
    (y, rstd)
}

#[test]
fn forward_agrees_with_the_reference() {
    for (s, n) in cases() {
        let c = s.n_embd();
        let x = input(n, c);
        let (y, got) = forward(s, n, &x, f32::NAN);
        let what = format!("{s:?}, n = {n}");
        // The root halves the relative error of the sum. The sum takes up to C / 16 squares in order, four additions in
        // the butterfly, the mean, and the addition of eps. The bound then counts the sum's rounding, the root, the
        // inverse and the product.
        let roundings = 0.5 * (c as f64 / 16.0 + 6.0) + 4.0;
        y.assert_close(&format!("{what}: y"), &by_row(&x, c, |_, x| model::rmsnorm(x)), roundings);
        let expected = rstd(&to_f64(&x), c);
        assert_close(format!("{what}: rstd"), 1, &got[..n], &expected, roundings * ROUNDING * norm(&expected));
    }
}

#[test]
fn a_row_whose_squares_overflow_has_a_nan_rstd() {
    let (s, n) = cases().next().expect("a case");
    let (_, rstd) = forward(s, n, &vec![1e30; n * s.n_embd()], 0.0);
    assert!(rstd[..n].iter().all(|r| r.is_nan()), "zeros would hide that the model has diverged: {rstd:?}");
}

/// Asserts that the gradient agrees with the reference. With `skip`, the gradient also takes the residual path.
fn check_backward(s: RuntimeShape, n: usize, skip: Option<&[f32]>) {
    let (t, c) = (s.block_size_padded(), Channels::plain(s.n_embd()));
    let (x, dy) = (input(n, c.count), values(2, n * c.count));
    let mut y = Padded::new(t, c, &to_f32(&by_row(&x, c.count, |_, x| model::rmsnorm(x))), f32::NAN);
    let mut rstd = scalars(t, &to_f32(&rstd(&to_f64(&x), c.count)));
    let mut dx = Padded::new(t, c, &dy, f32::NAN);
    let mut dx_skip = Padded::new(t, c, skip.unwrap_or_default(), f32::NAN);
    let norm =
        RmsNormBackward { y: y.view(), rstd: view(&mut rstd), dx_skip: skip.map(|_| dx_skip.view()), dx: dx.view() };
    launch_tokens(n, |warp, tokens| rmsnorm::backward(warp, s, &norm, tokens));
    let what = format!("{s:?}, n = {n}, skip: {}", skip.is_some());
    let input = Input { name: "x", cols: c.count, values: &x, gradient: dx.rows(&what, n) };
    // The bound counts the rounded inputs `y` and `rstd`, the products in order, the butterfly, the mean, and the
    // products with `y` and `rstd`.
    assert_gradients(&what, &[input], c.count as f64 / 16.0 + 9.0, |tape, inputs| {
        let y: Vec<_> = inputs[0].chunks(c.count).flat_map(model::rmsnorm).collect();
        let loss = weighted(tape, &y, &dy);
        skip.map_or(loss, |skip| loss + weighted(tape, &inputs[0], skip))
    });
}

#[test]
fn backward_agrees_with_the_reference() {
    for (s, n) in cases() {
        check_backward(s, n, None);
        check_backward(s, n, Some(&values(3, n * s.n_embd())));
    }
}
