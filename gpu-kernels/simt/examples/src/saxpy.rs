//! `y = a x + y`, one element a lane.
//!
//! The warps of all blocks share the rows of 32 elements. A mask keeps the last row within the arrays.

use simt::{F32x32, Global, Kernel, Launch, Mask32, Target, WARP, inline};

simt::entries! {
    /// Adds `a` times `x` to `y`, which has the length of `x`.
    saxpy: pub struct Saxpy {
        /// The factor.
        pub a: f32,
        /// The vector that is multiplied.
        pub x: Global<f32>,
        /// The vector that is added to.
        pub y: Global<f32>,
    }
}

impl Kernel for Saxpy {
    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (x, y) = (launch.constant(self.x, "x"), launch.array(self.y, "y"));
        let (a, n) = (F32x32::splat(self.a), self.x.len());
        launch.each_block(inline!(|block| {
            block.each_warp(inline!(move |warp| {
                for row in warp.grid_share().items(0, n.div_ceil(WARP)) {
                    let (i, zero) = (row * WARP, F32x32::splat(0.0));
                    let inside = Mask32::lanes_below(n - i);
                    let sum = a.mul_add(x.load_where(inside, i, zero), y.load_where(inside, i, zero));
                    y.store_where(inside, i, sum);
                }
            }));
        }));
    }
}

/// Adds `a` times `x` to `y`.
#[cfg(not(target_arch = "nvptx64"))]
pub fn naive(a: f32, x: &[f32], y: &mut [f32]) {
    for (x, y) in x.iter().zip(y) {
        *y = a.mul_add(*x, *y);
    }
}
