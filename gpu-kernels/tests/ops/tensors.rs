//! How tests of the kernels compare tensors.

use std::fmt::Display;

/// The Euclidean norm.
pub fn norm(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Fails with tensor, index, expected, got and bound where `got: [rows, cols]` is not within `bound` of `expected`.
#[track_caller]
pub fn assert_close(tensor: impl Display, cols: usize, got: &[f32], expected: &[f64], bound: f64) {
    assert_eq!(got.len(), expected.len(), "{tensor}: length");
    for (i, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(got) - expected).abs();
        assert!(
            error <= bound,
            "{tensor}[{}, {}]: expected {expected:e}, got {got:e}, off by {error:e}, bound {bound:e}",
            i / cols,
            i % cols,
        );
    }
}
