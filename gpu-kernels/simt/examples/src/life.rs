//! A generation of Conway's Game of Life on a torus. `cargo run -p simt-examples --bin life` draws it in the terminal.
//!
//! A warp computes 32 neighbouring cells of a row. At the first and the last column their neighbours come from shuffles,
//! because the last column is beside the first.

use simt::{Array, ConstantMemory, Global, Kernel, Launch, Mask32, Target, U32x32, WARP, div, inline, rem};

simt::entries! {
    /// Computes the next generation. A cell is 1 if it lives, and 0 if not.
    life: pub struct Life {
        /// The cells, `[height, width]`.
        pub cells: Global<u32>,
        /// The cells of the next generation.
        pub next: Global<u32>,
        /// The number of columns, a multiple of 32.
        pub width: u32,
    }
}

impl Kernel for Life {
    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (cells, next) = (launch.constant(self.cells, "cells"), launch.array(self.next, "next"));
        let width = self.width as usize;
        let (height, splat) = (div(self.cells.len(), width), U32x32::splat);
        launch.each_block(inline!(|block| {
            block.each_warp(inline!(move |warp| {
                for row in warp.grid_share().items(0, height) {
                    let (above, below) = (rem(row + height - 1, height), rem(row + 1, height));
                    for column in (0..width).step_by(WARP) {
                        // The sum has the cell and its eight neighbours.
                        let sum = three(cells.at(above * width), column, width)
                            + three(cells.at(row * width), column, width)
                            + three(cells.at(below * width), column, width);
                        let lived = cells.load_lanes(row * width + column).eq(splat(1));
                        let lives = sum.eq(splat(3)) | sum.eq(splat(4)) & lived;
                        next.store_lanes(row * width + column, lives.select(splat(1), splat(0)));
                    }
                }
            }));
        }));
    }
}

/// Returns the sum of each cell from `column` on and of the cells beside it in a row.
#[inline(always)]
fn three(row: Array<u32, ConstantMemory>, column: usize, width: usize) -> U32x32 {
    let middle = row.load_lanes(column);
    // The last column is beside the first.
    let left = if column > 0 {
        row.load_lanes(column - 1)
    } else {
        Mask32::lanes_below(1).select(U32x32::splat(row.load_scalar(width - 1)), middle.shuffle_up(1))
    };
    let right = if column + WARP < width {
        row.load_lanes(column + 1)
    } else {
        Mask32::lanes_below(WARP - 1).select(middle.shuffle_down(1), U32x32::splat(row.load_scalar(0)))
    };
    left + middle + right
}

/// Returns the next generation.
#[cfg(not(target_arch = "nvptx64"))]
pub fn naive(cells: &[u32], width: usize) -> std::vec::Vec<u32> {
    let height = cells.len() / width;
    let next = |i: usize| {
        let cell = |dy, dx| cells[(i / width + dy) % height * width + (i + dx) % width];
        let near = [0, 1, height - 1].map(|dy| cell(dy, 0) + cell(dy, 1) + cell(dy, width - 1));
        let neighbours = near.iter().sum::<u32>() - cells[i];
        u32::from(neighbours == 3 || neighbours == 2 && cells[i] == 1)
    };
    (0..cells.len()).map(next).collect()
}
