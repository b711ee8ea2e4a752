//! The product of two matrices, by packed panels and a micro-kernel that keeps its sums in registers.
//!
//! A block computes one item, a rectangle of the result. For each part of the contraction
//! ([`Contraction::each_part`]) it packs the right operand's columns into panels. Then it runs the micro-kernel on
//! each panel for each sixteen rows of the left operand, which is read where it lies. The sums of a part stay in
//! registers. Partial sums of several parts lie in the item's scratch memory.
//!
//! That is how a CPU computes an item. [`staged`](super::staged) does it on a GPU.

use simt::{AS_ON_GPU, Block, F32x32, HALF_WARP, Isa, Target, U32View, View, WARPS, Warp, div, inline, rem};

use super::items::Items;
use super::operand::{Left, Right};
use super::output::{Output, Values};
use super::sum::{Contraction, Part};
use super::tile::{PANEL_ROWS, Plain, Rows, Strided, Tile, Transposed, panel_width, tile, widest};
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

    /// Computes the item of this index. `staging` and `partial` have the lengths of
    /// [`Items::memory`].
    #[inline(always)]
    pub fn item<T: Target>(self, block: &Block<T>, items: Items, index: usize, [staging, partial]: [View; 2]) {
        let across = div(self.cols + items.cols - 1, items.cols);
        let (first_row, first_col) = (div(index, across) * items.rows, rem(index, across) * items.cols);
        let item = Item {
            first_row,
            rows: items.rows.min(self.rows - first_row),
            first_col,
            cols: items.cols.min(self.cols - first_col),
        };
        if AS_ON_GPU {
            self.staged(block, items, item, [staging, partial]);
        } else {
            self.packed(block, item, staging, partial);
        }
    }

    /// Computes an item on the CPU.
    #[inline(always)]
    fn packed<T: Target>(self, block: &Block<T>, item: Item, right: View, partial: View) {
        let (Item { first_row, first_col, .. }, Left { view, stride, is_transposed }) = (item, self.left);
        self.contraction.each_part(inline!(|part| {
            block.each_warp(inline!(move |warp| {
                self.right.pack(warp, first_col, item.cols, part, widest(T::ISA), right);
            }));
            // The columns that are packed next, those of the next item after the last part.
            let next_col = if first_col + item.cols < self.cols { first_col + item.cols } else { 0 };
            let (next_col, next) = if part.is_last { (next_col, 0) } else { (first_col, part.start + part.len) };
            let row_panels = item.rows.div_ceil(PANEL_ROWS);
            block.each_warp(inline!(move |warp| {
                for row in (0..item.rows).step_by(PANEL_ROWS) {
                    let (columns, contracted) = ([next_col, item.cols], [next, part.len]);
                    self.right.prefetch(columns, contracted, row / PANEL_ROWS, row_panels);
                    let (panels, at) = (Panels { item, row, part, right, partial }, first_row + row);
                    if is_transposed {
                        let left = Transposed(Strided { view: view.at(part.start * stride + at), stride });
                        self.tiles::<T>(warp, left, &panels);
                    } else {
                        let left = Plain(Strided { view: view.at(at * stride + part.start), stride });
                        self.tiles::<T>(warp, left, &panels);
                    }
                }
            }));
        }));
    }

    /// Computes sixteen rows of the item.
    #[inline(always)]
    fn tiles<T: Target>(&self, warp: &Warp, left: impl Rows, panels: &Panels) {
        match T::ISA {
            Isa::Avx512 => self.tiles_of::<4, 3>(warp, left, panels),
            _ => self.tiles_of::<2, 1>(warp, left, panels),
        }
    }

    #[inline(always)]
    fn tiles_of<const PAIRS: usize, const WIDEST: usize>(&self, warp: &Warp, left: impl Rows, panels: &Panels) {
        let shares = panels.item.cols.div_ceil(WIDEST * HALF_WARP);
        let (mut col, mut index) = (0, 0);
        while col < panels.item.cols {
            let half_warps = panel_width((panels.item.cols - col) / HALF_WARP, WIDEST);
            if rem(index, WARPS) == warp.index {
                if panels.row + PANEL_ROWS < panels.item.rows {
                    left.starting_at(PANEL_ROWS).prefetch(panels.part.len, index, shares);
                }
                if WIDEST >= 3 && half_warps == 3 {
                    self.panel::<PAIRS, 3>(left, panels, col);
                } else if WIDEST >= 2 && half_warps == 2 {
                    self.panel::<PAIRS, 2>(left, panels, col);
                } else {
                    self.panel::<PAIRS, 1>(left, panels, col);
                }
            }
            (col, index) = (col + half_warps * HALF_WARP, index + 1);
        }
    }

    /// Computes sixteen rows of the panel from column `col` of the item on.
    #[inline(always)]
    fn panel<const PAIRS: usize, const WIDTH: usize>(&self, left: impl Rows, panels: &Panels, col: usize) {
        let &Panels { item, row, part, right, .. } = panels;
        for first in (0..PANEL_ROWS).step_by(2 * PAIRS) {
            if row + first < item.rows {
                let right = Strided { view: right.at(col * part.len), stride: WIDTH * HALF_WARP };
                let partial = panels.partial::<PAIRS>(row + first, col);
                let (y_row, y_col) = (item.first_row + row + first, item.first_col + col);
                let at = y_row * self.y_stride + y_col;
                if part.is_last {
                    self.output.prefetch::<PAIRS, WIDTH>(self.y, self.y_stride, at);
                }
                let sum = tile::<PAIRS, WIDTH>(left.starting_at(first), right, part.len, partial.begin());
                let sum = partial.end(sum);
                if part.is_last {
                    self.output.apply(TileValues { tile: sum, at, stride: self.y_stride, col: y_col }, self.y);
                }
            }
        }
        if part.is_last {
            self.store_squares::<WIDTH>(item.first_row + row, item.first_col + col);
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

/// The packed right operand of a part, and the partial sums of the item.
#[derive(Clone, Copy)]
struct Panels {
    item: Item,
    /// The first row in the item of the left operand.
    row: usize,
    part: Part,
    right: View,
    partial: View,
}

impl Panels {
    /// Returns the partial sums of the tile of `2 PAIRS` rows at this place.
    #[inline(always)]
    fn partial<const PAIRS: usize>(&self, row: usize, col: usize) -> Partial {
        let Item { rows, cols, .. } = self.item;
        Partial {
            levels: self.partial.at(row * cols + col * 2 * PAIRS),
            level_len: rows.next_multiple_of(PANEL_ROWS) * cols,
            part: self.part,
        }
    }
}

/// The values of a tile, and their place in the result.
#[derive(Clone, Copy)]
struct TileValues<const PAIRS: usize, const WIDTH: usize> {
    tile: Tile<PAIRS, WIDTH>,
    /// The offset of the tile's first value in the result.
    at: usize,
    /// The stride of the result's rows.
    stride: usize,
    /// The column of the first value.
    col: usize,
}

impl<const PAIRS: usize, const WIDTH: usize> TileValues<PAIRS, WIDTH> {
    /// Stores `f(x, offset, column)` in `y` for each pair of half-rows of the tile at `offset` in the result.
    #[inline(always)]
    fn each(self, y: View, f: impl Fn(F32x32, usize, usize) -> F32x32) {
        for pair in 0..PAIRS {
            for i in 0..WIDTH {
                let at = self.at + 2 * pair * self.stride + i * HALF_WARP;
                y.store_halves(at, self.stride, f(self.tile[pair][i], at, self.col + i * HALF_WARP));
            }
        }
    }
}

impl<const PAIRS: usize, const WIDTH: usize> Values for TileValues<PAIRS, WIDTH> {
    #[inline(always)]
    fn store(self, y: View, f: impl Fn(F32x32) -> F32x32) {
        self.each(y, inline!(|x, _, _| f(x)));
    }

    #[inline(always)]
    fn store_with(self, y: View, other: View, f: impl Fn(F32x32, F32x32) -> F32x32) {
        self.each(y, inline!(|x, at, _| f(x, other.load_halves(at, self.stride))));
    }

    #[inline(always)]
    fn store_scaled(self, y: View, end: usize, scale: f32) {
        self.each(y, inline!(|x, _, col| if col < end { x * F32x32::splat(scale) } else { x }));
    }
}

/// The partial sums of a tile.
#[derive(Clone, Copy)]
struct Partial {
    /// The tile in the lowest level of the stack.
    levels: View,
    /// The distance between two levels.
    level_len: usize,
    part: Part,
}

impl Partial {
    /// Returns the sum that the part goes on with.
    #[inline(always)]
    fn begin<const PAIRS: usize, const WIDTH: usize>(&self) -> Tile<PAIRS, WIDTH> {
        let mut sum = [[F32x32::splat(0.0); WIDTH]; PAIRS];
        if !self.part.is_first {
            let level = self.levels.at(self.part.depth * self.level_len);
            for pair in 0..PAIRS {
                for i in 0..WIDTH {
                    sum[pair][i] = level.load_halves((pair * WIDTH + i) * 2 * HALF_WARP, HALF_WARP);
                }
            }
        }
        sum
    }

    /// Adds the partial sums that the tree joins with the segment's sum. If more parts follow, the result becomes a
    /// partial sum.
    #[inline(always)]
    fn end<const PAIRS: usize, const WIDTH: usize>(&self, mut sum: Tile<PAIRS, WIDTH>) -> Tile<PAIRS, WIDTH> {
        let Self { levels, level_len, part } = *self;
        let mut depth = part.depth;
        for _ in 0..part.merges {
            depth -= 1;
            let level = levels.at(depth * level_len);
            for pair in 0..PAIRS {
                for i in 0..WIDTH {
                    let at = (pair * WIDTH + i) * 2 * HALF_WARP;
                    sum[pair][i] = level.load_halves(at, HALF_WARP) + sum[pair][i];
                }
            }
        }
        if !part.is_last {
            let level = levels.at(depth * level_len);
            for pair in 0..PAIRS {
                for i in 0..WIDTH {
                    level.store_halves((pair * WIDTH + i) * 2 * HALF_WARP, HALF_WARP, sum[pair][i]);
                }
            }
        }
        sum
    }
}
