//! The division of a product into items.

use simt::{HALF_WARP, round_up};

use super::sum::PART;
use super::tile::PANEL_ROWS;

/// The most columns of an item. Few columns leave most of the L2 cache to the left operand.
const MAX_COLS: usize = 96;

/// The most rows of an item.
const MAX_ROWS: usize = 1024;

/// The fewest rows of an item for which packing its columns takes little of its time.
const MIN_ROWS: usize = 128;

/// The columns of the widest panel.
const COLS: usize = 48;

/// The division of a product into items.
#[derive(Clone, Copy, Debug)]
pub struct Items {
    /// The rows of an item, a multiple of [`PANEL_ROWS`].
    pub rows: usize,
    /// The columns of an item, a multiple of [`HALF_WARP`].
    pub cols: usize,
}

impl Items {
    /// Returns a division of a product `[rows, cols]` for `threads` threads.
    ///
    /// An item packs its columns once for all of its rows, so an item keeps many rows where there are few threads. Two
    /// items a thread balance the load. The division changes no bits.
    pub fn new(rows: usize, cols: usize, threads: usize) -> Self {
        let wanted = if threads == 1 { 1 } else { 2 * threads };
        let col_parts = cols.div_ceil(MAX_COLS);
        let row_parts = wanted.div_ceil(col_parts).min(rows.div_ceil(MIN_ROWS)).max(rows.div_ceil(MAX_ROWS));
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
        PART * self.cols + stack * self.rows * self.cols
    }
}
