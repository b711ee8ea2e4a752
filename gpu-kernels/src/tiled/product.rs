//! The product of two matrices, by packed panels and a micro-kernel that keeps its sums in registers.
//!
//! A block computes one item, a rectangle of the result. For each leaf of the contraction
//! ([`Contraction::each_leaf`]) it packs the right operand's columns into panels. Then for each sixteen rows it packs
//! the left operand and runs the micro-kernel on each panel. The sums of a leaf stay in registers. Partial sums of
//! several leaves lie in the item's scratch memory.

use simt::{Block, F32x32, HALF_WARP, Isa, Target, View, WARPS, Warp, div, inline, rem, round_up};

use super::sum::{CHUNK, Contraction, Leaf};
use super::tile::{PANEL_ROWS, Strided, Tile, panel_width, tile, widest};
use crate::layout::Place;
use crate::ops::{clip, mlp};

/// The most columns of an item. Their panels for a chunk take 384 KB, so that they stay in the L2 cache.
const MAX_COLS: usize = 384;

/// The most rows of an item.
const MAX_ROWS: usize = 1024;

/// The fewest rows of an item for which packing its columns takes little of its time.
const MIN_ROWS: usize = 128;

/// The columns of the widest panel.
const COLS: usize = 48;

/// The left operand. Its rows are the rows of the product.
#[derive(Clone, Copy)]
pub struct Left {
    /// `[rows, contracted]`, or `[contracted, rows]` if transposed. The rows are padded to [`PANEL_ROWS`], and so is the
    /// contracted axis if it is the second one.
    pub view: View,
    /// The stride of the first axis, in elements.
    pub stride: usize,
    /// Whether the first axis is the contracted one.
    pub is_transposed: bool,
    /// Whether the elements are squared before they are multiplied.
    pub is_squared: bool,
}

/// The right operand, one or several matrices `[contracted, width]` side by side.
#[derive(Clone, Copy)]
pub struct Right {
    /// The first matrix.
    pub view: View,
    /// The stride of the contracted axis, in elements.
    pub stride: usize,
    /// The number of columns of a matrix, a multiple of [`HALF_WARP`].
    pub width: usize,
    /// The distance between two matrices, in elements.
    pub next: usize,
    /// Whether the elements are squared before they are multiplied.
    pub is_squared: bool,
}

/// The use that the product's values are put to.
#[derive(Clone, Copy)]
pub enum Output {
    /// Stores `y = x`, for columns below `scaled` times `scale`.
    Store {
        /// The end of the columns that are scaled.
        scaled: usize,
        /// The factor of these columns.
        scale: f32,
    },
    /// Adds the values, `y += x`.
    Add,
    /// Stores `y = relu(x)`.
    Relu,
    /// Stores `y = x 2 h`, the gradient of `relu(u)^2` for `h = relu(u)`.
    ReluBackward {
        /// `h`, laid out like `y`.
        h: View,
    },
    /// Stores the gradient of a tensor, `y = x scale`, and the sums of squares of its blocks of 16 by 16 weights.
    Gradient {
        /// The factor.
        scale: f32,
        /// The sums of squares, sixteen for each block, row by row of the tensor's blocks.
        squares: View,
    },
}

/// A product `y = left right`, `[rows, cols]`.
#[derive(Clone, Copy)]
pub struct Product {
    /// The left operand.
    pub left: Left,
    /// The right operand.
    pub right: Right,
    /// The contracted indices.
    pub contraction: Contraction,
    /// The result.
    pub y: View,
    /// The stride of the result's rows, in elements.
    pub y_stride: usize,
    /// The number of rows.
    pub rows: usize,
    /// The number of columns, a multiple of [`HALF_WARP`].
    pub cols: usize,
    /// The use of the values.
    pub output: Output,
}

/// The division of a product into items.
#[derive(Clone, Copy, Debug)]
pub struct Items {
    /// The rows of an item, a multiple of [`PANEL_ROWS`].
    pub rows: usize,
    /// The columns of an item, a multiple of [`HALF_WARP`].
    pub cols: usize,
}

/// The part of a product that a block computes.
#[derive(Clone, Copy)]
struct Item {
    first_row: usize,
    rows: usize,
    first_col: usize,
    cols: usize,
}

impl Items {
    /// Returns a division of a product `[rows, cols]` for `threads` threads, in items of up to `area` elements.
    ///
    /// An item packs its columns once for all of its rows, so an item keeps many rows where there are few threads. Two
    /// items a thread balance the load. The division changes no bits.
    pub fn new(rows: usize, cols: usize, threads: usize, area: usize) -> Self {
        let wanted = if threads == 1 { 1 } else { 2 * threads };
        let col_parts = cols.div_ceil(MAX_COLS);
        let max_rows = div(area, cols.div_ceil(col_parts)).clamp(PANEL_ROWS, MAX_ROWS);
        let row_parts = wanted.div_ceil(col_parts).min(rows.div_ceil(MIN_ROWS)).max(rows.div_ceil(max_rows));
        let col_parts = wanted.div_ceil(row_parts).min(cols.div_ceil(COLS)).max(col_parts);
        let cols = cols.div_ceil(col_parts);
        Self {
            rows: round_up(rows.div_ceil(row_parts), PANEL_ROWS),
            cols: round_up(cols, if cols < COLS { HALF_WARP } else { COLS }),
        }
    }

    /// Returns the number of items of a product `[rows, cols]`.
    pub fn count(self, rows: usize, cols: usize) -> usize {
        rows.div_ceil(self.rows) * cols.div_ceil(self.cols)
    }

    /// Returns the elements of scratch memory of an item, if up to `stack` partial sums are on the stack.
    pub fn scratch_len(self, stack: usize) -> usize {
        // On 64-bit ARM, `View::broadcast_pairs` reads up to sixteen elements past the left operand's panel.
        CHUNK * (self.cols + PANEL_ROWS) + HALF_WARP + stack * self.rows * self.cols
    }
}

impl Left {
    /// Packs sixteen rows from `row` on as `[contracted, 16]`.
    #[inline(always)]
    fn pack(self, warp: &Warp, row: usize, leaf: Leaf, to: View) {
        let Self { view, stride, is_transposed, is_squared } = self;
        if is_transposed {
            let from = view.at(leaf.start * stride + row);
            for k in warp.block_stride(leaf.len) {
                to.store(k * PANEL_ROWS, from.load(k * stride));
            }
        } else {
            let from = view.at(row * stride + leaf.start);
            // The contracted axis is padded to half-warps.
            for k in warp.block_stride(leaf.len.div_ceil(HALF_WARP)).map(|i| i * HALF_WARP) {
                let mut rows = [F32x32::splat(0.0); PANEL_ROWS / 2];
                for pair in 0..PANEL_ROWS / 2 {
                    rows[pair] = from.load_halves(2 * pair * stride + k, stride);
                }
                if is_squared {
                    for pair in 0..PANEL_ROWS / 2 {
                        rows[pair] = rows[pair] * rows[pair];
                    }
                }
                to.store_transposed(k * PANEL_ROWS, PANEL_ROWS, rows);
            }
        }
    }
}

impl Product {
    /// Computes the item of this index. `scratch` has [`Items::scratch_len`] elements.
    #[inline(always)]
    pub fn item<T: Target>(self, block: &Block<T>, items: Items, index: usize, scratch: View) {
        let across = self.cols.div_ceil(items.cols);
        let (first_row, first_col) = (div(index, across) * items.rows, rem(index, across) * items.cols);
        let item = Item {
            first_row,
            rows: items.rows.min(self.rows - first_row),
            first_col,
            cols: items.cols.min(self.cols - first_col),
        };
        let right = scratch;
        let left = right.at(CHUNK * items.cols);
        let partial = left.at(CHUNK * PANEL_ROWS + HALF_WARP);
        self.contraction.each_leaf(inline!(|leaf| {
            block.each_warp(inline!(move |warp| self.pack_right::<T>(warp, item, leaf, right)));
            for row in (0..item.rows).step_by(PANEL_ROWS) {
                block.each_warp(inline!(move |warp| self.left.pack(warp, item.first_row + row, leaf, left)));
                block.each_warp(inline!(move |warp| {
                    let panels = Panels { item, row, leaf, left, right, partial };
                    match T::ISA {
                        Isa::Avx512 => self.tiles::<4, 3>(warp, &panels),
                        _ => self.tiles::<2, 1>(warp, &panels),
                    }
                }));
            }
        }));
    }

    /// Packs the item's columns into panels `[contracted, panel width]`, one after the other.
    #[inline(always)]
    fn pack_right<T: Target>(&self, warp: &Warp, item: Item, leaf: Leaf, to: View) {
        let Right { view, stride, width, next, is_squared } = self.right;
        let mut col = 0;
        while col < item.cols {
            let half_warps = panel_width((item.cols - col) / HALF_WARP, widest(T::ISA));
            for i in 0..half_warps {
                let column = item.first_col + col + i * HALF_WARP;
                let from = view.at(div(column, width) * next + rem(column, width) + leaf.start * stride);
                let to = to.at(col * leaf.len + i * HALF_WARP);
                for k in warp.block_stride(leaf.len) {
                    let x = from.load(k * stride);
                    to.store(k * half_warps * HALF_WARP, if is_squared { x * x } else { x });
                }
            }
            col += half_warps * HALF_WARP;
        }
    }

    /// Computes sixteen rows of the item from the packed operands.
    #[inline(always)]
    fn tiles<const PAIRS: usize, const WIDEST: usize>(&self, warp: &Warp, panels: &Panels) {
        let (mut col, mut index) = (0, 0);
        while col < panels.item.cols {
            let half_warps = panel_width((panels.item.cols - col) / HALF_WARP, WIDEST);
            if rem(index, WARPS) == warp.index {
                if WIDEST >= 3 && half_warps == 3 {
                    self.panel::<PAIRS, 3>(panels, col);
                } else if WIDEST >= 2 && half_warps == 2 {
                    self.panel::<PAIRS, 2>(panels, col);
                } else {
                    self.panel::<PAIRS, 1>(panels, col);
                }
            }
            (col, index) = (col + half_warps * HALF_WARP, index + 1);
        }
    }

    /// Computes sixteen rows of the panel from column `col` of the item on.
    #[inline(always)]
    fn panel<const PAIRS: usize, const WIDTH: usize>(&self, panels: &Panels, col: usize) {
        let &Panels { item, row, leaf, left, right, .. } = panels;
        for first in (0..PANEL_ROWS).step_by(2 * PAIRS) {
            if row + first < item.rows {
                let left = Strided { view: left.at(first), stride: PANEL_ROWS };
                let right = Strided { view: right.at(col * leaf.len), stride: WIDTH * HALF_WARP };
                let sum = tile::<PAIRS, WIDTH>(left, right, leaf.len);
                let sum = panels.add_partial(sum, row + first, col);
                if leaf.is_last {
                    self.finish(sum, item.first_row + row + first, item.first_col + col);
                }
            }
        }
        if let (true, Output::Gradient { squares, .. }) = (leaf.is_last, self.output) {
            // A lane reads its own writes.
            for i in 0..WIDTH {
                let (row, col) = (item.first_row + row, item.first_col + col + i * HALF_WARP);
                let tensor = Place { offset: 0, rows: self.rows, cols: self.y_stride, decays: false };
                let index = row / PANEL_ROWS * (self.y_stride / HALF_WARP) + col / HALF_WARP;
                let block = tensor.block(PANEL_ROWS, index).load::<{ PANEL_ROWS / 2 }>(self.y);
                squares.store(index * HALF_WARP, clip::squares(block));
            }
        }
    }

    /// Puts the values of a tile to their use.
    #[inline(always)]
    fn finish<const PAIRS: usize, const WIDTH: usize>(&self, tile: Tile<PAIRS, WIDTH>, row: usize, col: usize) {
        let stride = self.y_stride;
        let y = self.y.at(row * stride + col);
        match self.output {
            Output::Store { scaled, scale } => store(
                tile,
                y,
                stride,
                inline!(|x, _, i| { if col + i < scaled { x * F32x32::splat(scale) } else { x } }),
            ),
            Output::Add => store(tile, y, stride, inline!(|x, at, _| y.load_halves(at, stride) + x)),
            Output::Relu => store(tile, y, stride, inline!(|x, _, _| x.map(mlp::forward))),
            Output::ReluBackward { h } => {
                let h = h.at(row * stride + col);
                store(
                    tile,
                    y,
                    stride,
                    inline!(|x, at, _| {
                        let h = h.load_halves(at, stride);
                        x * (h + h)
                    }),
                );
            }
            Output::Gradient { scale, .. } => store(tile, y, stride, inline!(|x, _, _| x * F32x32::splat(scale))),
        }
    }
}

/// Stores `f(x, offset, column)` for each pair of half-rows of a tile at `offset` from `y`.
#[inline(always)]
fn store<const PAIRS: usize, const WIDTH: usize>(
    tile: Tile<PAIRS, WIDTH>,
    y: View,
    stride: usize,
    f: impl Fn(F32x32, usize, usize) -> F32x32,
) {
    for pair in 0..PAIRS {
        for i in 0..WIDTH {
            let at = 2 * pair * stride + i * HALF_WARP;
            y.store_halves(at, stride, f(tile[pair][i], at, i * HALF_WARP));
        }
    }
}

/// The packed operands of a leaf, and the partial sums of the item.
struct Panels {
    item: Item,
    /// The first row in the item of the left operand's panel.
    row: usize,
    leaf: Leaf,
    left: View,
    right: View,
    partial: View,
}

impl Panels {
    /// Adds the partial sums that the tree joins with the leaf's sum. If more leaves follow, the result becomes a partial
    /// sum.
    #[inline(always)]
    fn add_partial<const PAIRS: usize, const WIDTH: usize>(
        &self,
        mut sum: Tile<PAIRS, WIDTH>,
        row: usize,
        col: usize,
    ) -> Tile<PAIRS, WIDTH> {
        let Self { item, leaf, .. } = self;
        let level_len = item.rows.next_multiple_of(PANEL_ROWS) * item.cols;
        let (tile, mut depth) = (self.partial.at(row * item.cols + col * 2 * PAIRS), leaf.depth);
        for _ in 0..leaf.merges {
            depth -= 1;
            let level = tile.at(depth * level_len);
            for pair in 0..PAIRS {
                for i in 0..WIDTH {
                    let at = (pair * WIDTH + i) * 2 * HALF_WARP;
                    sum[pair][i] = level.load_halves(at, HALF_WARP) + sum[pair][i];
                }
            }
        }
        if !leaf.is_last {
            let level = tile.at(depth * level_len);
            for pair in 0..PAIRS {
                for i in 0..WIDTH {
                    level.store_halves((pair * WIDTH + i) * 2 * HALF_WARP, HALF_WARP, sum[pair][i]);
                }
            }
        }
        sum
    }
}
