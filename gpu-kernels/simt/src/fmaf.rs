//! The C function `fmaf` for Windows, which the compiler calls on processors without a fused multiply-add. MinGW's own
//! `fmaf` rounds twice.

/// Returns `a * b + c`, rounded once, as [`crate::fma`] explains for vectors.
fn mul_add(a: f32, b: f32, c: f32) -> f32 {
    let (product, c) = (f64::from(a) * f64::from(b), f64::from(c));
    let sum = product + c;
    let added = sum - product;
    let lost = (product - (sum - added)) + (c - added);
    if !lost.is_finite() || lost == 0.0 {
        return sum as f32;
    }
    // If the sum is the larger neighbour of the exact value in magnitude, the bits of the smaller one are one less.
    let below = u64::from(lost.is_sign_negative() != sum.is_sign_negative());
    f64::from_bits((sum.to_bits() - below) | 1) as f32
}

/// Takes the place of the C library's function.
// SAFETY: the function has the signature and the behaviour of C's `fmaf`.
#[cfg(windows)]
#[unsafe(no_mangle)]
extern "C" fn fmaf(a: f32, b: f32, c: f32) -> f32 {
    mul_add(a, b, c)
}

#[cfg(test)]
mod tests {
    use core::simd::Simd;

    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::{Rng, SeedableRng};

    use super::*;
    use crate::target::HALF_WARP;

    // The function for vectors is tested against the processor's instruction.
    #[test]
    fn the_bits_are_those_of_the_function_for_vectors() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        for i in 0..1 << 18 {
            let mut term = |exponents: u32| {
                let bits = rng.next_u32();
                // Terms of few significant bits and similar size give ties and cancellation.
                let significand = if i % 2 == 0 { bits & 0x007f_f000 } else { bits & 0x0040_0001 };
                f32::from_bits(bits & 0x8000_0000 | (127 - exponents / 2 + bits % exponents) << 23 | significand)
            };
            let (a, b, c) = if i % 3 == 0 {
                let [a, b, c] = [(); 3].map(|()| f32::from_bits(rng.next_u32()));
                (a, b, c)
            } else {
                (term(30), term(30), term(60))
            };
            let [x, y, z] = [a, b, c].map(Simd::<f32, HALF_WARP>::splat);
            let (got, expected) = (mul_add(a, b, c), crate::fma::mul_add(x, y, z)[0]);
            let same = got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan());
            assert!(same, "{a:e} * {b:e} + {c:e}: expected {expected:e}, got {got:e}");
        }
    }
}
