//! The update of the weights, in strips of sixteen rows of a tensor.

use simt::{Block, HALF_WARP, Target, View, Warp, inline, rem};

use super::views::Step;
use crate::layout::{Arrays, Layout, Place};
use crate::ops::adamw::AdamW;
use crate::shape::Shape;

impl Step {
    /// Updates a strip of the weights.
    #[inline(always)]
    pub fn update<T: Target>(self, block: &Block<T>, adamw: AdamW, index: usize) {
        let (s, arrays) = (self.s, self.arrays);
        let tensors = Layout(s).model();
        block.each_warp(inline!(move |warp| {
            let Strip { tensor, index } = Strip::new(s, index);
            let first = index * HALF_WARP;
            match tensor {
                Tensor::Wte => {
                    let rows = (s.vocab() - first).min(HALF_WARP);
                    update_pairs(warp, &adamw, &arrays, tensors.wte, first, rows.div_ceil(2));
                }
                Tensor::Wpe => {
                    let pairs = (tensors.wpe.rows - first).min(HALF_WARP) / 2;
                    update_pairs(warp, &adamw, &arrays, tensors.wpe, first, pairs);
                }
                Tensor::OfLayer(matrix) => update_pairs(warp, &adamw, &arrays, matrix, first, HALF_WARP / 2),
            }
        }));
    }
}

/// Updates pairs of rows of a tensor. The rows are read along their columns, because the memory delivers adjacent
/// elements faster.
#[inline(always)]
fn update_pairs(warp: &Warp, adamw: &AdamW, arrays: &Arrays<View>, tensor: Place, first: usize, pairs: usize) {
    let across = tensor.cols / HALF_WARP;
    for pair in 0..pairs {
        let at = |i: usize| tensor.block(2, (first / 2 + pair) * across + i);
        for i in warp.block_stride(across) {
            adamw.update_rows::<1>(warp, arrays, at(i));
        }
    }
}

/// Returns the number of strips of the weights, sixteen rows of a tensor each.
#[inline(always)]
pub(super) fn strips<S: Shape>(s: S) -> usize {
    let tensors = Layout(s).model();
    tensors.wte.rows / HALF_WARP + tensors.wpe.rows.div_ceil(HALF_WARP) + s.n_layer() * layer_strips(s)
}

/// Returns the offset of the first weight of strip `i`, or the length of the arrays if `i` is the number of strips.
#[cfg(not(target_arch = "nvptx64"))]
pub(super) fn strip_start<S: Shape>(s: S, i: usize) -> usize {
    if i == strips(s) {
        return Layout(s).len();
    }
    let (Strip { tensor, index }, tensors) = (Strip::new(s, i), Layout(s).model());
    let place = match tensor {
        Tensor::Wte => tensors.wte,
        Tensor::Wpe => tensors.wpe,
        Tensor::OfLayer(matrix) => matrix,
    };
    place.offset + index * HALF_WARP * place.cols
}

/// Returns the number of strips of a layer.
#[inline(always)]
fn layer_strips<S: Shape>(s: S) -> usize {
    let tensors = Layout(s).layer(0);
    (3 * tensors.attn_wq.rows + tensors.attn_wo.rows + tensors.mlp_fc1.rows + tensors.mlp_fc2.rows) / HALF_WARP
}

/// Calls `visit` for the number of strips of each matrix in order. The embeddings count as one, and so do `wq`, `wk` and
/// `wv` of a layer.
#[cfg(not(target_arch = "nvptx64"))]
#[inline(always)]
pub(super) fn each_matrix<S: Shape>(s: S, mut visit: impl FnMut(usize)) {
    let tensors = Layout(s).layer(0);
    visit(strips(s) - s.n_layer() * layer_strips(s));
    for _ in 0..s.n_layer() {
        visit(3 * tensors.attn_wq.rows / HALF_WARP);
        for matrix in [tensors.attn_wo, tensors.mlp_fc1, tensors.mlp_fc2] {
            visit(matrix.rows / HALF_WARP);
        }
    }
}

/// A tensor of the model.
#[derive(Clone, Copy)]
pub(super) enum Tensor {
    /// The token embedding.
    Wte,
    /// The position embedding.
    Wpe,
    /// A matrix of a layer.
    OfLayer(Place),
}

/// Sixteen rows of a tensor.
pub(super) struct Strip {
    pub tensor: Tensor,
    /// The index of the strip in the tensor.
    pub index: usize,
}

impl Strip {
    /// Returns strip `i` of the weights.
    #[inline(always)]
    pub fn new<S: Shape>(s: S, i: usize) -> Self {
        let tensors = Layout(s).model();
        let (tokens, positions) = (tensors.wte.rows / HALF_WARP, tensors.wpe.rows.div_ceil(HALF_WARP));
        if i < tokens {
            Self { tensor: Tensor::Wte, index: i }
        } else if i < tokens + positions {
            Self { tensor: Tensor::Wpe, index: i - tokens }
        } else {
            Self::of_layers(s, i - tokens - positions)
        }
    }

    /// Returns strip `i` of all layers.
    #[inline(always)]
    fn of_layers<S: Shape>(s: S, i: usize) -> Self {
        let layer = layer_strips(s);
        let (tensors, mut index) = (Layout(s).layer(simt::div(i, layer)), rem(i, layer));
        let qkv = tensors.attn_wq.rows / HALF_WARP;
        let mut matrix = tensors.attn_qkv(simt::div(index, qkv).min(2));
        if index < 3 * qkv {
            index = rem(index, qkv);
        } else {
            index -= 3 * qkv;
            matrix = tensors.attn_wo;
            if index >= matrix.rows / HALF_WARP {
                index -= matrix.rows / HALF_WARP;
                matrix = tensors.mlp_fc1;
                if index >= matrix.rows / HALF_WARP {
                    index -= matrix.rows / HALF_WARP;
                    matrix = tensors.mlp_fc2;
                }
            }
        }
        Self { tensor: Tensor::OfLayer(matrix), index }
    }
}
