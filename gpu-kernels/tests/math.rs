//! `exp`, `ln` and `sqrt_from_estimate` against double precision.
#![allow(missing_docs)]
#![expect(clippy::float_cmp, reason = "what rounds correctly, and what happens at the ends, is exact")]

use gpu_kernels::math::{EXP_MIN, exp, ln, sqrt_from_estimate};
use gpu_kernels::simt::F32x16;

/// `f` of one number, through a vector.
fn apply(f: impl Fn(F32x16) -> F32x16, x: f32) -> f32 {
    f(F32x16::splat(x)).last()
}

/// The distance from `got` to the exact value in units of the last place of the exact value's `f32`.
fn ulps(got: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    let ulp = if rounded.abs() < f32::MIN_POSITIVE {
        f64::from(f32::from_bits(1))
    } else {
        let bits = rounded.abs().to_bits();
        f64::from(f32::from_bits(bits)) - f64::from(f32::from_bits(bits - 1))
    };
    (f64::from(got) - exact).abs() / ulp
}

/// The worst error over every `step`-th bit pattern for which `domain` holds.
fn worst(step: u32, domain: impl Fn(f32) -> bool, f: impl Fn(F32x16) -> F32x16, exact: impl Fn(f64) -> f64) -> f64 {
    let mut worst = (0.0, 0.0);
    let mut bits = 0u32;
    loop {
        let x = f32::from_bits(bits);
        if domain(x) {
            let error = ulps(apply(&f, x), exact(f64::from(x)));
            if error > worst.0 {
                worst = (error, x);
            }
        }
        match bits.checked_add(step) {
            Some(next) => bits = next,
            None => break,
        }
    }
    println!("worst error {:.4} ulp at {:e}", worst.0, worst.1);
    worst.0
}

fn exp_error(step: u32) -> f64 {
    worst(step, |x| (EXP_MIN..88.37).contains(&x), exp, f64::exp)
}

fn ln_error(step: u32) -> f64 {
    worst(step, |x| x > 0.0 && x.is_finite(), ln, f64::ln)
}

// The bounds are those that the functions' docs state, measured over all inputs by the exhaustive tests below.
const EXP_ULPS: f64 = 1.0001;
const LN_ULPS: f64 = 0.996;

#[test]
fn exp_over_some_inputs() {
    assert!(exp_error(4093) <= EXP_ULPS);
}

#[test]
fn ln_over_some_inputs() {
    assert!(ln_error(4093) <= LN_ULPS);
}

#[test]
#[ignore = "takes minutes: every f32"]
fn exp_over_all_inputs() {
    assert!(exp_error(1) <= EXP_ULPS);
}

#[test]
#[ignore = "takes minutes: every f32"]
fn ln_over_all_inputs() {
    assert!(ln_error(1) <= LN_ULPS);
}

#[test]
fn exp_at_the_ends() {
    assert_eq!(apply(exp, 0.0), 1.0);
    assert_eq!(apply(exp, -1000.0), apply(exp, EXP_MIN));
    assert_eq!(apply(exp, f32::NEG_INFINITY), apply(exp, EXP_MIN));
    assert_eq!(apply(exp, 89.0), f32::INFINITY);
    assert_eq!(apply(exp, f32::INFINITY), f32::INFINITY);
    assert!(apply(exp, f32::NAN).is_nan());
    // A NaN of any sign and payload, such as a GPU's 0x7fffffff.
    assert!(apply(exp, f32::from_bits(0x7fff_ffff)).is_nan());
    assert!(apply(exp, f32::from_bits(0xffc0_0001)).is_nan());
}

#[test]
fn ln_at_the_ends() {
    assert_eq!(apply(ln, 1.0), 0.0);
    assert_eq!(apply(ln, 0.0), f32::NEG_INFINITY);
    assert_eq!(apply(ln, -0.0), f32::NEG_INFINITY);
    assert_eq!(apply(ln, f32::INFINITY), f32::INFINITY);
    assert!(apply(ln, -1.0).is_nan());
    assert!(apply(ln, f32::NEG_INFINITY).is_nan());
    assert!(apply(ln, f32::NAN).is_nan());
}

/// Every significand in `[1, 4)`, and for each all that an estimate within 2^-14 can lead to.
///
/// Scaling `x` by a power of 4 scales every intermediate by a power of 2, so that this covers all exponents that are far
/// from the ends of the range.
///
/// With an estimate `(1 + b) / sqrt(x)`, `|b| <= 2^-14`, the first root is `sqrt(x) (1 + a)`, where `a - b` is a rounding
/// error of at most 2^-24. The Newton step leaves `(a - b) / 2 - 1.5 b^2` of the root and `(b - a) / 2 - 1.5 b^2` of half
/// the inverse root, less than 1.25 * 2^-25 either way, before they are rounded. Where every pair of floats in that reach
/// leads to the right result, nothing is left to show; where one does not, every estimate is tried.
#[test]
fn sqrt_from_estimate_rounds_correctly() {
    let reach = |exact: f64| {
        let error = 1.25 / 33_554_432.0;
        let (low, high) = ((exact * (1.0 - error)) as f32, (exact * (1.0 + error)) as f32);
        (low.to_bits()..=high.to_bits()).map(f32::from_bits)
    };
    let mut hard = 0;
    for bits in 1.0f32.to_bits()..4.0f32.to_bits() {
        let x = f32::from_bits(bits);
        let (expected, exact) = (x.sqrt(), f64::from(x).sqrt());
        let last_step = |root: f32, half: f32| (-root).mul_add(root, x).mul_add(half, root);
        if reach(exact).all(|root| reach(0.5 / exact).all(|half| last_step(root, half) == expected)) {
            continue;
        }
        hard += 1;
        let estimates = [1.0 - 1.0 / 16_384.0, 1.0 + 1.0 / 16_384.0].map(|error| (error / exact) as f32);
        for estimate in (estimates[0].to_bits()..=estimates[1].to_bits()).map(f32::from_bits) {
            let got = sqrt_from_estimate(F32x16::splat(x), F32x16::splat(estimate)).last();
            assert_eq!(got, expected, "sqrt({x:e}) from the estimate {estimate:e}");
        }
    }
    println!("{hard} numbers needed every estimate");
}
