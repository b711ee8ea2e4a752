//! The gradients and the updates of the weights, block by block. A warp updates the blocks whose gradients it computed.

use simt::{Block, F32x32, HALF_WARP, Strided, Target, View, Warp, div, inline, rem};

use crate::layout::{Layout, Place};
use crate::model::Pass;
use crate::ops::adamw::{AdamW, RowPairs, WeightBlock, WeightViews};
use crate::ops::clip;
use crate::ops::embed::{self, EmbedBackward};
use crate::ops::linear::{Columns, weight_gradient};
use crate::shape::Shape;

/// A block of a layer's weights.
#[derive(Clone, Copy)]
pub(super) struct LayerBlock {
    /// The layer.
    l: usize,
    /// The index of the matrix in the layer, from 0 to 5 for `wq, wk, wv, wo, fc1, fc2`.
    matrix: usize,
    /// The block of the matrix.
    pub(super) block: WeightBlock,
}

/// The sources of a matrix's gradient, `dw = dy^T x` over the document's positions.
#[derive(Clone, Copy)]
struct Sources {
    /// `[T, rows]`: the gradient of the product.
    dy: View,
    /// `[T, cols]`: the input of the product.
    x: View,
}

impl Sources {
    /// Returns the sources of a matrix of layer `l`, numbered as in [`LayerBlock`].
    #[inline(always)]
    fn new<S: Shape>(s: S, pass: &Pass, l: usize, matrix: usize) -> Self {
        let a = pass.activations(s, l);
        if matrix < 3 {
            Self { dy: a.dqkv(s, matrix), x: a.xn_attn }
        } else if matrix == 3 {
            Self { dy: a.dx_mid, x: a.attn }
        } else if matrix == 4 {
            Self { dy: a.dh, x: a.xn_mlp }
        } else {
            Self { dy: a.dx_out, x: a.h2 }
        }
    }
}

/// A pair of rows of `wpe`, 16 channels of each.
#[derive(Clone, Copy)]
pub(super) struct PositionPair {
    /// The first row's position.
    t: usize,
    /// The first channel.
    col: usize,
    /// The rows in the flat arrays.
    pub(super) rows: RowPairs,
}

/// Returns block `i` of a matrix, row by row.
#[inline(always)]
fn block(matrix: Place, i: usize) -> WeightBlock {
    let wide = matrix.cols / HALF_WARP;
    WeightBlock { matrix, row: div(i, wide) * HALF_WARP, col: rem(i, wide) * HALF_WARP }
}

/// Returns the number of blocks that [`Weights::each_block`] visits, in which a pair of rows of `wpe` counts as one.
#[inline(always)]
pub(super) fn gradient_blocks<S: Shape>(s: S) -> usize {
    Layout(s).model().wte.blocks() + position_pairs(s) + s.n_layer() * layer_blocks(s)
}

/// Returns the number of pairs of rows of `wpe`, 16 channels each.
#[inline(always)]
fn position_pairs<S: Shape>(s: S) -> usize {
    Layout(s).model().wpe.rows / 2 * (s.n_embd_padded() / HALF_WARP)
}

/// Returns the number of blocks of a layer's matrices.
#[inline(always)]
fn layer_blocks<S: Shape>(s: S) -> usize {
    let tensors = Layout(s).layer(0);
    4 * tensors.attn_wq.blocks() + 2 * tensors.mlp_fc1.blocks()
}

/// The parameters, gradients and moments, and the partial sums of the gradient's squares.
#[derive(Clone, Copy)]
pub(super) struct Weights<S> {
    pub(super) s: S,
    pub(super) views: WeightViews,
    /// `[gradient_blocks, 16]`: the partial sums.
    pub(super) squares: View,
}

impl<S: Shape> Weights<S> {
    /// Visits the blocks of weights that `share` gives, first those of `wte`, then the pairs of rows of `wpe`, then
    /// those of the layers. `share(before, count)` returns the indices to visit among the next `count` blocks, after
    /// `before` earlier ones. A visitor gets the index of the block among all blocks.
    #[inline(always)]
    pub(super) fn each_block(
        &self,
        share: impl Fn(usize, usize) -> Strided,
        lm_head: impl Fn(usize, WeightBlock),
        positions: impl Fn(usize, PositionPair),
        layers: impl Fn(usize, LayerBlock),
    ) {
        let (s, tensors) = (self.s, Layout(self.s).model());
        for i in share(0, tensors.wte.blocks()) {
            lm_head(i, block(tensors.wte, i));
        }
        let mut before = tensors.wte.blocks();
        for i in share(before, position_pairs(s)) {
            let wide = s.n_embd_padded() / HALF_WARP;
            let (t, col) = (2 * div(i, wide), rem(i, wide) * HALF_WARP);
            let Place { offset, cols, decays, .. } = tensors.wpe;
            positions(
                before + i,
                PositionPair { t, col, rows: RowPairs { offset: offset + t * cols + col, stride: cols, decays } },
            );
        }
        before += position_pairs(s);
        for l in 0..s.n_layer() {
            for i in share(before, layer_blocks(s)) {
                layers(before + i, self.layer_block(l, i));
            }
            before += layer_blocks(s);
        }
    }

    /// Returns block `i` of layer `l`. The block is computed from the index, so that the work on a block is in the
    /// kernel once. A GPU would keep a dynamically indexed array in local memory.
    #[inline(always)]
    fn layer_block(&self, l: usize, i: usize) -> LayerBlock {
        let tensors = Layout(self.s).layer(l);
        let (attn, mlp) = (tensors.attn_wq.blocks(), tensors.mlp_fc1.blocks());
        if i < 3 * attn {
            let (which, i) = (div(i, attn), rem(i, attn));
            LayerBlock { l, matrix: which, block: block(tensors.attn_qkv(which), i) }
        } else if i < 4 * attn {
            LayerBlock { l, matrix: 3, block: block(tensors.attn_wo, i - 3 * attn) }
        } else if i < 4 * attn + mlp {
            LayerBlock { l, matrix: 4, block: block(tensors.mlp_fc1, i - 4 * attn) }
        } else {
            LayerBlock { l, matrix: 5, block: block(tensors.mlp_fc2, i - 4 * attn - mlp) }
        }
    }

    /// Computes every gradient, and the sum of its squares block by block. With `add`, the gradients of earlier documents are
    /// part of the sum.
    #[inline(always)]
    pub(super) fn weight_gradients<T: Target>(self, block: &Block<T>, pass: Pass, add: bool) {
        block.each_warp(inline!(move |warp| {
            let dx = pass.activations(self.s, 0).dx_embed;
            let embed = EmbedBackward { dx, document: pass.document, n: pass.n };
            self.each_block(
                inline!(|before, count| warp.block_stride_after(before, count)),
                inline!(|i, block| self.lm_head_gradient(warp, &pass, &embed, i, block, add)),
                inline!(|i, pair| {
                    let (at, stride) = (pair.rows.offset, pair.rows.stride);
                    let mut rows = embed::backward_position(self.s, &embed, pair.t, pair.col);
                    if add {
                        rows = self.views.grads.load_halves(at, stride) + rows;
                    }
                    self.views.grads.store_halves(at, stride, rows);
                    self.squares.store(i * HALF_WARP, clip::squares([rows]));
                }),
                inline!(|i, LayerBlock { l, matrix, block }| {
                    let rows = self.gradient(warp, Sources::new(self.s, &pass, l, matrix), pass.n, block, add);
                    self.squares.store(i * HALF_WARP, clip::squares(rows));
                }),
            );
        }));
    }

    /// Computes the gradient of block `i`, a block of `wte`, as the part of the `lm_head`, then that of the embedding.
    #[inline(always)]
    fn lm_head_gradient(
        &self,
        warp: &Warp,
        pass: &Pass,
        embed: &EmbedBackward,
        i: usize,
        block: WeightBlock,
        add: bool,
    ) {
        let (grads, a) = (self.views.grads, pass.activations(self.s, 0));
        self.gradient(warp, Sources { dy: a.logits, x: a.x }, pass.n, block, add);
        warp.sync();
        embed::backward_token(warp, self.s, embed, grads.at(block.matrix.offset), block.row, block.col);
        self.squares.store(i * HALF_WARP, clip::squares(load_block(grads, block.rows())));
    }

    /// Computes the gradient of one block of a matrix.
    #[inline(always)]
    fn gradient(
        &self,
        warp: &Warp,
        Sources { dy, x }: Sources,
        n: usize,
        block: WeightBlock,
        add: bool,
    ) -> [F32x32; HALF_WARP / 2] {
        let (matrix, grads, rows) = (block.matrix, self.views.grads, block.rows());
        let mut dw = [F32x32::splat(0.0); HALF_WARP / 2];
        if add {
            dw = load_block(grads, rows);
        }
        let dy = Columns { view: dy.at(block.row), stride: matrix.rows };
        let x = Columns { view: x.at(block.col), stride: matrix.cols };
        dw = weight_gradient(warp, dy, x, n, dw);
        for r in 0..HALF_WARP / 2 {
            grads.store_halves(rows.at(r), rows.stride, dw[r]);
        }
        dw
    }

    /// Updates the blocks of weights that `share` gives this warp, see [`Self::each_block`].
    #[inline(always)]
    pub(super) fn update(&self, warp: &Warp, adamw: &AdamW, share: impl Fn(usize, usize) -> Strided) {
        self.each_block(
            share,
            inline!(|_, block| {
                let pairs = (self.s.vocab() - block.row).div_ceil(2).min(HALF_WARP / 2);
                adamw.update_block(warp, &self.views, block, pairs);
            }),
            inline!(|_, pair| adamw.update_rows::<1>(warp, &self.views, pair.rows)),
            inline!(|_, layer| adamw.update_block(warp, &self.views, layer.block, HALF_WARP / 2)),
        );
    }
}

/// Loads a block of 16 by 16 elements as pairs of rows.
#[inline(always)]
fn load_block(view: View, rows: RowPairs) -> [F32x32; HALF_WARP / 2] {
    let mut block = [F32x32::splat(0.0); HALF_WARP / 2];
    for r in 0..HALF_WARP / 2 {
        block[r] = view.load_halves(rows.at(r), rows.stride);
    }
    block
}
