//! The softmax of each row of a matrix, with the maximum and the sum in one pass.
//!
//! Each lane keeps the largest value that it has met, and the sum of the exponentials relative to it. A larger value
//! scales the sum down, at most once for each four values. One warp computes a row.

use simt::math::exp;
use simt::{F32x32, Global, Kernel, Launch, Target, WARP, div, inline};

/// The number of values of a lane that share a maximum.
const GROUP: usize = 4;

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
        let columns = self.columns as usize;
        let rows = div(self.x.len(), columns);
        let x = launch.array(self.x, "x").matrix(rows, columns, columns);
        launch.each_block(inline!(|block| {
            block.each_warp(inline!(move |warp| {
                for row in warp.grid_share().items(0, rows) {
                    // Lanes beyond the last column get the lowest value, whose exponential vanishes in a sum.
                    let lowest = F32x32::splat(f32::MIN);
                    let (mut max, mut sum) = (lowest, F32x32::splat(0.0));
                    for i in (0..columns).step_by(GROUP * WARP) {
                        let (mut values, mut new_max) = ([lowest; GROUP], max);
                        for j in 0..GROUP {
                            values[j] = x.load_row(row, i + j * WARP, lowest);
                            new_max = new_max.max(values[j]);
                        }
                        sum = sum * (max - new_max).map(exp);
                        for j in 0..GROUP {
                            sum = sum + (values[j] - new_max).map(exp);
                        }
                        max = new_max;
                    }
                    let row_max = F32x32::splat(max.reduce_max());
                    let row_sum = F32x32::splat((sum * (max - row_max).map(exp)).reduce_sum());
                    let scale = F32x32::splat(1.0) / row_sum;
                    for i in (0..columns).step_by(WARP) {
                        x.store_row(row, i, (x.load_row(row, i, lowest) - row_max).map(exp) * scale);
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
