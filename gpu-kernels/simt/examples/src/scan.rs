//! Inclusive prefix sums of a whole array by one block.
//!
//! The warps scan rows of 32 elements. One warp then scans the sums of the rows, and all warps add the sum of the rows
//! before.

use simt::{Global, Kernel, Launch, Mask32, Target, U32x32, WARP, inline};

/// The largest length of the array.
pub const MAX_LEN: usize = MAX_ROWS * WARP;
/// The largest number of rows.
const MAX_ROWS: usize = 1024;

simt::entries! {
    /// Replaces `x`, of at most [`MAX_LEN`] elements, by its prefix sums modulo 2^32, in a launch of one block.
    scan: pub struct Scan {
        /// The addends, then the sums.
        pub x: Global<u32>,
    }
}

impl Kernel for Scan {
    const SHARED: usize = MAX_ROWS;

    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (x, n) = (launch.array(self.x, "x"), self.x.len());
        let (rows, zero) = (n.div_ceil(WARP), U32x32::splat(0));
        launch.each_block(inline!(|block| {
            block.shared::<MAX_ROWS>(inline!(|block, shared| {
                let row_sums = shared.cast::<u32>();
                block.each_warp(inline!(move |warp| {
                    for row in warp.block_stride(rows) {
                        let inside = Mask32::lanes_below(n - row * WARP);
                        let sums = x.load_where(inside, row * WARP, zero).prefix_sum();
                        x.store_where(inside, row * WARP, sums);
                        row_sums.store_scalar(row, sums.lane(WARP - 1));
                    }
                }));
                block.each_warp(inline!(move |warp| {
                    if warp.index == 0 {
                        let mut before = zero;
                        for first in (0..rows).step_by(WARP) {
                            let inside = Mask32::lanes_below(rows - first);
                            let sums = before + row_sums.load_where(inside, first, zero).prefix_sum();
                            row_sums.store_where(inside, first, sums);
                            before = U32x32::splat(sums.lane(WARP - 1));
                        }
                    }
                }));
                block.each_warp(inline!(move |warp| {
                    for row in warp.block_stride(rows) {
                        if row > 0 {
                            let inside = Mask32::lanes_below(n - row * WARP);
                            let before = U32x32::splat(row_sums.load_scalar(row - 1));
                            x.store_where(inside, row * WARP, before + x.load_where(inside, row * WARP, zero));
                        }
                    }
                }));
            }));
        }));
    }
}

/// Replaces `x` by its prefix sums.
#[cfg(not(target_arch = "nvptx64"))]
pub fn naive(x: &mut [u32]) {
    for i in 1..x.len() {
        x[i] = x[i].wrapping_add(x[i - 1]);
    }
}
