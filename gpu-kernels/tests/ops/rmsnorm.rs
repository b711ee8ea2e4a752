//! `rmsnorm`.

use gpu_kernels::ops::rmsnorm::{backward, forward};
use gpu_kernels::shape::{RuntimeShape, Shape};
use reference::model::rmsnorm;

use crate::support::{
    Channels, Input, ROUNDING, Tensor, assert_gradients, by_row, cases, launch, narrow, numbers, scalars, tile,
    weighted, wide,
};
use crate::tensors::{assert_close, norm};

/// Rows of several sizes: in the small ones the 1e-5 that is added to the mean square counts for a thousandth.
fn input(n: usize, c: usize) -> Vec<f32> {
    let size = |t: usize| [1.0, 0.1, 9.0][t % 3];
    numbers(1, n * c).iter().enumerate().map(|(i, x)| x * size(i / c)).collect()
}

/// `1 / sqrt(mean(x^2) + 1e-5)` of each row.
pub fn inverse_rms(x: &[f64], c: usize) -> Vec<f64> {
    let mean_square = |row: &[f64]| row.iter().map(|x| x * x).sum::<f64>() / c as f64;
    x.chunks(c).map(|row| 1.0 / (mean_square(row) + 1e-5).sqrt()).collect()
}

#[test]
fn forward_agrees_with_the_reference() {
    for (s, n) in cases() {
        let (t, c) = (s.block_size_padded(), Channels::plain(s.n_embd()));
        let x = input(n, c.count);
        let mut input = Tensor::new(t, c, &x, f32::NAN);
        let (mut y, mut r) = (Tensor::unwritten(t, c), scalars(t, &[]));
        let (tx, ty, tr) = (input.view(), y.view(), view(&mut r));
        launch(|warp| warp.token_groups(n).for_each(|t0| forward(s, tx, (ty, tr), t0)));
        let what = format!("{s:?}, n = {n}");
        // The root halves the errors of the sum: up to C / 16 squares in order, four steps of the butterfly, the mean, the
        // addition. Then the root, its inverse, the product and the sum's own rounding.
        let roundings = 0.5 * (c.count as f64 / 16.0 + 6.0) + 4.0;
        y.assert_close(&format!("{what}: y"), &by_row(&x, c.count, |_, x| rmsnorm(x)), roundings);
        let expected = inverse_rms(&wide(&x), c.count);
        assert_close(format!("{what}: r"), 1, &r[..n], &expected, roundings * ROUNDING * norm(&expected));
    }
}

#[test]
fn a_row_whose_squares_overflow_becomes_no_number() {
    let (s, n) = cases().next().expect("a case");
    let (t, c) = (s.block_size_padded(), Channels::plain(s.n_embd()));
    let mut input = Tensor::new(t, c, &vec![1e30; n * c.count], 0.0);
    let (mut y, mut r) = (Tensor::unwritten(t, c), scalars(t, &[]));
    let (tx, ty, tr) = (input.view(), y.view(), view(&mut r));
    launch(|warp| warp.token_groups(n).for_each(|t0| forward(s, tx, (ty, tr), t0)));
    assert!(r[..n].iter().all(|r| r.is_nan()), "zeros would look like a model that has learnt nothing: {r:?}");
}

/// The gradient through the norm, and around it where there is a path `skip`.
fn check_backward(s: RuntimeShape, n: usize, skip: Option<&[f32]>) {
    let (t, c) = (s.block_size_padded(), Channels::plain(s.n_embd()));
    let (x, dy) = (input(n, c.count), numbers(2, n * c.count));
    let mut y = Tensor::new(t, c, &narrow(&by_row(&x, c.count, |_, x| rmsnorm(x))), f32::NAN);
    let mut r = scalars(t, &narrow(&inverse_rms(&wide(&x), c.count)));
    let mut dx = Tensor::new(t, c, &dy, f32::NAN);
    let mut skip_rows = Tensor::new(t, c, skip.unwrap_or_default(), f32::NAN);
    let (ty, tr, tdx, tskip) = (y.view(), view(&mut r), dx.view(), skip.map(|_| skip_rows.view()));
    launch(|warp| warp.token_groups(n).for_each(|t0| backward(warp, s, (ty, tr), tskip, tdx, t0)));
    let what = format!("{s:?}, n = {n}, skip: {}", skip.is_some());
    let input = Input { name: "x", cols: c.count, values: &x, gradient: dx.rows(&what, n) };
    // `y` and `r` come rounded; products in order, the butterfly, the mean, its product with `y`, that with `r`.
    assert_gradients(&what, &[input], c.count as f64 / 16.0 + 9.0, |tape, inputs| {
        let y: Vec<_> = inputs[0].chunks(c.count).flat_map(rmsnorm).collect();
        let loss = weighted(tape, &y, &dy);
        skip.map_or(loss, |skip| loss + weighted(tape, &inputs[0], skip))
    });
}

#[test]
fn backward_agrees_with_the_reference() {
    for (s, n) in cases() {
        check_backward(s, n, None);
        check_backward(s, n, Some(&numbers(3, n * s.n_embd())));
    }
}
