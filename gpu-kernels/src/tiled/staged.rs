//! The products on a GPU, whose operands are staged in shared memory.
//!
//! A block computes one item, a rectangle of the result. Its warps copy [`DEPTH`] contracted indices of both operands to
//! shared memory, with the contracted index first. While they multiply these, they load the next ones, which go to the
//! other one of two buffers. A warp computes a tile of 16 rows by 32 columns, or a narrow one of 32 by 16, of which each lane
//! computes four by four. So sixteen multiply-adds take two loads of four adjacent elements. The sums stay in registers for a
//! whole segment.

use simt::{Block, F32x32, HALF_WARP, PerWarp, Target, U32x32, View, WARP, Warp, inline, round_up};

use super::copies::{Copies, Operand, Operands};
use super::items::Items;
use super::lane_values::LaneValues;
use super::product::{Item, Product};
use super::staging::{BUFFER, DEPTH, QUAD, Quad, RIGHT, STRIDE, TILE_COLS};
use super::sum::Segment;
use super::tile::PANEL_ROWS;

/// The sums of a lane's rows and columns.
type Sums = [Quad; QUAD];

/// The value of a warp.
#[derive(Clone, Copy)]
struct Work {
    /// The sums of the warp's tile.
    sums: Sums,
    /// Whether the item has the tile.
    has_tile: bool,
    /// The places of the lane's rows and columns in a row of a buffer.
    places: [U32x32; 2],
    /// The copies of the left operand.
    left: Copies,
    /// The copies of the right operand.
    right: Copies,
}

impl Product {
    /// Computes an item of one of the sizes [`Items::STAGED`]. `staging` and `partial` have the lengths of
    /// [`Items::memory`].
    #[inline(always)]
    pub(super) fn staged<T: Target>(
        self,
        block: &Block<T>,
        items: Items,
        place: [usize; 2],
        [staging, partial]: [View; 2],
    ) {
        let item = self.rectangle(items, place);
        let operands = Operands {
            left: Operand::new(self.left.view, self.left.stride, self.left.is_transposed, item.first_row),
            right: Operand::new(self.right.view, self.right.stride, !self.right.is_transposed, item.first_col),
        };
        // The rows, which are padded, and the columns of the product from the item on.
        let remaining = [round_up(self.rows - item.first_row, HALF_WARP), self.cols - item.first_col];
        let mut works = PerWarp::new(Work::default());
        block
            .each_warp_with(&mut works, inline!(move |warp, work| *work = Work::new(warp, items, remaining, operands)));
        self.contraction.each_segment(inline!(|segment| {
            // The numbers of the contracted indices in the buffer at `buffer` and of those that are left. The first turn only
            // copies, and the last one only multiplies.
            let (mut staged, mut left, mut buffer) = (0, segment.len as u32, 0);
            loop {
                let (start, next, other) =
                    (segment.start + segment.len - left as usize, left.min(DEPTH as u32), BUFFER as u32 - buffer);
                block.each_warp_with(
                    &mut works,
                    inline!(move |_, work| {
                        work.load(operands, start, next);
                        if work.has_tile {
                            work.multiply(staging.at(buffer as usize), staged);
                        }
                        work.store(operands, next, staging.at(other as usize));
                    }),
                );
                if next == 0 {
                    break;
                }
                (staged, left, buffer) = (next, left - next, other);
            }
            block.each_warp_with(
                &mut works,
                inline!(move |warp, work| {
                    if work.has_tile {
                        self.end_segment(warp, work, segment, items, place, partial);
                    }
                    work.begin();
                }),
            );
        }));
    }

    /// Joins the sums of a segment with the partial sums, and puts them to their use after the last segment.
    #[inline(always)]
    fn end_segment(
        &self,
        warp: &Warp,
        work: &mut Work,
        segment: Segment,
        items: Items,
        place: [usize; 2],
        partial: View,
    ) {
        // The compiler would compute the places before the loops, and keep them in registers.
        let [rows, cols, place_row, place_col] =
            [items.rows, items.cols, place[0], place[1]].map(inline!(|x| warp.rematerialize(x)));
        let items = Items { rows, cols };
        let (Item { first_row, first_col, .. }, [row, col]) =
            (self.rectangle(items, [place_row, place_col]), tile(warp.index, items));
        let mut depth = segment.depth;
        let (tile, level_len) = (partial.at(row * cols + col * PANEL_ROWS), rows * cols);
        for _ in 0..segment.merges {
            depth -= 1;
            work.add_partial(tile.at(depth * level_len));
        }
        if segment.is_last {
            let [row, col] = [first_row + row, first_col + col];
            // The product may have fewer rows, which are padded, and columns than the tile.
            let remaining = [round_up(self.rows - row, HALF_WARP), self.cols - col];
            let stride = warp.rematerialize(self.y_stride);
            let [lane_row, lane_col] = lane_place(items);
            let [rows, cols] = remaining.map(inline!(|len| U32x32::splat(len as u32)));
            let values = LaneValues {
                sums: work.sums,
                at: row * stride + col,
                index: lane_row * U32x32::splat(stride as u32) + lane_col,
                stride,
                is_in_result: lane_row.lt(rows) & lane_col.lt(cols),
                col: lane_col + U32x32::splat(col as u32),
            };
            self.output.apply(values, self.y);
            // The squares of a block are those of other lanes than wrote it.
            warp.sync();
            self.store_squares::<1>(row, col);
            let [down, right] = if is_narrow(items) { [HALF_WARP, 0] } else { [0, HALF_WARP] };
            if down < remaining[0] && right < remaining[1] {
                self.store_squares::<1>(row + down, col + right);
            }
        } else {
            work.store_partial(tile.at(depth * level_len));
        }
    }
}

/// Returns whether the tile of a warp has 32 rows by 16 columns. Otherwise it has 16 rows by 32 columns.
#[inline(always)]
fn is_narrow(items: Items) -> bool {
    items.cols < TILE_COLS
}

/// Returns the first row and the first column of a warp's tile in an item.
#[inline(always)]
fn tile(warp: usize, items: Items) -> [usize; 2] {
    // An item has one tile or two in a row of them.
    let second = items.cols / (2 * TILE_COLS);
    let rows = if is_narrow(items) { 2 * PANEL_ROWS } else { PANEL_ROWS };
    [(warp >> second) * rows, (warp & second) * TILE_COLS]
}

/// Returns the first row and the first column of each lane in a tile.
#[inline(always)]
fn lane_place(items: Items) -> [U32x32; 2] {
    // Four lanes are side by side in a narrow tile, otherwise eight.
    let (lane, [shift, mask]) = (U32x32::lane_index(), if is_narrow(items) { [2, 3] } else { [3, 7] });
    [(lane >> shift) << 2, (lane & U32x32::splat(mask)) << 2]
}

impl Work {
    /// Returns the work of a warp before it has begun.
    #[inline(always)]
    fn default() -> Self {
        let (zero, none) = (U32x32::splat(0), Copies::none());
        let sums = [[F32x32::splat(0.0); QUAD]; QUAD];
        Self { sums, has_tile: false, places: [zero; 2], left: none, right: none }
    }

    /// Returns the work of a warp. The product has so many rows and columns from the item on.
    #[inline(always)]
    fn new(warp: &Warp, items: Items, [rows, cols]: [usize; 2], operands: Operands) -> Self {
        let tile = tile(warp.index, items);
        let places = lane_place(items);
        Self {
            has_tile: tile[0] < items.rows.min(rows) && tile[1] < cols,
            places: [places[0] + U32x32::splat(tile[0] as u32), places[1] + U32x32::splat((RIGHT + tile[1]) as u32)],
            left: Copies::new(operands.left, warp.index, [items.rows, rows], 0),
            right: Copies::new(operands.right, warp.index, [items.cols, cols], RIGHT),
            ..Self::default()
        }
    }

    /// Begins a segment.
    #[inline(always)]
    fn begin(&mut self) {
        self.sums = [[F32x32::splat(0.0); QUAD]; QUAD];
        // The registers of the elements are free between segments.
        (self.left, self.right) = (self.left.without_elements(), self.right.without_elements());
    }

    /// Loads `len` contracted indices from `start` on.
    #[inline(always)]
    fn load(&mut self, operands: Operands, start: usize, len: u32) {
        self.left.load(operands.left, start, len);
        self.right.load(operands.right, start, len);
    }

    /// Stores what [`Self::load`] has loaded in a buffer.
    #[inline(always)]
    fn store(&self, operands: Operands, len: u32, buffer: View) {
        self.left.store(operands.left, len, buffer);
        self.right.store(operands.right, len, buffer);
    }

    /// Adds the products of `len` staged indices to the sums, one index after the other.
    #[inline(always)]
    fn multiply(&mut self, mut rows: View, len: u32) {
        for _ in 0..len / HALF_WARP as u32 {
            self.multiply_16(rows);
            rows = rows.at(HALF_WARP * STRIDE);
        }
        for _ in 0..len % HALF_WARP as u32 {
            self.multiply_one::<0>(rows);
            rows = rows.at(STRIDE);
        }
    }

    /// Adds the products of sixteen staged indices, whose addresses are constants apart.
    #[inline(always)]
    fn multiply_16(&mut self, rows: View) {
        macro_rules! each {
            ($($k:literal)*) => {$( self.multiply_one::<{ $k * STRIDE }>(rows); )*};
        }
        each!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    }

    /// Adds partial sums to the left of the sums.
    #[inline(always)]
    fn add_partial(&mut self, level: View) {
        for i in 0..QUAD {
            let partial = level.at(i * WARP * QUAD).load_quads::<0>(U32x32::lane_index() << 2);
            for j in 0..QUAD {
                self.sums[i][j] = partial[j] + self.sums[i][j];
            }
        }
    }

    /// Stores the sums as partial sums.
    #[inline(always)]
    fn store_partial(&self, level: View) {
        for i in 0..QUAD {
            level.at(i * WARP * QUAD).store_quads::<0>(U32x32::lane_index() << 2, self.sums[i]);
        }
    }

    #[inline(always)]
    fn multiply_one<const OFFSET: usize>(&mut self, rows: View) {
        let [left, right] = self.places;
        let (left, right) = (rows.load_quads::<OFFSET>(left), rows.load_quads::<OFFSET>(right));
        for i in 0..QUAD {
            for j in 0..QUAD {
                self.sums[i][j] = left[i].mul_add(right[j], self.sums[i][j]);
            }
        }
    }
}
