//! The function `sqrt_from_estimate` against the correctly rounded square root.
#![allow(missing_docs)]
#![expect(clippy::float_cmp, reason = "a correctly rounded result has one value")]

use simt::{F32x16, sqrt_from_estimate};

/// Tests every significand in `[1, 4)`, and for each all results that an estimate within 2^-14 can lead to.
///
/// Scaling `x` by a power of 4 scales every intermediate by a power of 2. So the test covers all exponents that are far
/// from the ends of the range.
///
/// With an estimate `(1 + b) / sqrt(x)`, `|b| <= 2^-14`, the first root is `sqrt(x) (1 + a)`, where `a - b` is a
/// rounding error of at most 2^-24. After the Newton step, before rounding, the relative error of the root is
/// `(a - b) / 2 - 1.5 b^2`, and that of half the inverse root is `(b - a) / 2 - 1.5 b^2`. Both errors are less than
/// `1.25 * 2^-25`. If every pair of floats within these errors leads to the right result, the significand is done.
/// Otherwise every estimate is tried.
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
    println!("every estimate was tried for {hard} significands");
}
