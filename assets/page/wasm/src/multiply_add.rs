//! The multiply-add of the module's two forms.
//!
//! The module is built with the instruction of relaxed SIMD, which rounds once or twice, depending on the processor. The
//! worker runs this form only if [`wrong`] is zero. Otherwise the worker replaces each instruction by a call of
//! [`exact_mul_add`], which has as many bytes.

use simt::fma::{Quarter, exact_mul_add};

/// The number of random vectors that [`wrong`] tries for each spread of exponents.
const RANDOM: u32 = 400;

/// The functions that the worker calls.
#[cfg(target_arch = "wasm32")]
mod exports {
    use core::arch::wasm32::v128;

    use simt::fma;

    /// Returns `a * b + c` in each of four lanes, rounded once.
    // SAFETY: no other linked function has the name `exact_mul_add`.
    #[unsafe(no_mangle)]
    #[expect(improper_ctypes_definitions, reason = "WebAssembly passes `v128` as a value")]
    extern "C" fn exact_mul_add(a: v128, b: v128, c: v128) -> v128 {
        fma::exact_mul_add(a.into(), b.into(), c.into()).into()
    }

    /// Returns how many of some ten thousand results of the instruction are not exact.
    // SAFETY: no other linked function has the name `wrong`.
    #[unsafe(no_mangle)]
    extern "C" fn wrong() -> u32 {
        super::wrong(fma::relaxed_mul_add)
    }
}

/// Returns how many of some ten thousand results of a multiply-add are not exact. Any NaN equals another.
fn wrong(mul_add: impl Fn(Quarter, Quarter, Quarter) -> Quarter) -> u32 {
    let mut wrong = 0;
    each_case(|a, b, c| {
        let (got, expected) = (mul_add(a, b, c).to_array(), exact_mul_add(a, b, c).to_array());
        for (got, expected) in got.into_iter().zip(expected) {
            wrong += u32::from(got.to_bits() != expected.to_bits() && !(got.is_nan() && expected.is_nan()));
        }
    });
    wrong
}

/// Calls a function with the terms of each case.
fn each_case(mut check: impl FnMut(Quarter, Quarter, Quarter)) {
    let mut bits = Bits(1);
    // Bits of any kind are mostly of different size. Terms of few bits and similar size give ties and cancellation, and
    // those of small exponents give denormal results.
    for (exponent, spread) in [(0, 256), (125, 4), (120, 16), (97, 60), (45, 30)] {
        for _ in 0..RANDOM {
            let [a, b] = [(); 2].map(|()| bits.vector(exponent, spread));
            let low = if exponent == 45 { (0, 4) } else { (exponent, spread) };
            check(a, b, bits.vector(low.0, low.1));
        }
    }
    // The product is a tie, which a term decides that is too small for a sum in `f64`.
    let product = Quarter::from_array([1.0, 3.0, 5.0, -7.0].map(|x: f32| 1.0 + x / 4096.0));
    let factor = Quarter::splat(1.0 + 1.0 / 4096.0);
    for exponent in 0..104 {
        let tiny = f32::from_bits(exponent << 23 | 1);
        for tiny in [tiny, -tiny] {
            check(product, factor, Quarter::splat(tiny));
            check(Quarter::splat(tiny), factor, product);
        }
    }
    let ends = [0.0, -0.0, f32::from_bits(1), f32::MIN_POSITIVE, 1.0, -f32::MAX, f32::INFINITY, f32::NAN];
    for a in ends {
        for b in ends {
            let [c, d] = [0, 4].map(|i| Quarter::from_slice(&ends[i..i + 4]));
            check(Quarter::splat(a), Quarter::splat(b), c);
            check(Quarter::splat(a), Quarter::splat(b), d);
        }
    }
}

/// Random bits by a linear congruence of 64 bits.
struct Bits(u64);

impl Bits {
    /// Returns the next 32 bits.
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    /// Returns values of either sign, whose biased exponents lie in `spread` from `exponent` on. Some have only their
    /// first or last bits.
    fn vector(&mut self, exponent: u32, spread: u32) -> Quarter {
        let value = |_| {
            let (bits, kind) = (self.next(), self.next() % 4);
            let significand = bits & [0x007f_ffff, 0x007f_f000, 0x0000_0fff, 0x0040_0001][kind as usize];
            f32::from_bits(bits & 0x8000_0000 | (exponent + self.next() % spread) << 23 | significand)
        };
        Quarter::from_array([0, 1, 2, 3].map(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_other_rounding_is_found() {
        let mut cases = 0;
        each_case(|_, _, _| cases += 4);
        assert!(cases > 10_000, "{cases}");
        assert_eq!(wrong(exact_mul_add), 0);
        assert!(wrong(|a, b, c| a * b + c) > 1000);
        // The sum of an exact product is rounded to `f64` and then to `f32`, which differs in few cases.
        let twice = |a: f32, b: f32, c: f32| (f64::from(a) * f64::from(b) + f64::from(c)) as f32;
        let lanes =
            |a: Quarter, b: Quarter, c: Quarter| Quarter::from_array([0, 1, 2, 3].map(|i| twice(a[i], b[i], c[i])));
        assert!(wrong(lanes) > 100, "{}", wrong(lanes));
        // Denormal results are flushed to zero.
        let flushed = |a, b, c| {
            let result = exact_mul_add(a, b, c);
            Quarter::from_array(result.to_array().map(|x| if x.is_subnormal() { 0.0 } else { x }))
        };
        assert!(wrong(flushed) > 100, "{}", wrong(flushed));
    }
}
