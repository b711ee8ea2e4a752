//! `exp` and `ln` from IEEE operations alone, so that every device computes the same bits.

#[cfg(not(target_arch = "nvptx64"))]
use crate::cpu as backend;
#[cfg(target_arch = "nvptx64")]
use crate::gpu as backend;
use backend::{F32x16, U32x16};

/// The smallest argument of [`exp`]. Smaller arguments are clamped to this value. The exponential, 4e-18, vanishes in a
/// sum with 1, and products with the exponential stay far from denormals. Denormals are slow on many processors.
pub const EXP_MIN: f32 = -40.0;

/// The largest argument of [`exp`]. Arguments from 127.5 ln 2 on give infinity.
const EXP_MAX: f32 = 88.5;

/// The value 1.5 * 2^23. Adding it rounds a value to an integer and leaves the integer in the lowest bits.
const ROUND: f32 = 12_582_912.0;

/// ln 2 rounded to nine bits, so that its products with integers up to 2^15 are exact.
const LN_2_HIGH: f32 = 0.691_406_25;
/// The rest of ln 2.
const LN_2_LOW: f32 = 0.001_740_930_6;

/// Returns `e^x`. The result is `e^-40` below -40, infinity from 88.376 on, and NaN for NaN.
///
/// With `x = n ln 2 + r` and `|r| <= ln 2 / 2`, a polynomial of degree 6 gives `e^r`, and the exponent bits give `2^n`.
///
/// The largest error over all `f32` inputs from -40 to 88.37 is 1.00 ulp (test `exp_keeps_its_bound_over_all_inputs`).
#[inline(always)]
pub fn exp(x: F32x16) -> F32x16 {
    // The order of the operands matters, because `min` returns its argument if either operand is NaN.
    exp_up_to_88(F32x16::splat(EXP_MAX).min(x))
}

/// Returns [`exp`] of values up to 88, or NaN. The values of a softmax are at most 0.
#[inline(always)]
pub fn exp_up_to_88(x: F32x16) -> F32x16 {
    let splat = F32x16::splat;
    // The order matters as in `exp`.
    let x = splat(EXP_MIN).max(x);
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

/// Returns the natural logarithm. The result is minus infinity at zero, infinity at infinity, and NaN for NaN and below zero.
///
/// With `x = 2^k (1 + f)` and `1 + f` between the roots of 1/2 and 2, a polynomial gives `ln(1 + f) - f + f^2 / 2`.
///
/// The largest error over all `f32` inputs is 1.00 ulp (test `ln_keeps_its_bound_over_all_inputs`).
#[inline(always)]
pub fn ln(x: F32x16) -> F32x16 {
    let splat = F32x16::splat;
    let root_half = U32x16::splat(core::f32::consts::FRAC_1_SQRT_2.to_bits());
    // The exponent bits of a denormal are zero, so a denormal is scaled to a normal value.
    let denormal = x.lt(splat(f32::MIN_POSITIVE));
    let scaled = denormal.select(x * splat(8_388_608.0), x);
    let bits = scaled.to_bits().wrapping_sub(root_half);
    let k = bits.shr_arithmetic::<23>().signed_to_f32() - denormal.select(splat(23.0), splat(0.0));
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
    let result = x.eq(splat(0.0)).select(splat(f32::NEG_INFINITY), result);
    let result = x.lt(splat(0.0)).select(splat(f32::NAN), result);
    // The comparison is false for infinity and NaN, which are their own logarithms.
    x.lt(splat(f32::INFINITY)).select(result, x)
}
