//! The division of a product into items.

use core::ops::Range;

use simt::{AS_ON_GPU, GPU_WARPS, HALF_WARP, div, rem, round_up};

use super::staging::{BLOCK_LEN, DEPTH, MOST_COLS, MOST_ROWS, STAGED_LEN, TILE_COLS};
use super::sum::PART;
use super::tile::{CHUNK, PANEL_ROWS};

/// The most columns of an item. [`PART`] rows of so many columns take 590 KB of the L2 cache.
const MAX_COLS: usize = 384;

/// The most rows of an item.
const MAX_ROWS: usize = 1024;

/// The fewest columns of an item for which reading its rows takes little of its time.
const MIN_COLS: usize = 192;

/// Returns part `index` of `parts` parts of `0..len`, which begin at multiples of `unit` and differ by at most one `unit`.
#[inline(always)]
pub(super) fn even_part(len: usize, parts: usize, unit: usize, index: usize) -> Range<usize> {
    let units = len.div_ceil(unit);
    len.min(div(units * index, parts) * unit)..len.min(div(units * (index + 1), parts) * unit)
}

/// The cost of an element of the right operand, which an item packs, relative to one of the left operand.
const RIGHT_COST: usize = 2;

/// The division of a product into items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Items {
    /// The rows of an item, a multiple of [`PANEL_ROWS`].
    pub rows: usize,
    /// The columns of an item, a multiple of [`HALF_WARP`].
    pub cols: usize,
}

impl Items {
    /// The sizes on a GPU, the largest first. A warp computes a tile of 16 rows by 32 columns. An item of 16 columns is one
    /// tile, of 32 rows.
    pub const STAGED: [Self; 6] = [
        Self { rows: MOST_ROWS, cols: MOST_COLS },
        Self { rows: 64, cols: 64 },
        Self { rows: 64, cols: 32 },
        Self { rows: 32, cols: 32 },
        Self { rows: 32, cols: 16 },
        Self { rows: 16, cols: 32 },
    ];

    /// Returns a division of a product `[rows, cols]` for `threads` threads, or for as many multiprocessors of a GPU.
    /// The division changes no bits.
    pub fn new(rows: usize, cols: usize, threads: usize) -> Self {
        if AS_ON_GPU { Self::staged([rows, cols], threads, GPU_WARPS) } else { Self::packed(rows, cols, threads) }
    }

    /// Returns the largest items of blocks of at most `warps` warps that give each multiprocessor of a GPU one, or the smallest
    /// ones.
    pub(super) fn staged([rows, cols]: [usize; 2], multiprocessors: usize, warps: usize) -> Self {
        let [.., smallest] = Self::STAGED;
        let (is_odd, padded_rows) = (!cols.is_multiple_of(TILE_COLS), round_up(rows, PANEL_ROWS));
        // Items with narrow tiles read rows more often. They are for products whose last tile would be half empty.
        let is_wide_enough = |items: &Self| {
            if items.cols < TILE_COLS { is_odd } else { round_up(cols, items.cols) == round_up(cols, TILE_COLS) }
        };
        // Items that reach beyond the product employ warps and copy rows in vain.
        let fits = |items: &Self| 8 * round_up(rows, items.rows) <= 9 * padded_rows && is_wide_enough(items);
        let is_enough = |items: &Self| items.count(rows, cols) >= multiprocessors && items.warps() <= warps;
        Self::STAGED.into_iter().find(|items| fits(items) && is_enough(items)).unwrap_or(smallest)
    }

    /// Returns a division for the threads of a CPU, as many parts for each. An item reads its rows of the left operand and
    /// its columns of the right one anew, so the threads share the axis along which that costs least.
    fn packed(rows: usize, cols: usize, threads: usize) -> Self {
        let cost = |row_shares: &usize| RIGHT_COST * cols * row_shares + rows * (threads / row_shares);
        let most = threads.min(rows.div_ceil(PANEL_ROWS));
        let row_shares =
            (1..=most).rev().filter(|shares| threads.is_multiple_of(*shares)).min_by_key(cost).unwrap_or(1);
        let row_parts = rows.div_ceil(MAX_ROWS).next_multiple_of(row_shares);
        let mut col_parts = cols.div_ceil(MAX_COLS).next_multiple_of(threads / row_shares);
        // Two items a thread balance the load.
        if threads > 1 && row_parts * col_parts < 2 * threads && cols >= 2 * MIN_COLS * col_parts {
            col_parts *= 2;
        }
        Self {
            rows: round_up(rows.div_ceil(row_parts), PANEL_ROWS),
            cols: round_up(cols.div_ceil(col_parts), HALF_WARP),
        }
    }

    /// Returns the number of items of a product `[rows, cols]`.
    pub fn count(self, rows: usize, cols: usize) -> usize {
        rows.div_ceil(self.rows) * cols.div_ceil(self.cols)
    }

    /// Returns the number of items in a row of them, of a product with `cols` columns.
    #[inline(always)]
    pub(super) fn across(self, cols: usize) -> usize {
        div(cols + self.cols - 1, self.cols)
    }

    /// Returns the row and the column of an item among the items of a product with `cols` columns.
    #[inline(always)]
    pub(super) fn place(self, cols: usize, index: usize) -> [usize; 2] {
        let across = self.across(cols);
        [div(index, across), rem(index, across)]
    }

    /// Returns the number of warps of a GPU's block that computes an item. Each copies at most one block of each operand, and
    /// has at most one tile.
    pub(super) fn warps(self) -> usize {
        round_up(self.rows.max(self.cols), TILE_COLS) * DEPTH / BLOCK_LEN
    }

    /// Returns the memory of an item, if up to `stack` partial sums are on the stack.
    pub fn memory(self, stack: usize) -> ItemMemory {
        // A load of sixteen rows from the middle of the last panel on reads past it.
        let packed = PART * (self.cols + CHUNK) + PANEL_ROWS;
        let staging = if AS_ON_GPU { STAGED_LEN } else { packed };
        ItemMemory { staging, partial: self.partial_len(stack) }
    }

    /// Returns the number of elements for `stack` partial sums of an item.
    pub(super) fn partial_len(self, stack: usize) -> usize {
        stack * self.rows * self.cols
    }
}

/// The numbers of elements of memory that an item takes.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct ItemMemory {
    /// Those that its warps read often, in shared memory on a GPU.
    pub staging: usize,
    /// Those for partial sums.
    pub partial: usize,
}

impl ItemMemory {
    /// Returns the sum.
    pub fn total(self) -> usize {
        self.staging + self.partial
    }

    /// Returns the memory for either of two items.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { staging: self.staging.max(other.staging), partial: self.partial.max(other.partial) }
    }
}
