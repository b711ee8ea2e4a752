//! The products on a CPU, by packed panels and a micro-kernel that keeps its sums in registers.
//!
//! A block computes an item panel by panel, which are the columns of one tile. It packs the panel's columns of the right
//! operand for a group of parts of the contraction. Of these a part stays in the L1 cache while the micro-kernel takes it
//! through [`SUB_ROWS`] rows of the left operand. The sums of a part stay in registers. The partial sums between parts lie
//! in the item's scratch memory.
//!
//! The left operand is read where it lies, or packed if it is transposed. The lines that a tile takes of a transposed
//! operand are far apart, so that few of them fit in the L1 cache at once.

use simt::{Block, F32x32, HALF_WARP, Isa, Target, View, Warp, inline};

use super::ahead::{Ahead, PanelAhead};
use super::group::{GROUP, GROUP_LEN, Group};
use super::operand::Left;
use super::output::{Output, Values};
use super::product::{Item, Product};
use super::sum::Part;
use super::tile::{
    PANEL_ROWS, PackedRows, Plain, Rows, SLOT, Strided, Tile, Transposed, WIDEST_PANEL, add_tile, panel_width, widest,
};

/// The rows that are computed for each part of a group in turn. Their partial sums stay in the L1 cache.
const SUB_ROWS: usize = 32;

/// The number of elements of a matrix that stays in the caches from one use to the next.
const CACHED: usize = 1 << 16;

/// A panel of an item's columns, for a group of parts.
#[derive(Clone, Copy)]
struct Panel {
    item: Item,
    group: Group,
    /// The first column in the item.
    col: usize,
    /// The number of half-warps of columns.
    half_warps: usize,
    /// The memory for the packed left operand.
    left: View,
    /// The memory for the packed right operand.
    right: View,
    /// The partial sums of the item.
    partial: View,
}

impl Panel {
    /// Returns the partial sums of the tile from this row of the item on.
    #[inline(always)]
    fn partial(&self, row: usize, part: Part) -> Partial {
        let rows = self.item.rows.next_multiple_of(PANEL_ROWS);
        let at = self.col * rows + row * self.half_warps * HALF_WARP;
        Partial { levels: self.partial.at(at), level_len: rows * self.item.cols, part }
    }
}

impl Product {
    /// Computes an item. `staging` and `partial` have the lengths of [`Items::memory`](super::items::Items::memory).
    #[inline(always)]
    pub(super) fn packed<T: Target>(self, block: &Block<T>, item: Item, staging: View, partial: View) {
        let (right, left) = (staging, staging.at(GROUP_LEN * WIDEST_PANEL));
        let mut group = Group::EMPTY;
        self.contraction.each_part(inline!(|part| {
            group.push(part);
            if group.count == GROUP || part.is_last {
                let whole = group;
                if self.left.is_packed(item.cols) {
                    block.each_warp(inline!(move |_| {
                        self.left.pack([item.first_row, item.rows], [whole.start(), whole.len()], left);
                    }));
                }
                let mut col = 0;
                while col < item.cols {
                    let half_warps = panel_width((item.cols - col) / HALF_WARP, widest(T::ISA));
                    let panel = Panel { item, group, col, half_warps, left, right, partial };
                    block.each_warp(inline!(move |warp| self.panel::<T>(warp, &panel)));
                    col += half_warps * HALF_WARP;
                }
                group = Group::EMPTY;
            }
        }));
    }

    /// Computes a panel.
    #[inline(always)]
    fn panel<T: Target>(self, warp: &Warp, panel: &Panel) {
        let &Panel { item, group, col, half_warps, left, right, .. } = panel;
        let (row, start, Left { view, stride, is_transposed }) = (item.first_row, group.start(), self.left);
        self.right.pack(warp, [item.first_col + col, half_warps], [start, group.len()], right);
        match (is_transposed, self.left.is_packed(item.cols)) {
            (false, _) => self.rows::<T>(Plain(Strided { view: view.at(row * stride + start), stride }), panel),
            (true, false) => self.rows::<T>(Transposed(Strided { view: view.at(start * stride + row), stride }), panel),
            (true, true) => self.rows::<T>(PackedRows { view: left, len: group.len() }, panel),
        }
    }

    #[inline(always)]
    fn rows<T: Target>(&self, left: impl Rows, panel: &Panel) {
        match (T::ISA, panel.half_warps) {
            (Isa::Avx512, 3) => self.tiles::<4, 3>(left, panel),
            (Isa::Avx512, 2) => self.tiles::<4, 2>(left, panel),
            (Isa::Avx512, _) => self.tiles::<4, 1>(left, panel),
            _ => self.tiles::<2, 1>(left, panel),
        }
    }

    /// Computes the tiles of a panel, whose rows are those of the item.
    #[inline(always)]
    fn tiles<const PAIRS: usize, const WIDTH: usize>(&self, left: impl Rows, panel: &Panel) {
        let &Panel { item, group, col, right, .. } = panel;
        let (start, first_col) = (group.start(), item.first_col + col);
        let mut ahead = self.ahead(panel, 2 * PAIRS);
        for first in (0..item.rows).step_by(SUB_ROWS) {
            for &part in &group.parts[..group.count] {
                let left = left.after(part.start - start);
                let right = right.at((part.start - start) * WIDTH * HALF_WARP);
                let right = Strided { view: right, stride: WIDTH * HALF_WARP };
                let steps = (2 * PAIRS * WIDTH).div_ceil((part.len / SLOT).max(1));
                let mut row = first;
                while row < item.rows.min(first + SUB_ROWS) {
                    let partial = panel.partial(row, part);
                    let at = (item.first_row + row) * self.y_stride + first_col;
                    let steps = if part.is_last { steps } else { 0 };
                    let sum = add_tile::<PAIRS, WIDTH>(
                        left.starting_at(row),
                        right,
                        part.len,
                        partial.begin(),
                        inline!(|| ahead.step(steps)),
                    );
                    let sum = partial.end(sum);
                    row += 2 * PAIRS;
                    if part.is_last {
                        self.output.apply(TileValues { tile: sum, at, stride: self.y_stride, col: first_col }, self.y);
                        if row % PANEL_ROWS == 0 {
                            self.store_squares::<WIDTH>(item.first_row + row - PANEL_ROWS, first_col);
                        }
                    }
                }
            }
        }
    }

    /// Returns what is prefetched while the panel's tiles of so many rows are computed. Small matrices
    /// stay in the caches.
    #[inline(always)]
    fn ahead(&self, panel: &Panel, tile_rows: usize) -> PanelAhead {
        let &Panel { item, group, col, half_warps, .. } = panel;
        let (width, len) = (half_warps * HALF_WARP, group.len());
        let rows = if self.rows * self.cols >= CACHED { item.rows.saturating_sub(tile_rows) } else { 0 };
        let at = (item.first_row + tile_rows) * self.y_stride + item.first_col + col;
        let result = |view: View, rows: usize| Ahead::new(view.at(at), self.y_stride, [rows, width]);
        let next = col + width;
        let cols = if len * self.cols >= CACHED { width.min(item.cols.saturating_sub(next)) } else { 0 };
        let right = self.right.ahead([item.first_col + next, cols], [group.start(), len]);
        // The first panel brings the rows of the left operand into the cache. An item of many panels does not gain by it.
        let is_narrow = item.cols <= 2 * WIDEST_PANEL;
        let is_first = col == 0 && is_narrow && !self.left.is_transposed && self.rows * len >= CACHED;
        let left_rows = if is_first { item.rows.saturating_sub(tile_rows) } else { 0 };
        let left = self.left.view.at((item.first_row + tile_rows) * self.left.stride + group.start());
        PanelAhead {
            left: Ahead::new(left, self.left.stride, [left_rows, len]),
            left_steps: if is_first { tile_rows * SLOT / HALF_WARP } else { 0 },
            y: result(self.y, rows),
            h2: match self.output {
                Output::SquaredReluBackward { h2 } => result(h2, rows),
                _ => result(self.y, 0),
            },
            right,
            right_steps: right.lines().div_ceil(item.rows.div_ceil(tile_rows) * (len / SLOT).max(1)),
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
