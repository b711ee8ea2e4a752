//! The peak of a core's multiply-adds.

use std::hint::black_box;
use std::simd::{Simd, StdFloat};

use simt::Isa;

use crate::clock::seconds;

/// Runs multiply-adds in registers, and returns their seconds for each floating-point operation.
pub fn seconds_per_flop(isa: Isa) -> f64 {
    const ROUNDS: usize = 200_000;
    let x = black_box(0.999);
    let (flop, seconds) = match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the processor has the instruction set of its kernels.
        Isa::Avx512 => (2.0 * 16.0 * 24.0 * ROUNDS as f64, seconds(|| unsafe { avx512(ROUNDS, x) })),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the processor has the instruction set of its kernels.
        Isa::Avx2 => (2.0 * 8.0 * 12.0 * ROUNDS as f64, seconds(|| unsafe { avx2(ROUNDS, x) })),
        _ => (2.0 * 4.0 * 16.0 * ROUNDS as f64, seconds(|| multiply_adds::<4, 16>(ROUNDS, x))),
    };
    seconds / flop
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(rounds: usize, x: f32) {
    multiply_adds::<16, 24>(rounds, x);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(rounds: usize, x: f32) {
    multiply_adds::<8, 12>(rounds, x);
}

/// Computes `N` chains of multiply-adds.
#[inline(always)]
fn multiply_adds<const LANES: usize, const N: usize>(rounds: usize, x: f32) {
    let (x, mut sums) = (Simd::<f32, LANES>::splat(x), [Simd::splat(0.5); N]);
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = sum.mul_add(x, x);
        }
    }
    black_box(sums);
}
