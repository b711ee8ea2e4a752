//! The gradients and the updates of the weights, block by block. A warp updates the blocks whose gradients it computed.

use simt::{Block, F32x32, HALF_WARP, Share, Target, View, WARPS, Warp, div, inline, rem, round_up};

use crate::activations::{Pass, one_of_three};
use crate::layout::{Arrays, Layout, WeightBlock};
use crate::ops::adamw::{AdamW, AdamWParams, StepCoefficients};
use crate::ops::linear::weight_gradient;
use crate::ops::{clip, embed};
use crate::shape::Shape;

/// A matrix of the model.
#[derive(Clone, Copy)]
pub(super) enum Matrix {
    /// The token embedding, tied to the `lm_head`.
    Wte,
    /// The matrix `which` of layer `l`, from 0 to 5 for `wq, wk, wv, wo, fc1, fc2`.
    OfLayer { l: usize, which: usize },
}

/// Returns the number of blocks that [`Weights::each_block`] visits.
#[inline(always)]
pub(super) fn square_blocks<S: Shape>(s: S) -> usize {
    let tensors = Layout(s).model();
    tensors.wte.blocks(HALF_WARP) + tensors.wpe.blocks(2) + s.n_layer() * layer_blocks(s)
}

/// Returns the number of elements in [`Weights::squares`], sixteen for each of the [`square_blocks`], whose number is rounded
/// up to a multiple of four.
#[inline(always)]
pub fn squares_len<S: Shape>(s: S) -> usize {
    round_up(square_blocks(s), 4) * HALF_WARP
}

/// Returns the number of blocks of a layer's matrices.
#[inline(always)]
pub(super) fn layer_blocks<S: Shape>(s: S) -> usize {
    let tensors = Layout(s).layer(0);
    4 * tensors.attn_wq.blocks(HALF_WARP) + 2 * tensors.mlp_fc1.blocks(HALF_WARP)
}

/// Returns the matrix's index and block `i` of layer `l`, computed so that a kernel has the work on a block once.
#[inline(always)]
pub(super) fn layer_block<S: Shape>(s: S, l: usize, i: usize) -> (usize, WeightBlock) {
    let tensors = Layout(s).layer(l);
    let (attn, mlp) = (tensors.attn_wq.blocks(HALF_WARP), tensors.mlp_fc1.blocks(HALF_WARP));
    if i < 3 * attn {
        let which = div(i, attn);
        (which, tensors.attn_qkv(which).block(HALF_WARP, rem(i, attn)))
    } else if i < 4 * attn {
        (3, tensors.attn_wo.block(HALF_WARP, i - 3 * attn))
    } else if i < 4 * attn + mlp {
        (4, tensors.mlp_fc1.block(HALF_WARP, i - 4 * attn))
    } else {
        (5, tensors.mlp_fc2.block(HALF_WARP, i - 4 * attn - mlp))
    }
}

/// Returns the gradient of a matrix's product, `[T, rows]`, and the product's input, `[T, cols]`.
#[inline(always)]
pub(super) fn sources<S: Shape>(s: S, pass: &Pass, matrix: Matrix) -> (View, View) {
    let Matrix::OfLayer { l, which } = matrix else {
        let a = pass.activations(s, 0);
        return (a.logits, a.x);
    };
    let a = pass.activations(s, l);
    if which < 3 {
        (one_of_three(s, a.dq, which), a.xn_attn)
    } else if which == 3 {
        (a.dx_mid, a.attn)
    } else if which == 4 {
        (a.dh, a.xn_mlp)
    } else {
        (a.dx_out, a.h2)
    }
}

/// The parameters, gradients and moments, and the partial sums of the gradient's squares.
#[derive(Clone, Copy)]
pub(super) struct Weights<S> {
    pub(super) s: S,
    pub(super) arrays: Arrays<View>,
    /// `[blocks, 16]`: the partial sums. If the warps hold weights, they are `[16, blocks rounded up]`.
    pub(super) squares: View,
}

impl<S: Shape> Weights<S> {
    /// Visits the warp's share of `wte`'s blocks, `wpe`'s pairs of rows and the layers' blocks, each with its overall index.
    #[inline(always)]
    pub(super) fn each_block(
        &self,
        share: Share,
        positions: impl Fn(usize, WeightBlock),
        matrices: impl Fn(usize, Matrix, WeightBlock),
    ) {
        let s = self.s.rematerialize();
        let tensors = Layout(s).model();
        let (tokens, pairs) = (tensors.wte.blocks(HALF_WARP), tensors.wpe.blocks(2));
        for i in share.first_items(tokens) {
            let tensors = Layout(s.rematerialize()).model();
            matrices(i, Matrix::Wte, tensors.wte.block(HALF_WARP, i));
        }
        for i in share.items(tokens, pairs) {
            let tensors = Layout(s.rematerialize()).model();
            positions(tokens + i, tensors.wpe.block(2, i));
        }
        let mut before = tokens + pairs;
        for l in 0..s.n_layer() {
            let s = s.rematerialize();
            for i in share.items(before, layer_blocks(s)) {
                let s = s.rematerialize();
                let (which, block) = layer_block(s, l, i);
                matrices(before + i, Matrix::OfLayer { l, which }, block);
            }
            before += layer_blocks(s);
        }
    }

    /// Computes every gradient and each block's sum of squares. With `add`, it adds to earlier documents' gradients.
    #[inline(always)]
    pub(super) fn weight_gradients<T: Target>(self, block: &Block<T>, pass: Pass, add: bool) {
        let (s, grads, squares) = (self.s, self.arrays.grads, self.squares);
        block.each_warp(inline!(move |warp| {
            self.each_block(
                warp.block_share(),
                inline!(|i, pair| {
                    let s = s.rematerialize();
                    let mut dw = [embed::backward_position(s, &pass, pair)];
                    if add {
                        dw[0] = pair.load::<1>(grads)[0] + dw[0];
                    }
                    pair.store(grads, dw);
                    squares.store(i * HALF_WARP, clip::squares(dw));
                }),
                inline!(|i, matrix, block| {
                    let s = s.rematerialize();
                    let mut dw = [F32x32::splat(0.0); HALF_WARP / 2];
                    if add {
                        dw = block.load(grads);
                    }
                    let (dy, x) = sources(s, &pass, matrix);
                    weight_gradient(warp, block, dy, x, pass.n, &mut dw);
                    block.store(grads, dw);
                    if let Matrix::Wte = matrix {
                        // All lanes have stored the gradient from the `lm_head`, to which the embedding adds.
                        warp.sync();
                        embed::backward_token(warp, s, &pass, grads, block);
                        dw = block.load(grads);
                    }
                    squares.store(i * HALF_WARP, clip::squares(dw));
                }),
            );
        }));
    }

    /// Clips the gradients, updates the warp's share of weights and moments, and reports `loss` and the gradient's norm.
    #[inline(always)]
    pub(super) fn update<T: Target>(
        self,
        block: &Block<T>,
        share: impl Fn(&Warp) -> Share + Copy,
        params: AdamWParams,
        step: StepCoefficients,
        log: View,
        loss: impl Fn() -> f32 + Copy,
    ) {
        let norm = clip::norm(self.squares, square_blocks(self.s.rematerialize()) * HALF_WARP);
        let params = params.rematerialize(self.s);
        let adamw = AdamW { params, step, clip: clip::scale(norm, params.max_grad_norm) };
        block.each_warp(inline!(move |warp| {
            self.each_block(
                share(warp),
                inline!(|_, pair| adamw.update_rows::<1>(warp, &self.arrays, pair)),
                inline!(|_, matrix, block| {
                    let rows =
                        if let Matrix::Wte = matrix { self.s.rematerialize().vocab() - block.row } else { HALF_WARP };
                    adamw.update_block(warp, &self.arrays, block, rows.div_ceil(2).min(HALF_WARP / 2));
                }),
            );
            if block.index == 0 && warp.index == WARPS - 1 {
                log.store_scalar(0, loss());
                log.store_scalar(1, norm);
            }
        }));
    }
}
