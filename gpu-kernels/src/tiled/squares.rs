//! The places of the partial sums of the gradients' squares.

use simt::HALF_WARP;

use crate::layout::{Layout, Place};
use crate::shape::Shape;

/// Returns the number of elements in [`StepArgs::squares`], sixteen for each block of 16 by 16 weights, and for each
/// block of 2 by 16 weights of `wpe`.
pub fn squares_len<S: Shape>(s: S) -> usize {
    Squares::new(s).len
}

/// The places of the tensors' sums of squares.
pub(super) struct Squares {
    /// The first element of `wpe`.
    pub wpe: usize,
    layers: usize,
    first_layer: usize,
    len: usize,
}

impl Squares {
    #[inline(always)]
    pub fn new<S: Shape>(s: S) -> Self {
        let (layout, tensors) = (Layout(s), Layout(s).model());
        let (wpe, first_layer) = (tensors.wte.len() / HALF_WARP, tensors.wte.len() + tensors.wpe.len());
        let layers = wpe + tensors.wpe.len() / 2;
        Self { wpe, layers, first_layer, len: layers + (layout.len() - first_layer) / HALF_WARP }
    }

    /// Returns the number of elements for the weights before this offset, where a strip begins or ends.
    #[cfg(not(target_arch = "nvptx64"))]
    pub fn before(&self, offset: usize) -> usize {
        let wpe_offset = self.wpe * HALF_WARP;
        if offset <= wpe_offset {
            offset / HALF_WARP
        } else if offset < self.first_layer {
            self.wpe + (offset - wpe_offset) / 2
        } else {
            self.layers + (offset - self.first_layer) / HALF_WARP
        }
    }

    /// Returns the first element of a layer's tensor.
    #[inline(always)]
    pub fn of(&self, tensor: Place) -> usize {
        self.layers + (tensor.offset - self.first_layer) / HALF_WARP
    }
}
