//! The products on a GPU, whose operands are staged in shared memory.
//!
//! A block computes one item, a rectangle of the result. Its warps copy [`DEPTH`] contracted indices of both operands to
//! shared memory, with the contracted index first. While they multiply these, they load the next ones, which go to the
//! other one of two buffers. A warp computes a tile of 16 rows by 32 columns, of which each lane computes four by four. So
//! sixteen multiply-adds take two loads of four adjacent elements. The sums stay in registers for a whole segment.

use simt::{Block, F32x32, GPU_WARPS, HALF_WARP, Mask32, PerWarp, Target, U32x32, View, WARP, Warp, div, inline, rem};

use super::items::Items;
use super::output::Values;
use super::product::{Item, Product};
use super::sum::Segment;
use super::tile::PANEL_ROWS;

/// The contracted indices that are staged at once.
const DEPTH: usize = 32;

/// The columns of a warp's tile.
const TILE_COLS: usize = 32;

/// The rows and the columns that a lane computes.
const QUAD: usize = 4;

/// The first column of the right operand in a buffer, after the left operand.
const RIGHT: usize = Items::STAGED[0].rows;

/// The stride of a buffer's rows, which hold a contracted index each. A stride that is four modulo eight puts elements whose
/// contracted indices differ by four into different halves of the 32 banks, so that transposing stores do not conflict.
const STRIDE: usize = RIGHT + Items::STAGED[0].cols + QUAD;

/// The length of a buffer.
const BUFFER: usize = DEPTH * STRIDE;

/// The number of elements in which a block stages the operands, two buffers.
pub const STAGED_LEN: usize = 2 * BUFFER;

/// Four adjacent elements in each lane.
type Quad = [F32x32; QUAD];

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

/// The operands of an item.
#[derive(Clone, Copy)]
struct Operands {
    left: Operand,
    right: Operand,
}

impl Operands {
    /// Returns the operands from this contracted index on.
    #[inline(always)]
    fn from(self, k: usize) -> Self {
        Self { left: self.left.from(k), right: self.right.from(k) }
    }
}

/// An operand of an item.
#[derive(Clone, Copy)]
struct Operand {
    /// The first element of the item's rows or columns.
    view: View,
    /// The stride of the first axis.
    stride: usize,
    /// Whether the first axis is the contracted one.
    is_contracted_first: bool,
}

impl Operand {
    /// Returns an operand from row or column `first` on.
    #[inline(always)]
    fn new(view: View, stride: usize, is_contracted_first: bool, first: usize) -> Self {
        Self { view: view.at(if is_contracted_first { first } else { first * stride }), stride, is_contracted_first }
    }

    #[inline(always)]
    fn from(self, k: usize) -> Self {
        Self { view: self.view.at(if self.is_contracted_first { k * self.stride } else { k }), ..self }
    }
}

/// The copies that a warp makes of an operand, four elements in each lane. An operand with the contracted axis first is
/// copied in blocks of four contracted indices by 32 others. One with the contracted axis last is copied in blocks of 16 by
/// eight contracted indices, and transposed.
#[derive(Clone, Copy)]
struct Copies {
    /// The first contracted index of the block, or a large one if the warp copies nothing.
    first: u32,
    /// The index of the lane's elements in the operand.
    from: U32x32,
    /// The index of the lane's elements in a buffer.
    to: U32x32,
    /// The elements on their way from one to the other.
    elements: Quad,
}

impl Copies {
    #[inline(always)]
    fn none() -> Self {
        let zero = U32x32::splat(0);
        Self { first: 0, from: zero, to: zero, elements: [F32x32::splat(0.0); QUAD] }
    }

    /// Returns the copies of a block of an operand with `len` rows or columns, of which `valid` are to be computed. Copies
    /// of others repeat the last ones. They go to the columns of a buffer from `to` on.
    #[inline(always)]
    fn new(operand: Operand, block: usize, [len, valid]: [usize; 2], to: usize) -> Self {
        let (lane, splat) = (U32x32::lane_index(), inline!(|x: usize| U32x32::splat(x as u32)));
        let is_direct = operand.is_contracted_first;
        let (width, depth) = if is_direct { (TILE_COLS, QUAD) } else { (HALF_WARP, 2 * QUAD) };
        let across = len.div_ceil(width);
        let (other, first) = (rem(block, across) * width, div(block, across) * depth);
        let (k, other, last) = if is_direct {
            (lane >> 3, splat(other) + ((lane & splat(7)) << 2), valid.next_multiple_of(HALF_WARP) - QUAD)
        } else {
            ((lane >> 4) << 2, splat(other) + (lane & splat(HALF_WARP - 1)), valid.next_multiple_of(HALF_WARP) - 1)
        };
        let (k, stride, from) = (k + splat(first), splat(operand.stride), other.min(splat(last)));
        Self {
            first: if first < DEPTH { first as u32 } else { u32::MAX },
            from: if is_direct { k * stride + from } else { from * stride + k },
            to: k * splat(STRIDE) + splat(to) + other,
            ..Self::none()
        }
    }

    /// Loads the elements, if `len` contracted indices are left.
    #[inline(always)]
    fn load(&mut self, operand: Operand, len: u32) {
        if self.first < len {
            self.elements = operand.view.load_quads::<0>(self.from);
        }
    }

    /// Stores the elements in a buffer, if `len` contracted indices are left.
    #[inline(always)]
    fn store(&self, operand: Operand, len: u32, buffer: View) {
        let x = self.elements;
        if self.first < len {
            if operand.is_contracted_first {
                buffer.store_quads::<0>(self.to, x);
            } else {
                buffer.scatter_at::<0>(self.to, x[0]);
                buffer.scatter_at::<{ STRIDE }>(self.to, x[1]);
                buffer.scatter_at::<{ 2 * STRIDE }>(self.to, x[2]);
                buffer.scatter_at::<{ 3 * STRIDE }>(self.to, x[3]);
            }
        }
    }
}

/// The values of a tile, and their place in the result.
#[derive(Clone, Copy)]
struct LaneValues {
    sums: Sums,
    /// The offset of the tile's first value in the result.
    at: usize,
    /// The index of the lane's first value after it.
    index: U32x32,
    /// The stride of the result's rows.
    stride: usize,
    /// The lanes whose columns the result has.
    cols: Mask32,
    /// The lane's first column.
    col: U32x32,
}

impl LaneValues {
    /// Stores `f(quad, view, index)` for each row of the lane, with its place in `y`.
    #[inline(always)]
    fn each(self, y: View, f: impl Fn(Quad, usize) -> Quad) {
        for i in 0..QUAD {
            let at = self.at + i * self.stride;
            y.at(at).store_quads_where(self.cols, self.index, f(self.sums[i], at));
        }
    }
}

/// Applies `f` to four values.
#[inline(always)]
fn map(mut quad: Quad, f: impl Fn(F32x32, usize) -> F32x32) -> Quad {
    for j in 0..QUAD {
        quad[j] = f(quad[j], j);
    }
    quad
}

impl Values for LaneValues {
    #[inline(always)]
    fn store(self, y: View, f: impl Fn(F32x32) -> F32x32) {
        self.each(y, inline!(|quad, _| map(quad, inline!(|x, _| f(x)))));
    }

    #[inline(always)]
    fn store_with(self, y: View, other: View, f: impl Fn(F32x32, F32x32) -> F32x32) {
        self.each(
            y,
            inline!(|quad, at| {
                let other = other.at(at).load_quads_where(self.cols, self.index);
                map(quad, inline!(|x, j| f(x, other[j])))
            }),
        );
    }

    #[inline(always)]
    fn store_scaled(self, y: View, end: usize, scale: f32) {
        let scale = self.col.lt(U32x32::splat(end as u32)).select(F32x32::splat(scale), F32x32::splat(1.0));
        self.each(y, inline!(|quad, _| map(quad, inline!(|x, _| x * scale))));
    }
}
