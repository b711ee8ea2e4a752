//! The MLP between its two matrices: `h = relu(fc1 xn)`, squared.

use crate::simt::F32x16;

/// `relu(u)` and its square.
#[inline(always)]
pub fn forward(u: F32x16) -> (F32x16, F32x16) {
    // Of `0 > u ? 0 : u`, so that a NaN passes.
    let h = F32x16::splat(0.0).max(u);
    (h, h * h)
}

/// `du = dh2 2 h`: the gradient by `u`, zero where `u` was not positive.
#[inline(always)]
pub fn backward(dh2: F32x16, h: F32x16) -> F32x16 {
    dh2 * (h + h)
}
