//! The operands of a product, and their packing into panels.

use simt::{HALF_WARP, View, Warp};

use super::tile::{PANEL_ROWS, Strided, transpose};

/// The left operand. Its rows are the rows of the product.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Left<V = View> {
    /// `[rows, contracted]`, or `[contracted, rows]` if transposed. The rows are padded to a
    /// multiple of sixteen, and up to 15 elements after the last one are read. A GPU reads up to seven contracted indices
    /// after the last one of a transposed operand.
    pub view: V,
    /// The stride of the first axis, in elements.
    pub stride: usize,
    /// Whether the first axis is the contracted one.
    pub is_transposed: bool,
}

/// The right operand. Its columns are the columns of the product.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Right<V = View> {
    /// `[contracted, cols]`, or `[cols, contracted]` if transposed. The contracted axis of the latter is padded to
    /// half-warps. A GPU reads up to seven contracted indices after the last one of the former.
    pub view: V,
    /// The stride of the first axis, in elements.
    pub stride: usize,
    /// Whether the second axis is the contracted one.
    pub is_transposed: bool,
}

impl<V> Left<V> {
    /// Applies `f` to the view.
    #[inline(always)]
    pub(super) fn map<W>(self, f: impl FnOnce(V) -> W) -> Left<W> {
        Left { view: f(self.view), stride: self.stride, is_transposed: self.is_transposed }
    }
}

impl<V> Right<V> {
    /// Applies `f` to the view.
    #[inline(always)]
    pub(super) fn map<W>(self, f: impl FnOnce(V) -> W) -> Right<W> {
        Right { view: f(self.view), stride: self.stride, is_transposed: self.is_transposed }
    }
}

impl Left {
    /// Returns whether an item of so many columns packs its rows.
    #[inline(always)]
    pub(super) fn is_packed(&self, cols: usize) -> bool {
        /// The fewest columns for which packing takes less time than it saves.
        const MIN_COLS: usize = 96;
        self.is_transposed && cols >= MIN_COLS
    }

    /// Packs `rows` rows from `first` on of a transposed operand into panels `[contracted, 16]`, one after the other, for
    /// `len` contracted indices from `start` on.
    #[inline(always)]
    pub(super) fn pack(self, [first, rows]: [usize; 2], [start, len]: [usize; 2], to: View) {
        /// The contracted indices that are packed at once. The processor fetches the adjacent lines of each ahead.
        const AT_ONCE: usize = 8;
        let from = self.view.at(start * self.stride + first);
        for begin in (0..len).step_by(AT_ONCE) {
            for row in (0..rows).step_by(PANEL_ROWS) {
                for k in begin..len.min(begin + AT_ONCE) {
                    to.store(row * len + k * PANEL_ROWS, from.load(k * self.stride + row));
                }
            }
        }
    }
}

impl Right {
    /// Packs a panel of `half_warps` half-warps of columns from `first` on, `[contracted, columns]`, for `len` contracted
    /// indices from `start` on.
    #[inline(always)]
    pub(super) fn pack(self, warp: &Warp, [first, half_warps]: [usize; 2], [start, len]: [usize; 2], to: View) {
        let (Self { view, stride, is_transposed }, to_stride) = (self, half_warps * HALF_WARP);
        if is_transposed {
            let from = Strided { view: view.at(first * stride + start), stride };
            let to = Strided { view: to, stride: to_stride };
            transpose(warp, 0, from, [half_warps, len.div_ceil(HALF_WARP)], to);
        } else {
            let from = view.at(start * stride + first);
            for k in 0..len {
                for i in 0..half_warps {
                    to.store(k * to_stride + i * HALF_WARP, from.load(k * stride + i * HALF_WARP));
                }
            }
        }
    }
}
