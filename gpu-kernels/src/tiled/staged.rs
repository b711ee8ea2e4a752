//! The products on a GPU, whose operands are staged in shared memory.
//!
//! A block computes one item, a rectangle of the result. Its warps copy [`DEPTH`] contracted indices of both operands to
//! shared memory, with the contracted index first. While they multiply these, they load the next ones, which go to the
//! other one of two buffers. A warp computes a tile of 16 rows by 32 columns, of which each lane computes four by four. So
//! sixteen multiply-adds take two loads of four adjacent elements. The sums stay in registers for a whole segment.

use simt::{Block, F32x32, GPU_WARPS, HALF_WARP, PerWarp, Target, U32x32, View, WARP, Warp, div, inline, rem};

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
    /// The first row and the first column of the tile in the item.
    tile: [u32; 2],
    /// Whether the item has the tile.
    has_tile: bool,
    /// The places of the lane's rows and columns in a row of a buffer.
    places: [U32x32; 2],
    /// The copies of the left operand.
    left: [Copies; 2],
    /// The copies of the right operand.
    right: Copies,
}

impl Product {
    /// Computes an item of one of the sizes [`Items::STAGED`]. `staging` and `partial` have the lengths of
    /// [`Items::memory`].
    #[inline(always)]
    pub(super) fn staged<T: Target>(self, block: &Block<T>, items: Items, item: Item, [staging, partial]: [View; 2]) {
        let operands = Operands {
            left: Operand::new(self.left.view, self.left.stride, self.left.is_transposed, item.first_row),
            right: Operand::new(self.right.view, self.right.stride, !self.right.is_transposed, item.first_col),
        };
        let mut works = PerWarp::new(Work::default());
        block.each_warp_with(&mut works, inline!(move |warp, work| *work = Work::new(warp, items, item, operands)));
        self.contraction.each_segment(inline!(|segment| {
            let operands = operands.from(segment.start);
            block.each_warp_with(
                &mut works,
                inline!(move |_, work| {
                    work.begin();
                    work.load(operands, segment.len as u32);
                    work.store(operands, segment.len as u32, staging);
                }),
            );
            let (mut operands, mut left, mut buffer) = (operands, segment.len as u32, 0);
            while left > 0 {
                let (next, other) = (operands.from(DEPTH), BUFFER as u32 - buffer);
                let (len, rest) = (left.min(DEPTH as u32), left.saturating_sub(DEPTH as u32));
                block.each_warp_with(
                    &mut works,
                    inline!(move |_, work| {
                        work.load(next, rest);
                        if work.has_tile {
                            work.multiply(staging.at(buffer as usize), len);
                        }
                        work.store(next, rest, staging.at(other as usize));
                    }),
                );
                (operands, left, buffer) = (next, rest, other);
            }
            block.each_warp_with(
                &mut works,
                inline!(move |warp, work| {
                    if work.has_tile {
                        self.end_segment(warp, work, item, segment, items, partial);
                    }
                }),
            );
        }));
    }

    /// Joins the sums of a segment with the partial sums, and puts them to their use after the last segment.
    #[inline(always)]
    fn end_segment(&self, warp: &Warp, work: &mut Work, item: Item, segment: Segment, items: Items, partial: View) {
        // The compiler would compute the places before the loops, and keep them in registers.
        let [row, col, first_row, first_col, rows, cols] =
            [work.tile[0] as usize, work.tile[1] as usize, item.first_row, item.first_col, items.rows, items.cols]
                .map(inline!(|x| warp.rematerialize(x)));
        let mut depth = segment.depth;
        let (tile, level_len) = (partial.at(row * cols + col * PANEL_ROWS), rows * cols);
        for _ in 0..segment.merges {
            depth -= 1;
            work.add_partial(tile.at(depth * level_len));
        }
        if segment.is_last {
            let (cols, [row, col]) = (item.cols - col, [first_row + row, first_col + col]);
            let stride = warp.rematerialize(self.y_stride);
            let col_in_tile = (U32x32::lane_index() & U32x32::splat(7)) << 2;
            let first_row = (U32x32::lane_index() >> 3) << 2;
            let values = LaneValues {
                sums: work.sums,
                at: row * stride + col,
                index: first_row * U32x32::splat(stride as u32) + col_in_tile,
                stride,
                cols: col_in_tile.lt(U32x32::splat(cols as u32)),
                col: col_in_tile + U32x32::splat(col as u32),
            };
            self.output.apply(values, self.y);
            // The squares of a block are those of other lanes than wrote it.
            warp.sync();
            self.store_squares::<1>(row, col);
            if cols > HALF_WARP {
                self.store_squares::<1>(row, col + HALF_WARP);
            }
        } else {
            work.store_partial(tile.at(depth * level_len));
        }
    }
}

impl Work {
    /// Returns the work of a warp before it has begun.
    #[inline(always)]
    fn default() -> Self {
        let (zero, none) = (U32x32::splat(0), Copies::none());
        let sums = [[F32x32::splat(0.0); QUAD]; QUAD];
        Self { sums, tile: [0; 2], has_tile: false, places: [zero; 2], left: [none; 2], right: none }
    }

    #[inline(always)]
    fn new(warp: &Warp, items: Items, item: Item, operands: Operands) -> Self {
        let across = items.cols / TILE_COLS;
        let tile = [div(warp.index, across) * PANEL_ROWS, rem(warp.index, across) * TILE_COLS];
        let (lane, rows, cols) = (U32x32::lane_index(), [items.rows, item.rows], [items.cols, item.cols]);
        let places = [(lane >> 3) << 2, (lane & U32x32::splat(7)) << 2];
        Self {
            tile: tile.map(inline!(|at| at as u32)),
            has_tile: tile[0] < item.rows && tile[1] < item.cols,
            places: [places[0] + U32x32::splat(tile[0] as u32), places[1] + U32x32::splat((RIGHT + tile[1]) as u32)],
            left: [
                Copies::new(operands.left, warp.index, rows, 0),
                Copies::new(operands.left, warp.index + GPU_WARPS, rows, 0),
            ],
            right: Copies::new(operands.right, warp.index, cols, RIGHT),
            ..Self::default()
        }
    }

    /// Begins a segment.
    #[inline(always)]
    fn begin(&mut self) {
        let zero = [F32x32::splat(0.0); QUAD];
        self.sums = [zero; QUAD];
        // The registers of the elements are free between segments.
        [self.left[0].elements, self.left[1].elements, self.right.elements] = [zero; 3];
    }

    /// Loads the next contracted indices, of which `len` are left.
    #[inline(always)]
    fn load(&mut self, operands: Operands, len: u32) {
        let Operands { left, right } = operands;
        self.left[0].load(left, len);
        self.left[1].load(left, len);
        self.right.load(right, len);
    }

    /// Stores what [`Self::load`] has loaded in a buffer.
    #[inline(always)]
    fn store(&self, operands: Operands, len: u32, buffer: View) {
        let Operands { left, right } = operands;
        self.left[0].store(left, len, buffer);
        self.left[1].store(left, len, buffer);
        self.right.store(right, len, buffer);
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
