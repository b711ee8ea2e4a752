//! The products on a CPU, by packed panels and a micro-kernel that keeps its sums in registers.
//!
//! A block computes an item part by part of the contraction. It packs the item's columns of the right operand in panels,
//! which are the columns of a tile. They stay in the L2 cache. Then it takes the rows of one tile after the other through
//! all panels, so that the left operand comes from memory once. The processor fetches the lines of a panel ahead, because
//! they are adjacent. The sums of a part stay in registers. The partial sums between parts lie in the item's scratch memory.
//!
//! The left operand is read where it lies, or packed if it is transposed. The lines that a tile takes of a transposed
//! operand are far apart, so that few of them fit in the L1 cache at once.

use simt::{Block, F32x32, HALF_WARP, Isa, Target, View, Warp, inline};

use super::operand::Left;
use super::output::{Output, Values};
use super::product::{Item, Product};
use super::sum::{PART, Part};
use super::tile::{
    CHUNK, PANEL_ROWS, PackedRows, Plain, Rows, Strided, Tile, Transposed, add_tile, panel_width, tile_rows, widest,
};

/// A part of an item's contraction.
#[derive(Clone, Copy)]
struct PartOfItem {
    item: Item,
    part: Part,
    /// The memory for the packed left operand.
    left: View,
    /// The packed panels of the right operand, one after the other.
    right: View,
    /// The partial sums of the item.
    partial: View,
}

impl PartOfItem {
    /// Returns the panel of the right operand whose first column in the item is `col`.
    #[inline(always)]
    fn panel(&self, col: usize) -> View {
        self.right.at(col * self.part.len.next_multiple_of(HALF_WARP))
    }

    /// Returns the partial sums of the tile of `tile_rows` rows from this row and column of the item on.
    #[inline(always)]
    fn partial(&self, [row, col]: [usize; 2], tile_rows: usize) -> Partial {
        let Item { rows, cols, .. } = self.item;
        let levels = self.partial.at(row * cols + col * tile_rows);
        Partial { levels, level_len: rows.next_multiple_of(PANEL_ROWS) * cols, part: self.part }
    }
}

impl Product {
    /// Computes an item. `staging` and `partial` have the lengths of [`Items::memory`](super::items::Items::memory).
    #[inline(always)]
    pub(super) fn packed<T: Target>(self, block: &Block<T>, item: Item, staging: View, partial: View) {
        let (right, left) = (staging, staging.at(PART * item.cols));
        self.contraction.each_part(inline!(|part| {
            let part = PartOfItem { item, part, left, right, partial };
            block.each_warp(inline!(move |warp| self.part::<T>(warp, &part)));
        }));
    }

    /// Adds the terms of a part.
    #[inline(always)]
    fn part<T: Target>(&self, warp: &Warp, part: &PartOfItem) {
        let &PartOfItem { item, part: Part { start, len, .. }, left: packed, .. } = part;
        let mut col = 0;
        while col < item.cols {
            let half_warps = panel_width((item.cols - col) / HALF_WARP, widest(T::ISA));
            self.right.pack(warp, [item.first_col + col, half_warps], [start, len], part.panel(col));
            col += half_warps * HALF_WARP;
        }
        let Left { view, stride, is_transposed } = self.left;
        for first in (0..item.rows).step_by(CHUNK) {
            let row = item.first_row + first;
            match (is_transposed, self.left.is_packed(item.cols)) {
                (false, _) => {
                    self.chunk::<T>(Plain(Strided { view: view.at(row * stride + start), stride }), part, first);
                }
                (true, false) => {
                    let columns = Strided { view: view.at(start * stride + row), stride };
                    self.chunk::<T>(Transposed { columns, row: 0, rows: item.rows - first }, part, first);
                }
                (true, true) => {
                    self.left.pack([row, CHUNK.min(item.rows - first)], [start, len], packed);
                    let is_last = first + CHUNK >= item.rows;
                    let next =
                        if is_last { (start + len) * stride + item.first_row } else { start * stride + row + CHUNK };
                    let next = Strided { view: view.at(next), stride };
                    self.chunk::<T>(PackedRows { view: packed, len, row: 0, next }, part, first);
                }
            }
        }
    }

    /// Adds the terms of a part to [`CHUNK`] rows of the item from `first` on.
    #[inline(always)]
    fn chunk<T: Target>(&self, left: impl Rows, part: &PartOfItem, first: usize) {
        let Item { rows, cols, .. } = part.item;
        for row in (0..CHUNK.min(rows - first)).step_by(tile_rows(T::ISA)) {
            let (left, mut col) = (left.starting_at(row), 0);
            while col < cols {
                let (at, half_warps) = ([first + row, col], panel_width((cols - col) / HALF_WARP, widest(T::ISA)));
                match (T::ISA, half_warps) {
                    (Isa::Avx512, 3) => self.tile::<4, 3>(left, part, at),
                    (Isa::Avx512, 2) => self.tile::<4, 2>(left, part, at),
                    (Isa::Avx512, _) => self.tile::<4, 1>(left, part, at),
                    _ => self.tile::<2, 1>(left, part, at),
                }
                col += half_warps * HALF_WARP;
            }
        }
    }

    /// Adds the terms of a part to the tile from this row and column of the item on, whose rows are those of `left`.
    #[inline(always)]
    fn tile<const PAIRS: usize, const WIDTH: usize>(&self, left: impl Rows, part: &PartOfItem, [row, col]: [usize; 2]) {
        let (item, tile_rows, width, is_last) = (part.item, 2 * PAIRS, WIDTH * HALF_WARP, part.part.is_last);
        let [first_row, first_col] = [item.first_row + row, item.first_col + col];
        let (at, partial) = (first_row * self.y_stride + first_col, part.partial([row, col], tile_rows));
        // The tiles of these rows share the prefetches for the rows of the next tiles.
        let ahead = tile_rows.div_ceil(item.cols / width);
        let (first_ahead, end_ahead) = (tile_rows + col / width * ahead, 2 * tile_rows);
        let sum = add_tile::<PAIRS, WIDTH>(
            left,
            Strided { view: part.panel(col), stride: width },
            part.part.len,
            partial.begin(),
            inline!(|k| {
                for row in first_ahead..end_ahead.min(first_ahead + ahead) {
                    left.prefetch(row, k);
                }
                if is_last && k / HALF_WARP < tile_rows {
                    for i in 0..WIDTH {
                        self.prefetch_result(at + k / HALF_WARP * self.y_stride + i * HALF_WARP);
                    }
                }
            }),
        );
        let sum = partial.end(sum);
        if is_last {
            self.output.apply(TileValues { tile: sum, at, stride: self.y_stride, col: first_col }, self.y);
            if (row + tile_rows).is_multiple_of(PANEL_ROWS) {
                self.store_squares::<WIDTH>(first_row + tile_rows - PANEL_ROWS, first_col);
            }
        }
    }

    /// Prefetches a line of the result, and of the operand that the backward pass of `relu(u)^2` reads.
    #[inline(always)]
    fn prefetch_result(&self, at: usize) {
        self.y.prefetch(at);
        if let Output::SquaredReluBackward { h2 } = self.output {
            h2.prefetch(at);
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
