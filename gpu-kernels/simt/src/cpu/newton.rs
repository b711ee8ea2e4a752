//! A square root by Newton's method, for processors that estimate inverse square roots.

use super::channels::F32x16;

/// Returns the square root, correctly rounded, of values that are far from the ends of the exponent's range.
///
/// `estimate` approximates `1 / sqrt(x)` to 14 bits. One Newton step refines root and inverse root, then the root is
/// corrected by its exact residual (Markstein's scheme). The test `sqrt_from_estimate_rounds_correctly` proves the
/// rounding for every significand and every estimate within the bound.
#[inline(always)]
pub fn sqrt_from_estimate(x: F32x16, estimate: F32x16) -> F32x16 {
    let (root, half) = (x * estimate, estimate * F32x16::splat(0.5));
    let error = (-half).mul_add(root, F32x16::splat(0.5));
    let (root, half) = (root.mul_add(error, root), half.mul_add(error, half));
    let residual = (-root).mul_add(root, x);
    residual.mul_add(half, root)
}
