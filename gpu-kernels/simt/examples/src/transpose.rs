//! The transposition of a matrix by tiles of 32 by 32 elements, without bank conflicts.
//!
//! A warp of a GPU stores a row of `x` as a column of the tile in shared memory, and later loads a row of the tile. Shared
//! memory has 32 banks, so the elements of a column would all be in one bank if rows were 32 elements apart. Rows that are
//! 33 elements apart put them in 32 banks. The CPU transposes in registers.

use simt::{Global, Kernel, Launch, Target, WARP, div, inline, rem};

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
                    let (row, column) = (div(i, tiles_across) * WARP, rem(i, tiles_across) * WARP);
                    block.transpose(x.part(row, column, WARP, WARP), y.part(column, row, WARP, WARP), tile);
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
