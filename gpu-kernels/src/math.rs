//! `exp`, `ln` and a square root from IEEE operations alone, so that every machine computes the same bits.

use crate::simt::{F32x16, U32x16};

/// Arguments of [`exp`] below this are taken as this: its result, 4e-18, vanishes in a sum that holds a 1, and what
/// follows from it stays far from the denormal numbers, which are slow on many processors.
pub const EXP_MIN: f32 = -40.0;

/// Arguments of [`exp`] from 127.5 ln 2 on give infinity.
const EXP_MAX: f32 = 88.5;

/// Adding and subtracting 1.5 * 2^23 rounds a float to a whole number, which then stands in its lowest bits.
const ROUND: f32 = 12_582_912.0;

/// ln 2 rounded to nine bits, so that its products with whole numbers up to 2^15 are exact, and the rest.
const LN_2_HIGH: f32 = 0.691_406_25;
const LN_2_LOW: f32 = 0.001_740_930_6;

/// `e^x` for `x >= -40`, and `e^-40` below; infinity from 88.376 on; a NaN stays a NaN.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`; a polynomial of degree 6 gives `e^r`, the exponent bits `2^n`.
///
/// The worst error over all `f32` inputs from -40 to 88.376 is 1.00 ulp (test `exp_over_all_inputs`).
#[inline(always)]
pub fn exp(x: F32x16) -> F32x16 {
    let splat = F32x16::splat;
    // In this order, since `max` and `min` return their argument when `x` is not a number.
    let x = splat(EXP_MAX).min(splat(EXP_MIN).max(x));
    let rounded = x.mul_add(splat(core::f32::consts::LOG2_E), splat(ROUND));
    let n = rounded - splat(ROUND);
    let r = n.mul_add(splat(-LN_2_HIGH), x);
    let r = n.mul_add(splat(-LN_2_LOW), r);
    let p = splat(0.001_381_454);
    let p = p.mul_add(r, splat(0.008_368_745));
    let p = p.mul_add(r, splat(0.041_668_39));
    let p = p.mul_add(r, splat(0.166_665_21));
    let p = p.mul_add(r, splat(0.499_999_94));
    let p = p.mul_add(r, splat(1.0));
    let p = p.mul_add(r, splat(1.0));
    let two_to_n = rounded.to_bits().shl::<23>().wrapping_add(U32x16::splat(1.0f32.to_bits()));
    p * F32x16::from_bits(two_to_n)
}

/// The natural logarithm: minus infinity at zero, NaN below, infinity at infinity; a NaN stays a NaN.
///
/// `x = 2^k (1 + f)` with `1 + f` between the roots of 1/2 and 2; a polynomial gives `ln(1 + f) - f + f^2 / 2`.
///
/// The worst error over all `f32` inputs is 1.00 ulp (test `ln_over_all_inputs`).
#[inline(always)]
pub fn ln(x: F32x16) -> F32x16 {
    let splat = F32x16::splat;
    let root_half = U32x16::splat(core::f32::consts::FRAC_1_SQRT_2.to_bits());
    // A denormal is scaled into the normal numbers first.
    let denormal = x.lt(splat(f32::MIN_POSITIVE));
    let scaled = denormal.select(x * splat(8_388_608.0), x);
    let bits = scaled.to_bits().wrapping_sub(root_half);
    let k = bits.sar::<23>().signed_to_f32() - denormal.select(splat(23.0), splat(0.0));
    let f = F32x16::from_bits(bits.and(U32x16::splat(0x007f_ffff)).wrapping_add(root_half)) - splat(1.0);
    let p = splat(0.067_466_44);
    let p = p.mul_add(f, splat(-0.116_756_56));
    let p = p.mul_add(f, splat(0.118_881_63));
    let p = p.mul_add(f, splat(-0.124_055_885));
    let p = p.mul_add(f, splat(0.142_195_52));
    let p = p.mul_add(f, splat(-0.166_679_96));
    let p = p.mul_add(f, splat(0.200_021_19));
    let p = p.mul_add(f, splat(-0.250_000_1));
    let p = p.mul_add(f, splat(0.333_333_13));
    let square = f * f;
    let rest = (p * f).mul_add(square, square * splat(-0.5));
    let rest = k.mul_add(splat(LN_2_LOW), rest);
    let result = k.mul_add(splat(LN_2_HIGH), f + rest);
    let result = x.equals(splat(0.0)).select(splat(f32::NEG_INFINITY), result);
    let result = x.lt(splat(0.0)).select(splat(f32::NAN), result);
    // False for infinity and for a NaN, which are their own logarithms.
    x.lt(splat(f32::INFINITY)).select(result, x)
}

/// The square root for [`crate::simt::Warp::sqrt`] where an estimate of the inverse root is at hand: correctly rounded for numbers
/// that are far from the ends of the exponent's range.
///
/// `estimate` approximates `1 / sqrt(x)` to 14 bits. One Newton step on root and inverse root, then a correction of the
/// root by its exact residual (Markstein's scheme). The test `sqrt_from_estimate_rounds_correctly` proves the rounding for
/// every significand and every estimate within the bound.
#[inline(always)]
pub fn sqrt_from_estimate(x: F32x16, estimate: F32x16) -> F32x16 {
    let (root, half) = (x * estimate, estimate * F32x16::splat(0.5));
    let error = (-half).mul_add(root, F32x16::splat(0.5));
    let (root, half) = (root.mul_add(error, root), half.mul_add(error, half));
    let residual = (-root).mul_add(root, x);
    residual.mul_add(half, root)
}
