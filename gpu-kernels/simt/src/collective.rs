//! Reductions, scans and transpositions by all warps of a block.
//!
//! The elements are divided into [`PARTS`] parts on every device, so the order of a combination, and with it the bits
//! of a sum, depend on the number of elements alone.

use crate::array::Array;
use crate::array2::Array2;
#[cfg(not(target_arch = "nvptx64"))]
use crate::cpu as backend;
use crate::element::{Element, Scalar};
#[cfg(target_arch = "nvptx64")]
use crate::gpu as backend;
use crate::index::half_warps;
use crate::kernel_block::{KernelBlock, PARTS};
use crate::lanes::{self, Lanes};
use crate::space::{SharedMemory, Space, Writable};
use crate::target::{AS_ON_GPU, HALF_WARP, Target, WARP};
use crate::warp::Warp;
use backend::{F32x32, Mask32, Word};

impl<T: Target> KernelBlock<'_, T> {
    /// Combines the first `n` elements of `x`, and returns the result to the code of the block. `parts` has [`PARTS`]
    /// elements. `combine` is associative up to rounding, and `neutral` is its neutral element.
    #[inline(always)]
    pub fn reduce<E: Element, S: Space>(
        &self,
        x: Array<E, S>,
        n: usize,
        parts: Array<E, SharedMemory>,
        neutral: Scalar<E>,
        combine: impl Fn(E::Lanes, E::Lanes) -> E::Lanes + Copy + Sync,
    ) -> Scalar<E> {
        let neutral = E::Lanes::splat(neutral);
        self.each_warp(
            #[inline(always)]
            move |warp| {
                for part in warp.block_stride(PARTS) {
                    let mut total = neutral;
                    for i in (part * WARP..n).step_by(PARTS * WARP) {
                        total = combine(total, x.load_where(Mask32::lanes_below(n - i), i, neutral));
                    }
                    parts.store_scalar(part, lanes::reduce(total, combine));
                }
            },
        );
        let result = lanes::reduce(parts.load_where(Mask32::lanes_below(PARTS), 0, neutral), combine);
        // The next phase may write to `parts` only after all warps have read them.
        self.each_warp(
            #[inline(always)]
            |_| {},
        );
        result
    }

    /// Replaces each of the first `n` elements of `x` by the combination of the elements up to it. `parts` has [`PARTS`]
    /// elements. `combine` is associative up to rounding, and `neutral` is its neutral element.
    #[inline(always)]
    pub fn scan<E: Element, S: Writable>(
        &self,
        x: Array<E, S>,
        n: usize,
        parts: Array<E, SharedMemory>,
        neutral: Scalar<E>,
        combine: impl Fn(E::Lanes, E::Lanes) -> E::Lanes + Copy + Sync,
    ) {
        let neutral = E::Lanes::splat(neutral);
        let len = n.div_ceil(PARTS * WARP) * WARP;
        self.each_warp(
            #[inline(always)]
            move |warp| {
                for part in warp.block_stride(PARTS) {
                    let mut before = neutral;
                    for i in (part * len..n.min((part + 1) * len)).step_by(WARP) {
                        let inside = Mask32::lanes_below(n - i);
                        let sums = combine(before, lanes::scan(x.load_where(inside, i, neutral), combine));
                        x.store_where(inside, i, sums);
                        before = E::Lanes::splat(sums.lane(WARP - 1));
                    }
                    parts.store_scalar(part, before.uniform());
                }
            },
        );
        self.each_warp(
            #[inline(always)]
            move |warp| {
                for part in warp.block_stride(PARTS) {
                    let before = parts.load_where(Mask32::lanes_below(part), 0, neutral);
                    let before = E::Lanes::splat(lanes::reduce(before, combine));
                    for i in (part * len..n.min((part + 1) * len)).step_by(WARP) {
                        let inside = Mask32::lanes_below(n - i);
                        x.store_where(inside, i, combine(before, x.load_where(inside, i, neutral)));
                    }
                }
            },
        );
    }

    /// Writes the transposed `x` to `y`, up to 32 by 32 elements. `tile` has 32 rows of 32 elements, and an odd stride,
    /// which avoids bank conflicts. The CPU leaves the tile alone.
    #[inline(always)]
    pub fn transpose<E: Element, S: Space, R: Writable>(
        &self,
        x: Array2<E, S>,
        y: Array2<E, R>,
        tile: Array2<E, SharedMemory>,
    ) {
        if !AS_ON_GPU {
            return self.each_warp(
                #[inline(always)]
                move |warp| warp.copy_transposed(x, y),
            );
        }
        self.each_warp(
            #[inline(always)]
            move |warp| warp.copy_transposed(x, tile),
        );
        self.each_warp(
            #[inline(always)]
            move |warp| {
                let rows = tile.part(0, 0, WARP, x.rows());
                for row in warp.block_stride(x.columns().min(WARP)) {
                    y.store_row(row, 0, rows.load_row(row, 0, E::Lanes::splat(E::Lanes::ZERO)));
                }
            },
        );
    }
}

impl Warp {
    /// Copies this warp's share of the rows of `to` from the rows of `from`, which has at least as many rows and columns. The
    /// block's warps copy all rows.
    #[inline(always)]
    #[track_caller]
    pub fn copy<E: Element, S: Space, R: Writable>(&self, from: Array2<E, S>, to: Array2<E, R>) {
        from.check(0, to.rows(), 0, to.columns());
        for row in self.block_stride(to.rows()) {
            for column in (0..to.columns()).step_by(WARP) {
                let (inside, zero) = (to.columns_from(column), E::Lanes::splat(E::Lanes::ZERO));
                let elements = from.row(row).load_where(inside, column, zero);
                to.row(row).store_where(inside, column, elements);
            }
        }
    }

    /// Copies this warp's share of the rows of `from` to the columns of `to`, up to 32 by 32 elements. The block's warps copy
    /// all rows. On a GPU the stores to shared memory have no bank conflict if the stride of `to` is odd.
    #[inline(always)]
    pub fn copy_transposed<E: Element, S: Space, R: Writable>(&self, from: Array2<E, S>, to: Array2<E, R>) {
        let (rows, columns) = (from.rows().min(WARP), from.columns().min(WARP));
        if !AS_ON_GPU && <E::Word as Word>::BYTES == 4 && (rows | columns) % HALF_WARP == 0 {
            // The CPU transposes blocks of 16 by 16 elements in registers.
            let (x, y) = (from.array().view(), to.array().view());
            for row in half_warps(rows) {
                for column in half_warps(columns) {
                    let mut pairs = [F32x32::splat(0.0); HALF_WARP / 2];
                    for i in 0..HALF_WARP / 2 {
                        pairs[i] = x.load_halves((row + 2 * i) * from.stride() + column, from.stride());
                    }
                    y.store_transposed(column * to.stride() + row, to.stride(), pairs);
                }
            }
        } else {
            let to = to.part(0, 0, columns, rows);
            for row in self.block_stride(rows) {
                to.store_column(0, row, from.load_row(row, 0, E::Lanes::splat(E::Lanes::ZERO)));
            }
        }
    }
}
