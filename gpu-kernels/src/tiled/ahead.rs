//! Matrices that are prefetched line by line while others are multiplied.
//!
//! A processor has buffers for about sixteen lines on their way to the L1 cache. Prefetches at once would fill them, and
//! the loads of the micro-kernel would wait for one. So the micro-kernel prefetches a few lines at a time.

use simt::{HALF_WARP, View};

/// The lines of a matrix that are left to prefetch.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    /// The row.
    row: View,
    /// The stride of the rows, in elements.
    stride: usize,
    /// The number of rows that are left.
    rows: usize,
    /// The next column.
    col: usize,
    /// The number of columns.
    cols: usize,
}

impl Ahead {
    /// Returns all lines of a matrix. No lines are left if it has no columns.
    #[inline(always)]
    pub fn new(view: View, stride: usize, [rows, cols]: [usize; 2]) -> Self {
        Self { row: view, stride, rows: if cols == 0 { 0 } else { rows }, col: 0, cols }
    }

    /// Returns the number of lines of whole rows that are left.
    #[inline(always)]
    pub fn lines(&self) -> usize {
        self.rows * self.cols.div_ceil(HALF_WARP)
    }

    /// Prefetches the next line, if one is left.
    #[inline(always)]
    pub fn step(&mut self) {
        if self.rows > 0 {
            self.row.prefetch(self.col);
            self.col += HALF_WARP;
            if self.col >= self.cols {
                (self.col, self.rows) = (0, self.rows - 1);
                self.row = self.row.at(self.stride);
            }
        }
    }
}

/// The lines that are prefetched while a panel is computed.
#[derive(Clone, Copy)]
pub(super) struct PanelAhead {
    /// The left operand's rows after those of the tile.
    pub left: Ahead,
    /// The number of lines of `left` at once.
    pub left_steps: usize,
    /// The result's rows after those of the tile.
    pub y: Ahead,
    /// The same rows of the operand that the backward pass of `relu(u)^2` reads.
    pub h2: Ahead,
    /// The right operand's columns of the next panel.
    pub right: Ahead,
    /// The number of lines of `right` at once.
    pub right_steps: usize,
}

impl PanelAhead {
    /// Prefetches some lines of the operands, and `steps` lines of the result's rows.
    #[inline(always)]
    pub fn step(&mut self, steps: usize) {
        for _ in 0..self.left_steps {
            self.left.step();
        }
        for _ in 0..self.right_steps {
            self.right.step();
        }
        for _ in 0..steps {
            self.y.step();
            self.h2.step();
        }
    }
}
