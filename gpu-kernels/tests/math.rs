//! The functions `exp` and `ln` against double precision.
#![allow(missing_docs)]
#![expect(clippy::float_cmp, reason = "results at the ends of the range are exact")]

use gpu_kernels::math::{EXP_MIN, exp, ln};
use simt::F32x16;

/// Applies `f` to a vector that holds `x` in every channel.
fn apply(f: impl Fn(F32x16) -> F32x16, x: f32) -> f32 {
    f(F32x16::splat(x)).last()
}

/// Returns the error of `got` in ulps of `exact`.
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

/// Returns the largest error in ulps over every `step`-th bit pattern in `domain`.
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

// The docs of `exp` and `ln` state these bounds. The exhaustive tests below verify them.
const EXP_ULPS: f64 = 1.0001;
const LN_ULPS: f64 = 0.996;

#[test]
fn exp_keeps_its_bound_over_a_sample_of_inputs() {
    assert!(exp_error(4093) <= EXP_ULPS);
}

#[test]
fn ln_keeps_its_bound_over_a_sample_of_inputs() {
    assert!(ln_error(4093) <= LN_ULPS);
}

#[test]
#[ignore = "takes minutes, because it tries every f32"]
fn exp_keeps_its_bound_over_all_inputs() {
    assert!(exp_error(1) <= EXP_ULPS);
}

#[test]
#[ignore = "takes minutes, because it tries every f32"]
fn ln_keeps_its_bound_over_all_inputs() {
    assert!(ln_error(1) <= LN_ULPS);
}

#[test]
fn exp_is_exact_at_the_ends_of_its_range() {
    assert_eq!(apply(exp, 0.0), 1.0);
    assert_eq!(apply(exp, -1000.0), apply(exp, EXP_MIN));
    assert_eq!(apply(exp, f32::NEG_INFINITY), apply(exp, EXP_MIN));
    assert_eq!(apply(exp, 89.0), f32::INFINITY);
    assert_eq!(apply(exp, f32::INFINITY), f32::INFINITY);
    assert!(apply(exp, f32::NAN).is_nan());
    // A NaN may have any sign and payload. A GPU's NaN is 0x7fffffff.
    assert!(apply(exp, f32::from_bits(0x7fff_ffff)).is_nan());
    assert!(apply(exp, f32::from_bits(0xffc0_0001)).is_nan());
}

#[test]
fn ln_is_exact_at_the_ends_of_its_range() {
    assert_eq!(apply(ln, 1.0), 0.0);
    assert_eq!(apply(ln, 0.0), f32::NEG_INFINITY);
    assert_eq!(apply(ln, -0.0), f32::NEG_INFINITY);
    assert_eq!(apply(ln, f32::INFINITY), f32::INFINITY);
    assert!(apply(ln, -1.0).is_nan());
    assert!(apply(ln, f32::NEG_INFINITY).is_nan());
    assert!(apply(ln, f32::NAN).is_nan());
}
