//! A kernel that measures the peak of fused multiply-adds of an instruction set.

use simt::{F32x32, Global, Kernel, Launch, Target, inline};

/// The number of accumulators.
pub const SUMS: usize = 8;

simt::entries! {
    /// Computes fused multiply-adds that do not wait for each other or for memory.
    peak: pub struct Peak {
        /// A factor and a row of results.
        pub x: Global<f32>,
        /// The fused multiply-adds of each of [`SUMS`] accumulators.
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
