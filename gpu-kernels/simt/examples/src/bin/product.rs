//! The speed of the tiled matrix product on one core, for each instruction set of the processor, beside the peak of its
//! fused multiply-adds. Both are the best of paired runs.

use std::hint::black_box;
use std::io::{Write, stdout};
use std::num::NonZero;
use std::time::Instant;

use simt::{Cpu, F32x32, Global, Kernel, Launch, Target, WARP, inline};
use simt_examples::matrix_product::MatrixProduct;

/// The rows and columns of the matrices.
const N: usize = 512;
/// The number of accumulators of [`Peak`].
const SUMS: usize = 8;
/// The fused multiply-adds of each accumulator.
const ROUNDS: u32 = 100_000;

simt::entries! {
    /// Computes fused multiply-adds that do not wait for each other or for memory.
    peak: pub struct Peak {
        /// A factor and a row of results.
        pub x: Global<f32>,
        /// The fused multiply-adds of each accumulator.
        pub rounds: u32,
    }
}

impl Kernel for Peak {
    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (x, rounds) = (launch.array(self.x, "x"), self.rounds);
        launch.each_block(inline!(|block| {
            block.each_warp(inline!(move |warp| {
                let factor = F32x32::splat(x.load_scalar(0));
                if warp.accumulators(SUMS) == SUMS {
                    x.store_lanes(0, chains::<SUMS>(factor, rounds));
                } else {
                    // AVX2 has registers for two accumulators, of four registers each.
                    x.store_lanes(0, chains::<2>(factor, rounds * (SUMS / 2) as u32));
                }
            }));
        }));
    }
}

/// Returns the sum of `N` accumulators after `rounds` fused multiply-adds of each.
#[inline(always)]
fn chains<const N: usize>(factor: F32x32, rounds: u32) -> F32x32 {
    let mut sums = [factor; N];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = sum.mul_add(factor, factor);
        }
    }
    let mut total = factor;
    for sum in sums {
        total = total + sum;
    }
    total
}

/// Returns the seconds that `work` takes.
fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn main() {
    let values = |seed: usize| (0..N * N).map(|i| ((i * seed) % 97) as f32 / 97.0).collect::<Vec<_>>();
    let (a, b, mut c) = (values(31), values(57), vec![0.0; N * N]);
    let mut x = [0.5; WARP];
    for cpu in Cpu::all().map(|cpu| cpu.threads(NonZero::<usize>::MIN)) {
        let (a, b, n) = (Global::of(&a), Global::of(&b), N as u32);
        let product = MatrixProduct { a, b, c: Global::of_mut(&mut c), inner: n, columns: n };
        let peak = Peak { x: Global::of_mut(&mut x), rounds: ROUNDS };
        let (mut product_seconds, mut peak_seconds) = (f64::MAX, f64::MAX);
        for _ in 0..40 {
            // SAFETY: the arrays live, have the lengths that the kernel asks for, and nothing else uses them.
            product_seconds = product_seconds.min(seconds(|| unsafe { cpu.launch(1, &product) }));
            // SAFETY: the array has 32 elements, and nothing else uses it.
            peak_seconds = peak_seconds.min(seconds(|| unsafe { cpu.launch(1, &peak) }));
        }
        let product_rate = 2.0 * (N * N * N) as f64 / product_seconds / 1e9;
        let peak_rate = 2.0 * (WARP * SUMS) as f64 * f64::from(ROUNDS) / peak_seconds / 1e9;
        let name = cpu.isa().name();
        let share = 100.0 * product_rate / peak_rate;
        // A closed pipe, as of `head`, is the reader's wish to stop.
        if writeln!(stdout(), "{name}: {product_rate:.1} of {peak_rate:.1} GFLOP/s, {share:.0} % of the peak").is_err()
        {
            break;
        }
    }
    black_box((c, x));
}
