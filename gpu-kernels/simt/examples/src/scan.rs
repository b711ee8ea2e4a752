//! Inclusive prefix sums of a whole array by one block.
//!
//! Each warp has a part of the array. The warps first sum up their parts, except the last one. Then they scan the rows of
//! their parts, after the sum of the parts before. Sums of integers are the same in every order, so the number of warps does
//! not matter.

use simt::{GPU_WARPS, Global, Kernel, Launch, Mask32, Target, U32x32, WARP, WARPS, inline};

simt::entries! {
    /// Replaces `x` by its prefix sums modulo 2^32, in a launch of one block.
    scan: pub struct Scan {
        /// The addends, then the sums.
        pub x: Global<u32>,
    }
}

impl Kernel for Scan {
    const SHARED: usize = GPU_WARPS;

    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (x, n, zero) = (launch.array(self.x, "x"), self.x.len(), U32x32::splat(0));
        // The number of elements of a part is a multiple of 32.
        let len = n.div_ceil(WARPS * WARP) * WARP;
        launch.each_block(inline!(|block| {
            block.shared::<WARPS>(inline!(|block, shared| {
                let part_sums = shared.cast::<u32>();
                block.each_warp(inline!(move |warp| {
                    if warp.index + 1 < WARPS {
                        let mut sum = zero;
                        for i in (warp.index * len..n.min((warp.index + 1) * len)).step_by(WARP) {
                            sum = sum + x.load_where(Mask32::lanes_below(n - i), i, zero);
                        }
                        part_sums.store_scalar(warp.index, sum.reduce_sum());
                    }
                }));
                block.each_warp(inline!(move |warp| {
                    let earlier = part_sums.load_where(Mask32::lanes_below(warp.index), 0, zero);
                    let mut before = U32x32::splat(earlier.reduce_sum());
                    for i in (warp.index * len..n.min((warp.index + 1) * len)).step_by(WARP) {
                        let inside = Mask32::lanes_below(n - i);
                        let sums = before + x.load_where(inside, i, zero).prefix_sum();
                        x.store_where(inside, i, sums);
                        before = U32x32::splat(sums.lane(WARP - 1));
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
