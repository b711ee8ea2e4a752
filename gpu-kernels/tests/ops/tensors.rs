//! The comparison of tensors, which `host`'s tests share.

use std::fmt::Display;

/// Returns the Euclidean norm.
pub fn norm(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Asserts that every element of `got: [rows, cols]` is within `bound` of `expected`.
///
/// # Panics
/// If an element differs by more than `bound`. The message names the tensor, the indices, both values and the bound.
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
