//! A generation of Conway's Game of Life on a torus. `cargo run -p simt-examples --bin life` draws it in the terminal.
//!
//! A warp computes 32 neighbouring cells. It gathers their eight neighbours, because the last column is beside the
//! first.

use simt::{Global, Kernel, Launch, Mask32, Target, U32x32, WARP, div, inline, rem};

simt::entries! {
    /// Computes the next generation. A cell is 1 if it lives, and 0 if not.
    life: pub struct Life {
        /// The cells, `[height, width]`.
        pub cells: Global<u32>,
        /// The cells of the next generation.
        pub next: Global<u32>,
        /// The number of columns, a power of two from 32 on.
        pub width: u32,
    }
}

impl Kernel for Life {
    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (cells, next) = (launch.constant(self.cells, "cells"), launch.array(self.next, "next"));
        let (width, n) = (self.width as usize, self.cells.len());
        let height = div(n, width);
        launch.each_block(inline!(|block| {
            block.each_warp(inline!(move |warp| {
                for i in warp.grid_share().items(0, n / WARP).map(|item| item * WARP) {
                    let splat = |x: usize| U32x32::splat(x as u32);
                    let (row, column) = (div(i, width), splat(rem(i, width)) + U32x32::lane_index());
                    let mut neighbours = splat(0);
                    for (dy, dx) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (2, 2)] {
                        let near_row = rem(row + height + dy - 1, height) * width;
                        let near_column = (column + splat(width + dx - 1)) & splat(width - 1);
                        neighbours = neighbours + cells.at(near_row).gather(Mask32::splat(true), near_column, splat(0));
                    }
                    let lives = neighbours.eq(splat(3)) | neighbours.eq(splat(2)) & cells.load_lanes(i).eq(splat(1));
                    next.store_lanes(i, lives.select(splat(1), splat(0)));
                }
            }));
        }));
    }
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
