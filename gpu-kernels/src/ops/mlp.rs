//! The MLP's activation function between its two matrices, `relu(u)^2`.

use simt::F32x16;

/// Returns `h = relu(u)`. NaN stays NaN, as in `if 0 > u { 0 } else { u }`.
pub fn forward(u: F32x16) -> F32x16 {
    F32x16::splat(0.0).max(u)
}

/// Returns the gradient of `u` from the gradient of `h^2`: `du = dh2 2 h`. Where `u` was not positive, `du` is zero.
pub fn backward(dh2: F32x16, h: F32x16) -> F32x16 {
    dh2 * (h + h)
}
