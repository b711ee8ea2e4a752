//! The reference against values computed by hand and against central differences.
#![expect(clippy::float_cmp, reason = "values that are exact by hand must come out exactly")]

mod by_hand;
mod differences;
mod sampling;

use std::fmt::Display;

use reference::model::{Shape, Vector};
use reference::value::{Tape, Value};

#[track_caller]
fn assert_close(what: impl Display, index: usize, expected: f64, got: f64, bound: f64) {
    let error = (got - expected).abs();
    assert!(error <= bound, "{what}[{index}]: expected {expected:e}, got {got:e}, off by {error:e}, bound {bound:e}");
}

#[track_caller]
fn assert_all_close(what: &str, expected: &[f64], got: &[f64]) {
    assert_eq!(expected.len(), got.len(), "{what}: length");
    for (i, (&expected, &got)) in expected.iter().zip(got).enumerate() {
        assert_close(what, i, expected, got, 1e-14 * (1.0 + expected.abs()));
    }
}

fn leaves<'t>(tape: &'t Tape, values: &[f64]) -> Vector<'t> {
    values.iter().map(|&x| tape.leaf(x)).collect()
}

fn data(values: &[Value]) -> Vec<f64> {
    values.iter().map(|value| value.data()).collect()
}

fn grads(values: &[Value]) -> Vec<f64> {
    values.iter().map(|value| value.grad()).collect()
}

fn shape(vocab: usize, block_size: usize, n_embd: usize, n_head: usize, n_layer: usize) -> Shape {
    Shape { vocab, block_size, n_embd, n_head, n_layer }
}

/// Returns multiples of 1/256 up to 1/2 in magnitude. Every tensor has nonzero values.
fn weights(shape: Shape) -> Vec<f64> {
    let value = |i: i64| ((7 * i * i + 37 * i + 11) % 257 - 128) as f64 / 256.0;
    (0..shape.num_params() as i64).map(value).collect()
}
