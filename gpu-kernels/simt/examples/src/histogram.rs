//! A histogram of values from 0 to 1, with atomic additions.
//!
//! A block counts in shared memory, where additions of its warps meet, and adds its counts to the result at the end.
//! Neighbouring lanes count in different tables, because additions to one element wait for each other. Sums of integers are
//! the same in every order.

use simt::{F32x32, Global, Kernel, Launch, Mask32, Target, U32x32, WARP, inline};

/// The number of bins.
pub const BINS: usize = 256;
/// The number of tables of a block.
const TABLES: usize = 4;

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
    const SHARED: usize = TABLES * BINS;

    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (x, counts, n) = (launch.constant(self.x, "x"), launch.array(self.counts, "counts"), self.x.len());
        launch.each_block(inline!(|block| {
            block.shared::<{ TABLES * BINS }>(inline!(|block, shared| {
                let block_counts = shared.cast::<u32>();
                let table = (U32x32::lane_index() & U32x32::splat(TABLES as u32 - 1)) * U32x32::splat(BINS as u32);
                block.each_warp(inline!(move |warp| {
                    for row in warp.block_stride(TABLES * BINS / WARP) {
                        block_counts.store_lanes(row * WARP, U32x32::splat(0));
                    }
                }));
                block.each_warp(inline!(move |warp| {
                    for row in warp.grid_share().items(0, n.div_ceil(WARP)) {
                        let inside = Mask32::lanes_below(n - row * WARP);
                        let value = x.load_where(inside, row * WARP, F32x32::splat(0.0));
                        let bin = (value * F32x32::splat(BINS as f32)).to_i32().to_u32();
                        block_counts.atomic_add(inside, table + bin, U32x32::splat(1));
                    }
                }));
                block.each_warp(inline!(move |warp| {
                    for row in warp.block_stride(BINS / WARP) {
                        let mut count = U32x32::splat(0);
                        for table in 0..TABLES {
                            count = count + block_counts.load_lanes(table * BINS + row * WARP);
                        }
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
