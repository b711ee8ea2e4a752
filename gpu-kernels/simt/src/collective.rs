//! Reductions, scans and transpositions by all warps of a block.
//!
//! The elements are divided into [`GPU_WARPS`] parts on every device, so the order of a combination, and with it the bits
//! of a sum, depend on the number of elements alone.

use crate::array::Array;
use crate::array2::Array2;
#[cfg(not(target_arch = "nvptx64"))]
use crate::cpu as backend;
use crate::element::{Element, Scalar};
#[cfg(target_arch = "nvptx64")]
use crate::gpu as backend;
use crate::kernel_block::KernelBlock;
use crate::lanes::{self, Lanes};
use crate::space::{SharedMemory, Space, Writable};
use crate::target::{GPU_WARPS, Target, WARP};
use backend::Mask32;

/// The number of elements of shared memory that [`KernelBlock::reduce`] and [`KernelBlock::scan`] take.
pub const PARTS: usize = GPU_WARPS;

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
    /// which avoids bank conflicts.
    #[inline(always)]
    pub fn transpose<E: Element, S: Space, R: Writable>(
        &self,
        x: Array2<E, S>,
        y: Array2<E, R>,
        tile: Array2<E, SharedMemory>,
        fill: Scalar<E>,
    ) {
        let fill = E::Lanes::splat(fill);
        self.each_warp(
            #[inline(always)]
            move |warp| {
                for row in warp.block_stride(x.rows().min(WARP)) {
                    tile.store_lanes(row, 0, x.load_row(row, 0, fill));
                }
            },
        );
        self.each_warp(
            #[inline(always)]
            move |warp| {
                let rows = tile.part(0, 0, x.rows(), WARP);
                for column in warp.block_stride(x.columns().min(WARP)) {
                    y.store_row(column, 0, rows.load_column(0, column, fill));
                }
            },
        );
    }
}
