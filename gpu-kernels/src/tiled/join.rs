//! The gradients of a step from the sums over its parts, in strips of sixteen rows of a tensor.

use simt::{Block, F32x16, F32x32, HALF_WARP, Target, View, Warp, inline};

use super::squares::Squares;
use super::update::{Strip, Tensor};
use super::views::Step;
use crate::layout::{Layout, Place};
use crate::ops::clip;
use crate::shape::Shape;

impl Step {
    /// Divides a strip of the sums by the number of documents, and sums up the squares. The strips of `wte` join the sums of
    /// the embedding and of the `lm_head`, with the roundings of a step that is computed as a whole.
    #[inline(always)]
    pub fn join<T: Target>(self, block: &Block<T>, index: usize) {
        let (s, tensors, places) = (self.s, Layout(self.s).model(), Squares::new(self.s));
        block.each_warp(inline!(move |warp| {
            let strip = Strip::new(s, index);
            match strip.tensor {
                Tensor::Wte => {
                    self.join_tokens(warp, tensors.wte, strip.index * HALF_WARP);
                    self.scale_blocks::<{ HALF_WARP / 2 }>(warp, tensors.wte, strip.index, self.squares, 1.0);
                }
                Tensor::Wpe => {
                    let pairs = (tensors.wpe.rows - strip.index * HALF_WARP).min(HALF_WARP) / 2;
                    for pair in 0..pairs {
                        let strip = strip.index * (HALF_WARP / 2) + pair;
                        self.scale_blocks::<1>(warp, tensors.wpe, strip, self.squares.at(places.wpe), self.scale());
                    }
                }
                Tensor::OfLayer(matrix) => {
                    let squares = self.squares.at(places.of(matrix));
                    self.scale_blocks::<{ HALF_WARP / 2 }>(warp, matrix, strip.index, squares, self.scale());
                }
            }
        }));
    }

    /// Joins the two sums of sixteen tokens.
    #[inline(always)]
    fn join_tokens(&self, warp: &Warp, wte: Place, first: usize) {
        let (c, grads, scale) = (wte.cols, self.arrays.grads, F32x16::splat(self.scale()));
        let apart = grads.at(Layout(self.s).len());
        for col in warp.block_stride(c / HALF_WARP) {
            for token in first..first + HALF_WARP {
                let at = wte.offset + token * c + col * HALF_WARP;
                let lm_head = grads.load(at) * scale;
                let embedding = apart.load(at - wte.offset);
                // Both half-warps have read the sums before either replaces them.
                warp.sync();
                let is_token = token < self.s.vocab();
                grads.store(at, if is_token { embedding.mul_add(scale, lm_head) } else { lm_head });
            }
            // A block is read by other lanes than those that wrote it.
            warp.sync();
        }
    }

    /// Scales the blocks of `2 PAIRS` rows of a tensor in strip `strip`, and sums up the squares of each.
    #[inline(always)]
    fn scale_blocks<const PAIRS: usize>(&self, warp: &Warp, tensor: Place, strip: usize, squares: View, scale: f32) {
        let (grads, across) = (self.arrays.grads, tensor.cols / HALF_WARP);
        for col in warp.block_stride(across) {
            let i = strip * across + col;
            let block = tensor.block(2 * PAIRS, i);
            let mut rows = block.load::<PAIRS>(grads);
            for row in &mut rows {
                *row = *row * F32x32::splat(scale);
            }
            block.store(grads, rows);
            squares.store(i * HALF_WARP, clip::squares(rows));
        }
    }
}
