//! The softmax of each row of a matrix, with the maximum and the sum in one pass.
//!
//! Each lane keeps the largest value that it has met, and the sum of the exponentials relative to it. A larger value
//! scales the sum down. One warp computes a row.

use simt::math::exp;
use simt::{F32x32, Global, Kernel, Launch, Mask32, Target, WARP, div, inline};

simt::entries! {
    /// Replaces each row of `x` by its softmax.
    softmax: pub struct Softmax {
        /// The matrix, `[rows, columns]`.
        pub x: Global<f32>,
        /// The number of columns.
        pub columns: u32,
    }
}

impl Kernel for Softmax {
    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (x, columns) = (launch.array(self.x, "x"), self.columns as usize);
        let rows = div(self.x.len(), columns);
        launch.each_block(inline!(|block| {
            block.each_warp(inline!(move |warp| {
                for row in warp.grid_share().items(0, rows) {
                    let row = x.at(row * columns);
                    // The lowest finite value keeps the differences below from being NaN.
                    let (lowest, zero) = (F32x32::splat(f32::MIN), F32x32::splat(0.0));
                    let (mut max, mut sum) = (lowest, zero);
                    for i in (0..columns).step_by(WARP) {
                        let inside = Mask32::lanes_below(columns - i);
                        let value = row.load_where(inside, i, lowest);
                        let new_max = max.max(value);
                        let term = inside.select((value - new_max).map(exp), zero);
                        sum = sum.mul_add((max - new_max).map(exp), term);
                        max = new_max;
                    }
                    let row_max = F32x32::splat(max.reduce_max());
                    let row_sum = F32x32::splat((sum * (max - row_max).map(exp)).reduce_sum());
                    for i in (0..columns).step_by(WARP) {
                        let inside = Mask32::lanes_below(columns - i);
                        let value = row.load_where(inside, i, lowest);
                        row.store_where(inside, i, (value - row_max).map(exp) / row_sum);
                    }
                }
            }));
        }));
    }
}

/// Replaces each row by its softmax, in double precision.
#[cfg(not(target_arch = "nvptx64"))]
pub fn naive(x: &mut [f32], columns: usize) {
    for row in x.chunks_mut(columns) {
        let max = row.iter().copied().fold(f32::MIN, f32::max);
        let sum: f64 = row.iter().map(|x| f64::from(x - max).exp()).sum();
        for x in row {
            *x = (f64::from(*x - max).exp() / sum) as f32;
        }
    }
}
