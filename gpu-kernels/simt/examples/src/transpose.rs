//! The transposition of a matrix by tiles of 32 by 32 elements, without bank conflicts.
//!
//! A warp writes a row of the tile to shared memory, and later reads a column. Shared memory has 32 banks, so the
//! elements of a column would all be in one bank if rows were 32 elements apart. Rows that are 33 elements apart put
//! them in 32 banks.

use simt::{F32x32, Global, Kernel, Launch, Target, WARP, div, inline, rem};

/// The distance between two rows of a tile.
const STRIDE: usize = WARP + 1;
/// The number of elements of a tile.
const TILE: usize = WARP * STRIDE;

simt::entries! {
    /// Writes the transposed matrix. Rows and columns are multiples of 32.
    transpose: pub struct Transpose {
        /// The matrix, `[rows, columns]`.
        pub x: Global<f32>,
        /// The transposed matrix, `[columns, rows]`.
        pub y: Global<f32>,
        /// The number of rows.
        pub rows: u32,
        /// The number of columns.
        pub columns: u32,
    }
}

impl Kernel for Transpose {
    const SHARED: usize = TILE;

    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (rows, columns) = (self.rows as usize, self.columns as usize);
        let x = launch.constant(self.x, "x").matrix(rows, columns, columns);
        let y = launch.array(self.y, "y").matrix(columns, rows, rows);
        let tiles_across = columns / WARP;
        launch.each_block(inline!(|block| {
            block.shared::<TILE>(inline!(|block, tile| {
                let tile = tile.matrix(WARP, WARP, STRIDE);
                for i in block.grid_stride(rows / WARP * tiles_across) {
                    let (first_row, first_column) = (div(i, tiles_across) * WARP, rem(i, tiles_across) * WARP);
                    block.each_warp(inline!(move |warp| {
                        for row in warp.block_stride(WARP) {
                            tile.store_lanes(row, 0, x.load_lanes(first_row + row, first_column));
                        }
                    }));
                    block.each_warp(inline!(move |warp| {
                        for column in warp.block_stride(WARP) {
                            let elements = tile.load_column(0, column, F32x32::splat(0.0));
                            y.store_lanes(first_column + column, first_row, elements);
                        }
                    }));
                }
            }));
        }));
    }
}

/// Returns the transposed matrix.
#[cfg(not(target_arch = "nvptx64"))]
pub fn naive(x: &[f32], columns: usize) -> std::vec::Vec<f32> {
    (0..columns).flat_map(|column| x.iter().skip(column).step_by(columns)).copied().collect()
}
