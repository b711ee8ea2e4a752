//! The products on a GPU, whose operands are staged in shared memory.
//!
//! A block computes one item, a rectangle of the result. For each [`DEPTH`] contracted indices its warps copy both
//! operands to shared memory, with the contracted index first. Then each warp adds the products to the sums of its tile,
//! which stay in registers for a whole segment. A tile has sixteen rows. The lower half-warp holds the first eight rows
//! and the upper one the others, so that four sums take one load of the left operand.

use simt::{Block, F32x32, GPU_WARPS, HALF_WARP, PerWarp, Target, View, Warp, inline};

use super::items::{DEPTH, Items, staged_stride};
use super::operand::{Left, Right};
use super::output::Strides;
use super::product::{Item, Partial, Product};
use super::tile::{PANEL_ROWS, Strided, Tile, transpose_block};

/// The pairs of rows of a tile.
const PAIRS: usize = PANEL_ROWS / 2;

/// The sums of a tile's rows in sixteen columns.
type Column = Tile<PAIRS, 1>;

/// The staged parts of both operands, `[DEPTH, rows]` and `[DEPTH, cols]`.
#[derive(Clone, Copy)]
struct StagedPanels {
    left: Strided,
    right: Strided,
}

impl Product {
    /// Computes an item of one of the sizes [`Items::STAGED`]. `staging` and `partial` have the lengths
    /// of [`Items::memory`].
    #[inline(always)]
    pub(super) fn staged<T: Target>(self, block: &Block<T>, items: Items, item: Item, [staging, partial]: [View; 2]) {
        const LARGE: Items = Items::STAGED[0];
        const MEDIUM: Items = Items::STAGED[1];
        const SMALL: Items = Items::STAGED[2];
        if items.rows == LARGE.rows {
            self.staged_tiles::<T, { LARGE.rows }, { LARGE.cols }, 2>(block, item, staging, partial);
        } else if items.rows == MEDIUM.rows {
            self.staged_tiles::<T, { MEDIUM.rows }, { MEDIUM.cols }, 1>(block, item, staging, partial);
        } else {
            self.staged_tiles::<T, { SMALL.rows }, { SMALL.cols }, 1>(block, item, staging, partial);
        }
    }

    #[inline(always)]
    fn staged_tiles<T: Target, const ROWS: usize, const COLS: usize, const WIDTH: usize>(
        self,
        block: &Block<T>,
        item: Item,
        staging: View,
        partial: View,
    ) {
        let left = Strided { view: staging, stride: const { staged_stride(ROWS) } };
        let right = Strided { view: staging.at(DEPTH * left.stride), stride: const { staged_stride(COLS) } };
        let staged = StagedPanels { left, right };
        let mut sums = PerWarp::new(zero::<WIDTH>());
        self.contraction.each_part(inline!(|part| {
            for first in (0..part.len).step_by(DEPTH) {
                let len = DEPTH.min(part.len - first);
                block.each_warp(inline!(move |warp| {
                    self.stage::<ROWS, COLS>(warp, item, part.start + first, len, staged);
                }));
                block.each_warp_with(
                    &mut sums,
                    inline!(move |warp: &Warp, sums: &mut [Column; WIDTH]| {
                        let across = const { COLS / (WIDTH * HALF_WARP) };
                        let (row, col) = (warp.index / across * PANEL_ROWS, warp.index % across * WIDTH * HALF_WARP);
                        if row < item.rows.min(ROWS) && col < item.cols {
                            if part.is_first && first == 0 {
                                *sums = zero::<WIDTH>();
                            }
                            let left = Strided { view: staged.left.view.at(row), ..staged.left };
                            let right = Strided { view: staged.right.view.at(col), ..staged.right };
                            multiply(left, right, len, sums);
                            if part.ends_segment && first + len == part.len {
                                let [row, col] = [row, col].map(inline!(|at| warp.rematerialize(at)));
                                let levels = partial.at(row * COLS + col * PANEL_ROWS);
                                let partial = Partial { levels, level_len: ROWS * COLS, part };
                                let at = [item.first_row + row, item.first_col + col];
                                self.end_segment(warp, at, partial, &sums[0]);
                                // A loop would not be unrolled, and its sums would lie in memory.
                                if WIDTH == 2 {
                                    let levels = levels.at(PANEL_ROWS * HALF_WARP);
                                    self.end_segment(
                                        warp,
                                        [at[0], at[1] + HALF_WARP],
                                        Partial { levels, ..partial },
                                        &sums[1],
                                    );
                                }
                            }
                        }
                    }),
                );
            }
        }));
    }

    /// Copies `len` contracted indices from `start` on of both operands.
    #[inline(always)]
    fn stage<const ROWS: usize, const COLS: usize>(
        &self,
        warp: &Warp,
        item: Item,
        start: usize,
        len: usize,
        to: StagedPanels,
    ) {
        let left = Left { stride: warp.rematerialize(self.left.stride), ..self.left };
        let right = Right { stride: warp.rematerialize(self.right.stride), ..self.right };
        let (row_panels, col_panels) = (item.rows.div_ceil(PANEL_ROWS), item.cols / HALF_WARP);
        if left.is_transposed {
            let from = Strided { view: left.view.at(start * left.stride + item.first_row), stride: left.stride };
            copy(warp, ROWS / PANEL_ROWS, from, [len, row_panels], to.left);
        } else {
            let from = Strided { view: left.view.at(item.first_row * left.stride + start), stride: left.stride };
            transpose(warp, ROWS / PANEL_ROWS, from, [len, row_panels], to.left);
        }
        if right.is_transposed {
            let from = Strided { view: right.view.at(item.first_col * right.stride + start), stride: right.stride };
            transpose(warp, COLS / HALF_WARP, from, [len, col_panels], to.right);
        } else {
            let from = Strided { view: right.view.at(start * right.stride + item.first_col), stride: right.stride };
            copy(warp, COLS / HALF_WARP, from, [len, col_panels], to.right);
        }
    }

    /// Joins sums of a segment with the partial sums, and puts them to their use after the last segment. They begin at
    /// `[row, col]` of the result.
    #[inline(always)]
    fn end_segment(&self, warp: &Warp, [row, col]: [usize; 2], partial: Partial, sums: &Column) {
        let sums = partial.end(*sums);
        if partial.part.is_last {
            let stride = warp.rematerialize(self.y_stride);
            let strides = Strides { pair: stride, half: PAIRS * stride };
            self.output.apply(sums, self.y, strides, row * stride + col, col);
            // The squares of a block are those of other lanes than wrote it.
            warp.sync();
            self.store_squares::<1>(row, col);
        }
    }
}

#[inline(always)]
fn zero<const WIDTH: usize>() -> [Column; WIDTH] {
    [[[F32x32::splat(0.0)]; PAIRS]; WIDTH]
}

/// Copies pairs of rows, `[len, panels]` half-warps, where up to `widest` panels lie side by side.
#[inline(always)]
fn copy(warp: &Warp, widest: usize, from: Strided, [len, panels]: [usize; 2], to: Strided) {
    let i = warp.index % widest;
    if i < panels {
        for k in (warp.index / widest..len.div_ceil(2)).step_by(GPU_WARPS / widest) {
            // After an odd last row, the row itself is read again and not used.
            let next = if 2 * k + 1 < len { from.stride } else { 0 };
            let rows = from.view.load_halves(2 * k * from.stride + i * HALF_WARP, next);
            to.view.store_halves(2 * k * to.stride + i * HALF_WARP, to.stride, rows);
        }
    }
}

/// Transposes blocks of 16 by 16 elements, `[panels, len]` in `from`, where up to `widest` panels lie one after the other.
#[inline(always)]
fn transpose(warp: &Warp, widest: usize, from: Strided, [len, panels]: [usize; 2], to: Strided) {
    let i = warp.index % widest;
    if i < panels {
        for k in (warp.index / widest..len.div_ceil(HALF_WARP)).step_by(GPU_WARPS / widest) {
            let from = Strided { view: from.view.at(i * HALF_WARP * from.stride + k * HALF_WARP), ..from };
            let to = Strided { view: to.view.at(k * HALF_WARP * to.stride + i * HALF_WARP), ..to };
            transpose_block(from, to);
        }
    }
}

/// Adds the product of `len` staged indices to the sums of a tile, one index after the other.
#[inline(always)]
fn multiply<const WIDTH: usize>(left: Strided, right: Strided, len: usize, sums: &mut [Column; WIDTH]) {
    /// The number of indices that are added without a branch.
    const UNROLLED: usize = 8;
    let mut k = 0;
    while k + UNROLLED <= len {
        for i in 0..UNROLLED {
            multiply_one(left, right, k + i, sums);
        }
        k += UNROLLED;
    }
    while k < len {
        multiply_one(left, right, k, sums);
        k += 1;
    }
}

#[inline(always)]
fn multiply_one<const WIDTH: usize>(left: Strided, right: Strided, k: usize, sums: &mut [Column; WIDTH]) {
    let quads =
        [left.view.broadcast_quads(k * left.stride, PAIRS), left.view.broadcast_quads(k * left.stride + 4, PAIRS)];
    for i in 0..WIDTH {
        let cols = F32x32::broadcast(right.view.load(k * right.stride + i * HALF_WARP));
        for pair in 0..PAIRS {
            sums[i][pair][0] = quads[pair / 4][pair % 4].mul_add(cols, sums[i][pair][0]);
        }
    }
}
