//! A histogram of values from 0 to 1, with atomic additions.
//!
//! A block counts in shared memory, where additions of its warps meet, and adds its counts to the result at the end.
//! Sums of integers are the same in every order.

use simt::{F32x32, Global, Kernel, Launch, Mask32, Target, U32x32, WARP, inline};

/// The number of bins.
pub const BINS: usize = 256;

simt::entries! {
    /// Counts the values of `x`, from 0 to below 1, in [`BINS`] bins of equal width.
    histogram: pub struct Histogram {
        /// The values.
        pub x: Global<f32>,
        /// The counts, which begin as zeros.
        pub counts: Global<u32>,
    }
}

impl Kernel for Histogram {
    const SHARED: usize = BINS;

    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (x, counts, n) = (launch.constant(self.x, "x"), launch.array(self.counts, "counts"), self.x.len());
        launch.each_block(inline!(|block| {
            block.shared::<BINS>(inline!(|block, shared| {
                let block_counts = shared.cast::<u32>();
                block.each_warp(inline!(move |warp| {
                    for row in warp.block_stride(BINS / WARP) {
                        block_counts.store_lanes(row * WARP, U32x32::splat(0));
                    }
                }));
                block.each_warp(inline!(move |warp| {
                    for row in warp.grid_share().items(0, n.div_ceil(WARP)) {
                        let inside = Mask32::lanes_below(n - row * WARP);
                        let value = x.load_where(inside, row * WARP, F32x32::splat(0.0));
                        let bin = (value * F32x32::splat(BINS as f32)).to_i32().to_u32();
                        block_counts.atomic_add(inside, bin, U32x32::splat(1));
                    }
                }));
                block.each_warp(inline!(move |warp| {
                    for row in warp.block_stride(BINS / WARP) {
                        let count = block_counts.load_lanes(row * WARP);
                        let bin = U32x32::lane_index() + U32x32::splat((row * WARP) as u32);
                        counts.atomic_add(Mask32::splat(true), bin, count);
                    }
                }));
            }));
        }));
    }
}

/// Returns the counts.
#[cfg(not(target_arch = "nvptx64"))]
pub fn naive(x: &[f32]) -> std::vec::Vec<u32> {
    let mut counts = std::vec![0; BINS];
    for x in x {
        counts[(x * BINS as f32) as usize] += 1;
    }
    counts
}
