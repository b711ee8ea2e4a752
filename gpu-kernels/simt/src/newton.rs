//! Roots and quotients by Newton's method, for processors that estimate inverses. The tests in `tests/newton.rs` prove the
//! rounding for every significand and every estimate within the bounds.

#[cfg(not(target_arch = "nvptx64"))]
use crate::cpu as backend;
#[cfg(target_arch = "nvptx64")]
use crate::gpu as backend;
use backend::{F32x16, F32x32};

/// Returns the square root, correctly rounded, of values that are far from the ends of the exponent's range.
///
/// `estimate` approximates `1 / sqrt(x)` to 14 bits. One Newton step refines root and inverse root, then the root is
/// corrected by its exact residual (Markstein's scheme).
#[inline(always)]
pub fn sqrt_from_estimate(x: F32x16, estimate: F32x16) -> F32x16 {
    let (root, half) = (x * estimate, estimate * F32x16::splat(0.5));
    let error = (-half).mul_add(root, F32x16::splat(0.5));
    let (root, half) = (root.mul_add(error, root), half.mul_add(error, half));
    let residual = (-root).mul_add(root, x);
    residual.mul_add(half, root)
}

/// Returns the quotient `a / b`, correctly rounded, if neither it nor `b` is near the upper end of the exponent's range, `b` is
/// at least 2^-100, and `a` is 0 or at least 2^-100 in magnitude. A zero may have the other sign. A denormal quotient that is
/// exactly halfway between two floats may be rounded to either.
///
/// `estimate` differs from `1 / b` by at most the distance of two neighbouring floats. One Newton step rounds it
/// correctly, and the quotient is corrected by its exact residual (Markstein's scheme). The exception is a power of two
/// divided by a `b` whose significand is all ones, if the estimate is a power of two as well.
#[inline(always)]
pub fn quotient_from_estimate(a: F32x32, b: F32x32, estimate: F32x32) -> F32x32 {
    let error = (-b).mul_add(estimate, F32x32::splat(1.0));
    let inverse = error.mul_add(estimate, estimate);
    let quotient = a * inverse;
    let residual = (-b).mul_add(quotient, a);
    residual.mul_add(inverse, quotient)
}
