//! The product of two matrices.
//!
//! A block computes one item, a rectangle of the result. [`packed`](super::packed) does it on a CPU, and
//! [`staged`](super::staged) on a GPU.

use simt::{AS_ON_GPU, Block, HALF_WARP, Target, U32View, View};

use super::items::{Items, even_part};
use super::operand::{Left, Right};
use super::output::Output;
use super::sum::Contraction;
use super::tile::{PANEL_ROWS, TILE_ROWS};
use crate::layout::Place;
use crate::ops::clip;

/// A product `y = left right`, `[rows, cols]`, of views or of pointers.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Product<V = View, U = U32View> {
    /// The left operand.
    pub left: Left<V>,
    /// The right operand.
    pub right: Right<V>,
    /// The contracted indices.
    pub contraction: Contraction<U>,
    /// The result.
    pub y: V,
    /// The stride of the result's rows, in elements.
    pub y_stride: usize,
    /// The number of rows.
    pub rows: usize,
    /// The number of columns, a multiple of [`HALF_WARP`].
    pub cols: usize,
    /// The use of the values.
    pub output: Output<V>,
}

/// The rectangle of a product that a block computes.
#[derive(Clone, Copy)]
pub(super) struct Item {
    pub first_row: usize,
    pub rows: usize,
    pub first_col: usize,
    pub cols: usize,
}

impl<V: Copy, U> Product<V, U> {
    /// Applies `f` to the matrices and `g` to the bounds of segments.
    #[inline(always)]
    pub(super) fn map<W, X>(self, f: impl Fn(V) -> W, g: impl FnOnce(U) -> X) -> Product<W, X> {
        Product {
            left: self.left.map(&f),
            right: self.right.map(&f),
            contraction: self.contraction.map(g),
            y: f(self.y),
            y_stride: self.y_stride,
            rows: self.rows,
            cols: self.cols,
            output: self.output.map(&f),
        }
    }
}

impl Product {
    /// Returns the division into items for `threads` threads.
    #[inline(always)]
    pub(super) fn division(&self, threads: usize) -> Items {
        Items::new(self.rows, self.cols, threads)
    }

    /// Returns the rectangle of the item in this row and column of items. The items of a CPU have almost the same size.
    #[inline(always)]
    pub(super) fn rectangle(&self, items: Items, [row, col]: [usize; 2]) -> Item {
        if AS_ON_GPU {
            let (first_row, first_col) = (row * items.rows, col * items.cols);
            return Item {
                first_row,
                rows: items.rows.min(self.rows - first_row),
                first_col,
                cols: items.cols.min(self.cols - first_col),
            };
        }
        let unit = if self.left.is_transposed { PANEL_ROWS } else { TILE_ROWS };
        let rows = even_part(self.rows, self.rows.div_ceil(items.rows), unit, row);
        let cols = even_part(self.cols, items.across(self.cols), HALF_WARP, col);
        Item { first_row: rows.start, rows: rows.len(), first_col: cols.start, cols: cols.len() }
    }

    /// Computes the item in this row and column of items. `staging` and `partial` have the lengths of
    /// [`Items::memory`].
    #[inline(always)]
    pub fn item<T: Target>(self, block: &Block<T>, items: Items, place: [usize; 2], [staging, partial]: [View; 2]) {
        if AS_ON_GPU {
            self.staged(block, items, place, [staging, partial]);
        } else {
            self.packed(block, self.rectangle(items, place), staging, partial);
        }
    }

    /// Stores the sums of squares of `WIDTH` blocks of 16 by 16 weights, if the product is their gradient.
    #[inline(always)]
    pub(super) fn store_squares<const WIDTH: usize>(&self, row: usize, first_col: usize) {
        if let Output::Gradient { squares, .. } = self.output {
            for i in 0..WIDTH {
                let col = first_col + i * HALF_WARP;
                let tensor = Place { offset: 0, rows: self.rows, cols: self.y_stride, decays: false };
                let index = row / PANEL_ROWS * (self.y_stride / HALF_WARP) + col / HALF_WARP;
                let block = tensor.block(PANEL_ROWS, index).load::<{ PANEL_ROWS / 2 }>(self.y);
                squares.in_global_memory().store(index * HALF_WARP, clip::squares(block));
            }
        }
    }
}
