//! A fused multiply-add for WebAssembly, whose vectors multiply and add in two roundings.
//!
//! The product of two `f32` is exact in `f64`, so its sum with a third one is rounded twice, to `f64` and then to `f32`.
//! The result differs from that of one rounding only if the first rounding meets a tie of the second one. Few sums lie
//! there. Such a sum is rounded *to odd* instead, which sets the last bit of an inexact result. This bit lies far below
//! the last bit of an `f32`, so that the sum no longer looks like a tie, and only the second rounding counts.
//!
//! Relaxed SIMD has an instruction that rounds once or twice, depending on the processor. Compare the instruction with
//! [`exact_mul_add`] before you run a build with relaxed SIMD.

use core::simd::{
    Select, Simd, ToBytes,
    cmp::{SimdPartialEq, SimdPartialOrd},
    num::{SimdFloat, SimdInt, SimdUint},
    simd_swizzle,
};

#[cfg(any(target_arch = "wasm32", test))]
use crate::target::HALF_WARP;

/// Four values, a vector of WebAssembly.
pub type Quarter = Simd<f32, 4>;

/// The bits of an `f64` below the last bit of an `f32`, in the lower half of the `f64`.
const BELOW: u32 = (1 << 29) - 1;
/// These bits in the middle between two `f32`.
const TIE: u32 = 1 << 28;
/// The upper half of the smallest `f64` that is a normal `f32`, 2^-126.
const NORMAL: u32 = (1023 - 126) << 20;

/// Returns `a * b + c` in each channel by [`relaxed_mul_add`].
#[cfg(any(target_arch = "wasm32", test))]
#[inline(always)]
pub(super) fn mul_add(
    a: Simd<f32, HALF_WARP>,
    b: Simd<f32, HALF_WARP>,
    c: Simd<f32, HALF_WARP>,
) -> Simd<f32, HALF_WARP> {
    let quarter = |i: usize| {
        let [a, b, c] = [a, b, c].map(|x| Quarter::from_slice(&x.as_array()[4 * i..4 * i + 4]));
        relaxed_mul_add(a, b, c).to_array()
    };
    Simd::from_slice([quarter(0), quarter(1), quarter(2), quarter(3)].as_flattened())
}

/// Returns `a * b + c` by the instruction of relaxed SIMD, rounded once or twice.
#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
#[inline(always)]
pub fn relaxed_mul_add(a: Quarter, b: Quarter, c: Quarter) -> Quarter {
    core::arch::wasm32::f32x4_relaxed_madd(a.into(), b.into(), c.into()).into()
}

/// Returns `a * b + c` by [`exact_mul_add`] in a build without relaxed SIMD.
///
/// The function is never inlined, because it has some 40 instructions and thousands of callers.
#[cfg(not(all(target_arch = "wasm32", target_feature = "relaxed-simd")))]
#[inline(never)]
pub fn relaxed_mul_add(a: Quarter, b: Quarter, c: Quarter) -> Quarter {
    exact_mul_add(a, b, c)
}

/// Returns `a * b + c` in each channel, rounded once. The bits are those of [`f32::mul_add`], except for the payload of a
/// NaN.
#[inline(always)]
pub fn exact_mul_add(a: Quarter, b: Quarter, c: Quarter) -> Quarter {
    let product = a.cast::<f64>() * b.cast::<f64>();
    let c = c.cast::<f64>();
    let sum = product + c;
    let halves = Simd::<u32, 8>::from_le_bytes(sum.to_bits().to_le_bytes());
    let low = simd_swizzle!(halves, [0, 2, 4, 6]);
    let magnitude = simd_swizzle!(halves, [1, 3, 5, 7]) & Simd::splat(u32::MAX >> 1);
    let tie = (low & Simd::splat(BELOW)).simd_eq(Simd::splat(TIE));
    // An `f32` below the normal ones has fewer bits, so that its ties lie elsewhere. For a zero, the difference wraps.
    let small = (magnitude - Simd::splat(1)).simd_lt(Simd::splat(NORMAL - 1));
    if (tie | small).any() { rounded_to_odd(product, c, sum) } else { sum.cast() }
}

/// Returns `product + c`, rounded once. `sum` is the rounded sum in `f64`.
#[cold]
#[inline(never)]
fn rounded_to_odd(product: Simd<f64, 4>, c: Simd<f64, 4>, sum: Simd<f64, 4>) -> Quarter {
    // Knuth's two-sum gives the rounding error of the addition exactly. No product of `f32` overflows or underflows in
    // `f64`.
    let added = sum - product;
    let lost = (product - (sum - added)) + (c - added);
    // Rounding to odd takes the odd one of the two neighbours of the exact value. If `sum` is the larger neighbour in
    // magnitude, the bits of the smaller one are one less.
    let beyond = (lost.to_bits() ^ sum.to_bits()).cast::<i64>().simd_lt(Simd::splat(0));
    let odd = (sum.to_bits() + beyond.to_simd().cast()) | Simd::splat(1);
    // The comparison is false for an exact sum, and for infinities and NaN, whose `lost` is NaN.
    let inexact = lost.abs().simd_gt(Simd::splat(0.0));
    Simd::<f64, 4>::from_bits(inexact.select(odd, sum.to_bits())).cast()
}

#[cfg(test)]
mod tests {
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::{Rng, SeedableRng};

    use super::*;

    /// Compares the bits with those of the processor's (or the C library's) fused multiply-add.
    fn check(a: [f32; HALF_WARP], b: [f32; HALF_WARP], c: [f32; HALF_WARP]) {
        let got = mul_add(a.into(), b.into(), c.into()).to_array();
        for i in 0..HALF_WARP {
            let expected = core::f32::math::mul_add(a[i], b[i], c[i]);
            let same = got[i].to_bits() == expected.to_bits() || (got[i].is_nan() && expected.is_nan());
            assert!(same, "{:e} * {:e} + {:e}: expected {expected:e}, got {:e}", a[i], b[i], c[i], got[i]);
        }
    }

    fn check_one(a: f32, b: f32, c: f32) {
        for (a, c) in [(a, c), (-a, c), (a, -c), (-a, -c)] {
            check([a; HALF_WARP], [b; HALF_WARP], [c; HALF_WARP]);
        }
    }

    // Most random bit patterns differ so much in size that one term vanishes, and some are NaN.
    #[test]
    fn random_bit_patterns_round_once() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut any = || core::array::from_fn(|_| f32::from_bits(rng.next_u32()));
        for _ in 0..1 << 16 {
            check(any(), any(), any());
        }
    }

    // Values of few bits and similar size give ties, cancellation, and results between two doubles.
    #[test]
    fn close_terms_round_once() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(2);
        let mut near = |spread: u32| -> [f32; HALF_WARP] {
            core::array::from_fn(|_| {
                let bits = rng.next_u32();
                // The significand keeps the upper bits, the lower bits, or both ends.
                let significand = match rng.next_u32() % 4 {
                    0 => bits & 0x007f_f000,
                    1 => bits & 0x0000_0fff,
                    2 => bits & 0x0040_0001,
                    _ => bits & 0x007f_ffff,
                };
                let exponent = 127 - spread / 2 + rng.next_u32() % spread;
                f32::from_bits(bits & 0x8000_0000 | exponent << 23 | significand)
            })
        };
        for spread in [2, 8, 30, 60, 120] {
            for _ in 0..1 << 14 {
                check(near(spread), near(spread), near(spread));
            }
        }
    }

    // Denormal results have fewer bits, so that ties lie elsewhere.
    #[test]
    fn denormal_results_round_once() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
        for _ in 0..1 << 16 {
            let mut scaled = |low: u32| -> [f32; HALF_WARP] {
                core::array::from_fn(|_| {
                    f32::from_bits(rng.next_u32() & 0x807f_ffff | (low + rng.next_u32() % 30) << 23)
                })
            };
            let (a, b) = (scaled(45), scaled(45));
            check(a, b, core::array::from_fn(|_| f32::from_bits(rng.next_u32() & 0x81ff_ffff)));
        }
    }

    /// Tries the terms for which rounding twice goes wrong. The product lies on or beside the middle between two `f32`.
    /// The other term is too small for the `f64` sum to hold, from just below its last bit down to the smallest
    /// denormal.
    #[test]
    fn a_vanishing_term_breaks_a_tie() {
        let middle = 1.0 + f32::EPSILON; // Its square is 1 + 2^-22 + 2^-46. The other products below are exact ties.
        for exponent in 24..=149 {
            let tiny = f32::from_bits(1) * power_of_two(149 - exponent);
            for (a, b) in [
                (middle, middle),
                (1.0 + 2.0 * f32::EPSILON, 1.0 + 0.5 * 0.000_976_562_5),
                // The square of 1 + 2^-12 is 1 + 2^-11 + 2^-24, a tie of `f32`.
                (1.0 + 0.000_244_140_63, 1.0 + 0.000_244_140_63),
                (1.0 + 3.0 * 0.000_244_140_63, 1.0 + 0.000_244_140_63),
                (1.0 + 5.0 * 0.000_244_140_63, 1.0 + 3.0 * 0.000_244_140_63),
                (1.0 - 0.000_244_140_63, 1.0 + 0.000_244_140_63),
            ] {
                check_one(a, b, tiny);
                check_one(a, b, tiny * 1.5);
            }
            // With the roles changed, a tiny product stands beside a term of many bits.
            for c in [1.0, middle, 1.999_999_9, 16_777_215.0] {
                check_one(tiny, 1.0 + f32::EPSILON, c);
                check_one(tiny, 0.5, c);
            }
        }
    }

    #[test]
    fn the_ends_of_the_range_round_once() {
        let ends = [
            0.0,
            f32::from_bits(1),
            f32::MIN_POSITIVE,
            f32::MIN_POSITIVE.next_down(),
            1.0,
            1.0f32.next_down(),
            f32::EPSILON / 2.0,
            f32::MAX,
            f32::MAX.next_down(),
            f32::MAX * f32::EPSILON / 4.0,
            f32::INFINITY,
            f32::NAN,
        ];
        for a in ends {
            for b in ends {
                for c in ends {
                    check_one(a, b, c);
                }
            }
        }
    }

    /// Returns `2^n` for `n` up to 149, in steps that stay in range.
    fn power_of_two(n: u32) -> f32 {
        (0..n).fold(1.0, |power, _| power * 2.0)
    }
}
