//! The operands of a product, and their packing into panels.

use simt::{HALF_WARP, View, Warp};

use super::sum::Part;
use super::tile::{Strided, panel_width, transpose};

/// The left operand. Its rows are the rows of the product.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Left<V = View> {
    /// `[rows, contracted]`, or `[contracted, rows]` if transposed. The rows are padded to a
    /// multiple of sixteen, and up to 15 elements after the last one are read. A GPU reads up to three contracted indices
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
    /// half-warps. A GPU reads up to three contracted indices after the last one of the former.
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

impl Right {
    /// Prefetches share `index` of `shares` of the columns from `first` on, for `len` contracted indices from `start` on.
    #[inline(always)]
    pub(super) fn prefetch(self, [first, cols]: [usize; 2], [start, len]: [usize; 2], index: usize, shares: usize) {
        let Self { view, stride, is_transposed } = self;
        let (from, rows, adjacent) =
            if is_transposed { (first * stride + start, cols, len) } else { (start * stride + first, len, cols) };
        for row in (index..rows).step_by(shares) {
            for i in (0..adjacent).step_by(HALF_WARP) {
                view.prefetch(from + row * stride + i);
            }
        }
    }

    /// Packs columns from `first` on into panels `[contracted, panel width]`, one after the other.
    #[inline(always)]
    pub(super) fn pack(self, warp: &Warp, first: usize, cols: usize, part: Part, widest: usize, to: View) {
        let Self { view, stride, is_transposed } = self;
        let mut col = 0;
        while col < cols {
            let half_warps = panel_width((cols - col) / HALF_WARP, widest);
            let (to, to_stride) = (to.at(col * part.len), half_warps * HALF_WARP);
            if is_transposed {
                let from = Strided { view: view.at((first + col) * stride + part.start), stride };
                let to = Strided { view: to, stride: to_stride };
                transpose(warp, 0, from, [half_warps, part.len.div_ceil(HALF_WARP)], to);
            } else {
                let from = view.at(part.start * stride + first + col);
                for k in warp.block_stride(part.len) {
                    for i in 0..half_warps {
                        to.store(k * to_stride + i * HALF_WARP, from.load(k * stride + i * HALF_WARP));
                    }
                }
            }
            col += half_warps * HALF_WARP;
        }
    }
}
