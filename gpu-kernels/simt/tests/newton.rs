//! The roots and quotients by Newton's method against correctly rounded ones.
#![allow(missing_docs)]
#![expect(clippy::float_cmp, reason = "a correctly rounded result has one value")]

use simt::{F32x16, HALF_WARP, View, WARP, quotient_from_estimate, sqrt_from_estimate};

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

/// The number of significands of a float, and the least of them as integers of 24 bits.
const SIGNIFICANDS: u64 = 1 << 23;

/// Returns the float with this significand, between 1 and 2.
fn float(significand: u64) -> f32 {
    significand as f32 / SIGNIFICANDS as f32
}

/// Returns the quotient of two significands, rounded to nearest by exact arithmetic. No quotient is a tie.
fn exact_quotient(a: u64, b: u64) -> f32 {
    let scale = if a < b { 24 } else { 23 };
    let (quotient, rest) = ((a << scale) / b, (a << scale) % b);
    ((quotient + u64::from(2 * rest > b)) as f64 / f64::from(1u32 << scale)) as f32
}

/// Returns the floats that differ from `1 / b` by at most the distance of two neighbouring floats, for a `b` from 1 to 2.
fn estimates(b: f32) -> impl Iterator<Item = f32> {
    let (exact, distance) =
        (1.0 / f64::from(b), if b == 1.0 { f64::from(f32::EPSILON) } else { 0.5 * f64::from(f32::EPSILON) });
    let (first, last) = ((exact - distance) as f32, (exact + distance) as f32);
    (first.to_bits()..=last.to_bits()).map(f32::from_bits).filter(move |y| (f64::from(*y) - exact).abs() <= distance)
}

/// Divisions that are computed 32 at a time.
#[derive(Default)]
struct Divisions {
    waiting: Vec<(f32, f32, f32, f32)>,
    count: u64,
}

impl Divisions {
    /// Adds `a / b` by this estimate of `1 / b`, with the expected quotient.
    fn push(&mut self, a: f32, b: f32, estimate: f32, expected: f32) {
        self.waiting.push((a, b, estimate, expected));
        if self.waiting.len() == WARP {
            self.check();
        }
    }

    /// Computes the divisions that wait, and compares the quotients.
    fn check(&mut self) {
        let lanes = |f: fn(&(f32, f32, f32, f32)) -> f32| {
            let mut values = [1.0; WARP];
            values.iter_mut().zip(&self.waiting).for_each(|(value, division)| *value = f(division));
            // SAFETY: the view is dropped before the array.
            unsafe { View::new(values.as_mut_ptr(), WARP) }.load_halves(0, HALF_WARP)
        };
        let quotients = quotient_from_estimate(lanes(|x| x.0), lanes(|x| x.1), lanes(|x| x.2));
        for (lane, (a, b, estimate, expected)) in self.waiting.drain(..).enumerate() {
            let got = quotients.lane(lane);
            assert_eq!(got, expected, "{a:e} / {b:e} from the estimate {estimate:e}");
            self.count += 1;
        }
    }
}

/// The divisor whose significand is all ones.
const ALL_ONES: u64 = 2 * SIGNIFICANDS - 1;

/// Returns whether this is the exception that [`quotient_from_estimate`] names.
fn is_exception(a: u64, b: u64, estimate: f32) -> bool {
    a == SIGNIFICANDS && b == ALL_ONES && estimate == 0.5
}

/// Tests the reciprocal of every significand, for every estimate within the bound, after the Newton step and at the end.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn the_reciprocal_of_every_significand_rounds_correctly() {
    let mut divisions = Divisions::default();
    for b in SIGNIFICANDS..2 * SIGNIFICANDS {
        let (expected, float_b) = (exact_quotient(SIGNIFICANDS, b), float(b));
        for estimate in estimates(float_b).filter(|estimate| !is_exception(SIGNIFICANDS, b, *estimate)) {
            let newton = (-float_b).mul_add(estimate, 1.0).mul_add(estimate, estimate);
            assert_eq!(newton, expected, "1 / {float_b:e} from the estimate {estimate:e} by a Newton step");
            divisions.push(1.0, float_b, estimate, expected);
        }
    }
    divisions.check();
    println!("{} reciprocals", divisions.count);
}

/// Tests every quotient of two significands that rounding errors could move to the wrong side of a tie, for every estimate
/// within the bound. A power of two changes no significand.
///
/// With 24 bits of `a` and `b` as integers, `a 2^s / b` differs from a tie `m / 2` (`m` odd) by `k / (2 b)` of the last bit for
/// an integer `k = a 2^(s + 1) - m b` other than 0, where `s` is 24 for `a < b` and otherwise 23. Below, `a` and `b` are from
/// 1 to 2, and errors are in units of `1 / (2 b)` of the last bit as well, which is `2^-48 / b` for `a < b`.
///
/// If `inverse` is rounded correctly, its relative error is at most `d = 2^-25 b`. The first quotient is `(a / b) d` off, and
/// half a last bit. The residual is exact, or has an error of `2^-48`, one unit. The correction leaves `d` of the error, that
/// is `(a / b) d^2 + 2^-25 d`, or `b^2 (a + 1) / 4 < 3` units for `a < b`, and `b^2 (a + 2) / 8 < 2` units otherwise. So only
/// `k` up to 4 can go wrong. The reciprocal's test shows that only the divisor of all ones can lead to another `inverse`. This one is
/// twice as far off, and `k` up to 16 can go wrong.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn every_quotient_near_a_tie_rounds_correctly() {
    let mut divisions = Divisions::default();
    for b in SIGNIFICANDS..2 * SIGNIFICANDS {
        let largest_k: i64 = if b == ALL_ONES { 16 } else { 4 };
        let zeros = b.trailing_zeros();
        for k in (-largest_k..=largest_k).filter(|k| *k != 0 && k.trailing_zeros() == zeros) {
            for shift in [24, 25] {
                // The odd factor of `b` has an inverse modulo any power of two.
                let modulus = 1u64 << (shift - zeros);
                let first = ((-k >> zeros) as u64).wrapping_mul(inverse(b >> zeros)) % modulus;
                for m in (first..4 * SIGNIFICANDS).step_by(modulus as usize).filter(|m| *m > 2 * SIGNIFICANDS) {
                    let a = (m * b).wrapping_add_signed(k) >> shift;
                    if !(SIGNIFICANDS..2 * SIGNIFICANDS).contains(&a) || (a < b) != (shift == 25) {
                        continue;
                    }
                    let (expected, float_b) = (exact_quotient(a, b), float(b));
                    for estimate in estimates(float_b).filter(|estimate| !is_exception(a, b, *estimate)) {
                        divisions.push(float(a), float_b, estimate, expected);
                    }
                }
            }
        }
    }
    divisions.check();
    println!("{} quotients near a tie", divisions.count);
}

/// Returns the inverse of an odd number modulo 2^64, by Newton's method. Each step doubles the bits that are right, of which
/// the number itself has three.
fn inverse(odd: u64) -> u64 {
    (0..5).fold(odd, |x, _| x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x))))
}

/// Tests denormal quotients of random operands, for every estimate within the bound. The last operation rounds to the denormal
/// floats as a division does, since the residual is exact.
#[test]
fn denormal_quotients_round_correctly() {
    let (mut divisions, mut random) = (Divisions::default(), 0x9e37_79b9_7f4a_7c15u64);
    while divisions.count < 1 << 20 {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let [a, b] = [random >> 41, random << 23 >> 41].map(|bits| float(SIGNIFICANDS + bits));
        // The dividend is from 2^-96, and the quotient from 2^-149 to 2^-125.
        let (a_exponent, below) = ((random & 63) as i32 - 96, (random >> 6 & 15) as i32 + 125);
        let [a_scale, b_scale] = [a_exponent, a_exponent + below].map(|exponent| 2f32.powi(exponent));
        for estimate in estimates(b) {
            divisions.push(a * a_scale, b * b_scale, estimate / b_scale, (a * a_scale) / (b * b_scale));
        }
    }
    divisions.check();
}
