//! A matrix product by tiles in shared memory and sums in registers.
//!
//! A block computes 128 rows, in parts of 8. It stages a tile of `b`, which all parts multiply. On a GPU each warp has a
//! part, and a lane sums up 8 rows of 4 columns. The CPU goes through the parts with 32 columns, so that the sums fit in
//! its registers. Each sum has the same order on all devices.

use simt::{F32x32, Global, Kernel, Launch, PARTS, PerPart, Target, WARP, WARPS, WIDE, div, inline, rem};

/// The number of rows of a part.
pub const ROWS: usize = 8;
/// The number of columns of a tile on this device.
const COLUMNS: usize = WIDE * WARP;
/// The number of rows of a tile. A GPU's shared memory holds fewer than the CPU's cache.
const STEPS: usize = if WARPS == 1 { 128 } else { GPU_STEPS };
/// The number of rows of a tile on a GPU.
const GPU_STEPS: usize = 64;

simt::entries! {
    /// Computes `c = a b`. The rows of `a` are a multiple of [`ROWS`], its columns of 4, and those of `b` of 128.
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
    // A GPU's tile has 128 columns.
    const SHARED: usize = GPU_STEPS * 4 * WARP;

    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (inner, columns) = (self.inner as usize, self.columns as usize);
        let rows = div(self.c.len(), columns);
        let a = launch.constant(self.a, "a").matrix(rows, inner, inner);
        let b = launch.constant(self.b, "b").matrix(inner, columns, columns);
        let c = launch.array(self.c, "c");
        let (tiles_down, tiles_across) = (rows.div_ceil(PARTS * ROWS), columns / COLUMNS);
        launch.each_block(inline!(|block| {
            block.shared::<{ STEPS * COLUMNS }>(inline!(|block, staged| {
                for tile in block.grid_stride(tiles_down * tiles_across) {
                    let (first_row, column) =
                        (div(tile, tiles_across) * PARTS * ROWS, rem(tile, tiles_across) * COLUMNS);
                    let mut sums = PerPart::new([[F32x32::splat(0.0); WIDE]; ROWS]);
                    for k in (0..inner).step_by(STEPS) {
                        let staged = staged.matrix(STEPS.min(inner - k), COLUMNS, COLUMNS);
                        let rows_of_b = b.part(k, column, staged.rows(), COLUMNS);
                        block.each_warp(inline!(move |warp| warp.copy(rows_of_b, staged)));
                        block.each_part(
                            &mut sums,
                            inline!(move |warp, part, sums| {
                                let row = first_row + part * ROWS;
                                if row < rows {
                                    warp.add_product(sums, a.part(row, k, ROWS, staged.rows()), staged);
                                }
                            }),
                        );
                    }
                    block.each_part(
                        &mut sums,
                        inline!(move |_, part, sums| {
                            let row = first_row + part * ROWS;
                            for i in 0..ROWS {
                                if row < rows {
                                    c.store_wide((row + i) * columns + column, sums[i]);
                                }
                            }
                        }),
                    );
                }
            }));
        }));
    }
}

/// Returns the product.
#[cfg(not(target_arch = "nvptx64"))]
pub fn naive(a: &[f32], b: &[f32], inner: usize, columns: usize) -> std::vec::Vec<f32> {
    let sum = |row: &[f32], column| row.iter().zip(b.iter().skip(column).step_by(columns)).map(|(a, b)| a * b).sum();
    a.chunks(inner).flat_map(|row| (0..columns).map(move |column| sum(row, column))).collect()
}
