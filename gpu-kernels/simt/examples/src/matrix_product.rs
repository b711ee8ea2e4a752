//! A matrix product by tiles in shared memory and accumulators in registers.
//!
//! A warp computes 8 rows of 32 columns. A block stages 32 steps of the contracted index at a time, for the rows of all
//! of its warps. A block of the CPU has one warp and so a smaller tile. Each element's sum has the same order on all
//! devices.

use simt::{F32x32, GPU_WARPS, Global, Kernel, Launch, PerWarp, Target, View, WARP, WARPS, div, inline, rem};

/// The number of rows of a warp.
pub const ROWS: usize = 8;
/// The number of rows of a block's tile.
const TILE_ROWS: usize = ROWS * WARPS;
/// The number of steps of the contracted index that a block stages.
pub const STEPS: usize = 32;

simt::entries! {
    /// Computes `c = a b`. The rows of `a` are a multiple of [`ROWS`], its columns and those of `b` multiples of 32.
    matrix_product: pub struct MatrixProduct {
        /// The left factor, `[rows, inner]`.
        pub a: Global<f32>,
        /// The right factor, `[inner, columns]`.
        pub b: Global<f32>,
        /// The product, `[rows, columns]`.
        pub c: Global<f32>,
        /// The number of columns of `a`, which is the number of rows of `b`.
        pub inner: u32,
        /// The number of columns of `b`.
        pub columns: u32,
    }
}

impl Kernel for MatrixProduct {
    const SHARED: usize = (ROWS * GPU_WARPS + WARP) * STEPS;

    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (a, b, c) = (launch.view(self.a, "a"), launch.view(self.b, "b"), launch.view(self.c, "c"));
        let (inner, columns) = (self.inner as usize, self.columns as usize);
        let (rows, tiles_across) = (div(self.c.len(), columns), columns / WARP);
        launch.each_block(inline!(|block| {
            block.shared::<{ Self::SHARED }>(inline!(|shared| {
                let (a_tile, b_tile) = (shared, shared.at(TILE_ROWS * STEPS));
                for tile in block.grid_stride(rows.div_ceil(TILE_ROWS) * tiles_across) {
                    let (first, column) = (div(tile, tiles_across) * TILE_ROWS, rem(tile, tiles_across) * WARP);
                    let mut sums = PerWarp::new([F32x32::splat(0.0); ROWS]);
                    for k in (0..inner).step_by(STEPS) {
                        block.each_warp(inline!(move |warp| {
                            for row in warp.block_stride(TILE_ROWS.min(rows - first)) {
                                a_tile.store_lanes(row * STEPS, a.load_lanes((first + row) * inner + k));
                            }
                            for step in warp.block_stride(STEPS) {
                                b_tile.store_lanes(step * WARP, b.load_lanes((k + step) * columns + column));
                            }
                        }));
                        block.each_warp_with(
                            &mut sums,
                            inline!(move |warp, sums| {
                                if first + warp.index * ROWS < rows {
                                    accumulate(a_tile.at(warp.index * ROWS * STEPS), b_tile, sums);
                                }
                            }),
                        );
                    }
                    block.each_warp_with(
                        &mut sums,
                        inline!(move |warp, sums| {
                            let first = first + warp.index * ROWS;
                            if first < rows {
                                for row in 0..ROWS {
                                    c.store_lanes((first + row) * columns + column, sums[row]);
                                }
                            }
                        }),
                    );
                }
            }));
        }));
    }
}

/// Adds the products of a warp's rows `a`, `[ROWS, STEPS]`, with the columns `b`, `[STEPS, 32]`.
#[inline(always)]
fn accumulate(a: View, b: View, sums: &mut [F32x32; ROWS]) {
    for step in (0..STEPS).step_by(4) {
        let mut factors = [F32x32::splat(0.0); 4];
        for i in 0..4 {
            factors[i] = b.load_lanes((step + i) * WARP);
        }
        for row in 0..ROWS {
            // The four factors of a row are one access on a GPU.
            let a = a.broadcast_quads(row * STEPS + step, 0);
            for i in 0..4 {
                sums[row] = a[i].mul_add(factors[i], sums[row]);
            }
        }
    }
}

/// Returns the product.
#[cfg(not(target_arch = "nvptx64"))]
pub fn naive(a: &[f32], b: &[f32], inner: usize, columns: usize) -> std::vec::Vec<f32> {
    let sum = |row: &[f32], column| row.iter().zip(b.iter().skip(column).step_by(columns)).map(|(a, b)| a * b).sum();
    a.chunks(inner).flat_map(|row| (0..columns).map(move |column| sum(row, column))).collect()
}
