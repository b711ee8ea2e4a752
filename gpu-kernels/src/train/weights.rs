//! The weights block by block: where each gradient comes from, and what is done with it. A warp updates the blocks whose
//! gradients it computed.

use crate::activations::Activations;
use crate::layout::{Layout, Matrix};
use crate::model::Pass;
use crate::shape::{Shape, TILE, div, rem};
use crate::simt::{Block, F32x32, Strided, Target, Tile, Warp};
use crate::stages::adamw::{Arrays, Update};
use crate::stages::linear::weight_gradient;
use crate::stages::{clip, embed};

/// A matrix of the model with where its gradient comes from: `dw = dy^T x` over the document's positions.
#[derive(Clone, Copy)]
pub(super) struct Weight {
    pub(super) matrix: Matrix,
    /// Offset of `dy: [T, rows]` in the workspace.
    dy: usize,
    /// Offset of `x: [T, cols]` in the workspace.
    x: usize,
}

/// A block of `TILE` by `TILE` weights.
#[derive(Clone, Copy)]
pub(super) struct WeightBlock {
    pub(super) weight: Weight,
    /// Row and column.
    place: (usize, usize),
}

impl Weight {
    /// Block `i`, of `wide` side by side.
    #[inline(always)]
    fn block(self, i: usize, wide: usize) -> WeightBlock {
        WeightBlock { weight: self, place: (div(i, wide) * TILE, rem(i, wide) * TILE) }
    }
}

impl WeightBlock {
    /// Where it begins in the flat arrays.
    #[inline(always)]
    pub(super) fn at(self) -> usize {
        let (matrix, (row, col)) = (self.weight.matrix, self.place);
        matrix.offset + row * matrix.cols + col
    }
}

/// Blocks of weights, the rows of `wpe` two by two among them: as many as [`WeightArrays::each_block`] visits.
#[inline(always)]
pub(super) fn gradient_blocks<S: Shape>(s: S) -> usize {
    Layout(s).head_matrix().blocks() + position_pairs(s) + s.n_layer() * layer_blocks(s)
}

/// Pairs of rows of `wpe`, tile by tile.
#[inline(always)]
fn position_pairs<S: Shape>(s: S) -> usize {
    Layout(s).wpe_rows() / 2 * tiles_of(s.n_embd_padded())
}

/// Blocks of a layer's weights: those of `wq, wk, wv, wo, fc1, fc2` in this order.
#[inline(always)]
fn layer_blocks<S: Shape>(s: S) -> usize {
    Layout(s).layer_matrices(0).iter().map(|matrix| matrix.blocks()).sum()
}

/// Tiles of `n` channels.
#[inline(always)]
fn tiles_of(n: usize) -> usize {
    n / TILE
}

/// Parameters, gradients and moments, and what is known of each block of them.
#[derive(Clone, Copy)]
pub(super) struct WeightArrays<S> {
    pub(super) s: S,
    pub(super) arrays: Arrays,
    /// The transposed copies of the matrices.
    pub(super) transposed: Tile,
    /// `[gradient_blocks, TILE]`: the partial sums of squares of the gradients' blocks.
    pub(super) squares: Tile,
}

impl<S: Shape> WeightArrays<S> {
    /// Visits the blocks of weights that `share` gives: `share(first, count)` are those of the next `count` blocks, where `first`
    /// came before. First those of `wte`, as the output head, then the pairs of rows of `wpe`, then those of the layers. A visitor
    /// is told a block's number among all of them, and of a pair of rows its first row and its channel.
    #[inline(always)]
    pub(super) fn each_block(
        &self,
        share: impl Fn(usize, usize) -> Strided,
        head: impl Fn(usize, WeightBlock),
        positions: impl Fn(usize, (usize, usize)),
        layer: impl Fn(usize, WeightBlock),
    ) {
        let (s, wte) = (self.s, self.head_weight());
        let tiles = tiles_of(s.n_embd_padded());
        for i in share(0, wte.matrix.blocks()) {
            head(i, wte.block(i, tiles));
        }
        let mut first = wte.matrix.blocks();
        for i in share(first, position_pairs(s)) {
            positions(first + i, (2 * div(i, tiles), rem(i, tiles) * TILE));
        }
        first += position_pairs(s);
        for l in 0..s.n_layer() {
            for i in share(first, layer_blocks(s)) {
                layer(first + i, self.layer_block(l, i));
            }
            first += layer_blocks(s);
        }
    }

    /// Where row `row` of `wpe`, from channel `col` on, lies in the flat arrays.
    #[inline(always)]
    pub(super) fn position(&self, (row, col): (usize, usize)) -> usize {
        Layout(self.s).wpe() + row * self.s.n_embd_padded() + col
    }

    /// `wte` as the output head.
    #[inline(always)]
    fn head_weight(&self) -> Weight {
        let a = Activations::of(self.s, 0);
        Weight { matrix: Layout(self.s).head_matrix(), dy: a.logits, x: a.x }
    }

    /// Block `i` of layer `l`, see [`layer_blocks`]. Worked out from the number, so that the work on a block stands once in the
    /// kernel.
    #[inline(always)]
    fn layer_block(&self, l: usize, i: usize) -> WeightBlock {
        let (s, a) = (self.s, Activations::of(self.s, l));
        let [wq, _, _, wo, fc1, fc2] = Layout(s).layer_matrices(l);
        let (attn, mlp) = (wq.blocks(), fc1.blocks());
        if i < 3 * attn {
            let (which, i) = (div(i, attn), rem(i, attn));
            let matrix = Matrix { offset: Layout(s).attn_qkv(l, which), ..wq };
            Weight { matrix, dy: a.dqkv(which), x: a.xn_attn }.block(i, tiles_of(s.n_embd_padded()))
        } else if i < 4 * attn {
            Weight { matrix: wo, dy: a.dx_mid, x: a.attn }.block(i - 3 * attn, tiles_of(s.n_attn_padded()))
        } else if i < 4 * attn + mlp {
            Weight { matrix: fc1, dy: a.dh, x: a.xn_mlp }.block(i - 4 * attn, tiles_of(s.n_embd_padded()))
        } else {
            let i = i - 4 * attn - mlp;
            Weight { matrix: fc2, dy: a.dx_out, x: a.h2 }.block(i, tiles_of(s.n_hidden_padded()))
        }
    }

    /// Every gradient, added to that of the documents before if there were any, and the sum of its squares block by block.
    #[inline(always)]
    pub(super) fn weight_gradients<T: Target>(self, block: &Block<T>, p: Pass, add: bool) {
        block.each_warp(
            #[inline(always)]
            move |warp| {
                let dx_embed = p.work.at(Activations::of(self.s, 0).dx_embed);
                self.each_block(
                    #[inline(always)]
                    |first, count| warp.share_after(first, count),
                    #[inline(always)]
                    |i, block| self.head_gradient(warp, &p, i, block, add),
                    #[inline(always)]
                    |i, place| {
                        let (at, stride) = (self.position(place), self.s.n_embd_padded());
                        let mut rows = embed::backward_position(self.s, dx_embed, p.n, place.0, place.1);
                        if add {
                            rows = self.arrays.grads.row_pair(at, stride) + rows;
                        }
                        self.arrays.grads.set_row_pair(at, stride, rows);
                        self.squares.set_row(i * TILE, clip::squares([rows]));
                    },
                    #[inline(always)]
                    |i, block| {
                        let rows = self.gradient(warp, &p, block, add);
                        self.squares.set_row(i * TILE, clip::squares(rows));
                    },
                );
            },
        );
    }

    /// The gradient of block `i`, of `wte`: as the head, then as the embedding.
    #[inline(always)]
    fn head_gradient(&self, warp: &Warp, p: &Pass, i: usize, block: WeightBlock, add: bool) {
        let (matrix, grads) = (block.weight.matrix, self.arrays.grads);
        let dx_embed = p.work.at(Activations::of(self.s, 0).dx_embed);
        self.gradient(warp, p, block, add);
        warp.sync();
        embed::backward_token(warp, self.s, dx_embed, p.document, p.n, grads.at(matrix.offset), block.place);
        let mut rows = [F32x32::splat(0.0); TILE / 2];
        for r in 0..TILE / 2 {
            rows[r] = grads.row_pair(block.at() + 2 * r * matrix.cols, matrix.cols);
        }
        self.squares.set_row(i * TILE, clip::squares(rows));
    }

    /// The gradient of one block of a matrix.
    #[inline(always)]
    fn gradient(&self, warp: &Warp, p: &Pass, block: WeightBlock, add: bool) -> [F32x32; TILE / 2] {
        let Weight { matrix, dy, x } = block.weight;
        let (row, col) = block.place;
        let mut rows = [F32x32::splat(0.0); TILE / 2];
        if add {
            for r in 0..TILE / 2 {
                rows[r] = self.arrays.grads.row_pair(block.at() + 2 * r * matrix.cols, matrix.cols);
            }
        }
        let (dy, x) = ((p.work.at(dy), matrix.rows, row), (p.work.at(x), matrix.cols, col));
        rows = weight_gradient(warp, dy, x, p.n, rows);
        for r in 0..TILE / 2 {
            self.arrays.grads.set_row_pair(block.at() + 2 * r * matrix.cols, matrix.cols, rows[r]);
        }
        rows
    }

    /// Updates the blocks of weights that `share` gives this warp, see [`Self::each_block`].
    #[inline(always)]
    pub(super) fn update_weights(&self, warp: &Warp, update: &Update, share: impl Fn(usize, usize) -> Strided) {
        self.each_block(
            share,
            #[inline(always)]
            |_, head| self.update_block(warp, update, head, (self.s.vocab() - head.place.0).div_ceil(2).min(TILE / 2)),
            #[inline(always)]
            |_, place| update.row_pairs::<1>(warp, self.arrays, self.position(place), self.s.n_embd_padded()),
            #[inline(always)]
            |_, layer| self.update_block(warp, update, layer, TILE / 2),
        );
    }

    #[inline(always)]
    fn update_block(&self, warp: &Warp, update: &Update, block: WeightBlock, pairs: usize) {
        update.block(warp, self.arrays, self.transposed, block.weight.matrix, block.place, pairs);
    }
}
