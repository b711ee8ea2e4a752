//! The weights block by block: where each gradient comes from, and what is done with it. A warp updates the blocks whose
//! gradients it computed.

use super::Train;
use crate::activations::Activations;
use crate::layout::{Layout, Matrix};
use crate::model::Pass;
use crate::shape::{Shape, TILE, div, rem};
use crate::simt::{Block, F32x32, Strided, Target, Warp};
use crate::stages::adamw::Update;
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
    pub(super) fn block(self, i: usize, wide: usize) -> WeightBlock {
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

/// Pairs of rows of `wpe`.
#[derive(Clone, Copy)]
pub(super) struct PositionPairs {
    rows: usize,
    tiles: usize,
}

impl PositionPairs {
    #[inline(always)]
    pub(super) fn count(self) -> usize {
        self.rows * self.tiles
    }

    /// Those of a share, where `first` items came before: pair, channel, index among all items.
    #[inline(always)]
    pub(super) fn items(self, share: Strided, first: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        share.map(move |i| (div(i, self.tiles), rem(i, self.tiles) * TILE, first + i))
    }
}

/// Blocks of weights, the rows of `wpe` two by two among them.
#[inline(always)]
pub(super) fn gradient_blocks<S: Shape>(s: S) -> usize {
    let positions = Layout(s).wpe_rows() / 2 * tiles_of(s.n_embd_padded());
    Layout(s).head_matrix().blocks() + positions + s.n_layer() * layer_blocks(s)
}

/// Blocks of a layer's weights: those of `wq, wk, wv, wo, fc1, fc2` in this order.
#[inline(always)]
pub(super) fn layer_blocks<S: Shape>(s: S) -> usize {
    Layout(s).layer_matrices(0).iter().map(|matrix| matrix.blocks()).sum()
}

/// Tiles of `n` channels.
#[inline(always)]
pub(super) fn tiles_of(n: usize) -> usize {
    n / TILE
}

impl<S: Shape> Train<S> {
    /// `wte` as the output head.
    #[inline(always)]
    pub(super) fn head_weight(&self) -> Weight {
        let a = Activations::of(self.s, 0);
        Weight { matrix: self.model.layout.head_matrix(), dy: a.logits, x: a.x }
    }

    /// Block `i` of layer `l`, see [`layer_blocks`]. Worked out from the number, so that the work on a block stands once in the
    /// kernel.
    #[inline(always)]
    pub(super) fn layer_block(&self, l: usize, i: usize) -> WeightBlock {
        let (s, a) = (self.s, Activations::of(self.s, l));
        let [wq, _, _, wo, fc1, fc2] = self.model.layout.layer_matrices(l);
        let (attn, mlp) = (wq.blocks(), fc1.blocks());
        if i < 3 * attn {
            let (which, i) = (div(i, attn), rem(i, attn));
            let matrix = Matrix { offset: self.model.layout.attn_qkv(l, which), ..wq };
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
                let mut first = self.embedding_gradients(warp, &p, add);
                for l in 0..self.s.n_layer() {
                    for i in warp.share_after(first, layer_blocks(self.s)) {
                        let rows = self.gradient(warp, &p, self.layer_block(l, i), add);
                        self.squares.set_row((first + i) * TILE, clip::squares(rows));
                    }
                    first += layer_blocks(self.s);
                }
            },
        );
    }

    /// The gradients of `wte`, as the head and as the embedding, and of `wpe`; how many blocks they are.
    #[inline(always)]
    fn embedding_gradients(&self, warp: &Warp, p: &Pass, add: bool) -> usize {
        let (head, grads) = (self.head_weight(), self.arrays.grads);
        let dx_embed = p.work.at(Activations::of(self.s, 0).dx_embed);
        for i in warp.share(head.matrix.blocks()) {
            let block = head.block(i, tiles_of(head.matrix.cols));
            self.gradient(warp, p, block, add);
            warp.sync();
            embed::backward_token(warp, self.s, dx_embed, p.document, p.n, grads.at(head.matrix.offset), block.place);
            let mut rows = [F32x32::splat(0.0); TILE / 2];
            for r in 0..TILE / 2 {
                rows[r] = grads.row_pair(block.at() + 2 * r * head.matrix.cols, head.matrix.cols);
            }
            self.squares.set_row(i * TILE, clip::squares(rows));
        }
        let first = head.matrix.blocks();
        let pairs = self.position_pairs();
        for (pair, col, index) in pairs.items(warp.share_after(first, pairs.count()), first) {
            let (at, stride) = (self.model.layout.wpe() + 2 * pair * head.matrix.cols + col, head.matrix.cols);
            let mut rows = embed::backward_position(self.s, dx_embed, p.n, 2 * pair, col);
            if add {
                rows = grads.row_pair(at, stride) + rows;
            }
            grads.set_row_pair(at, stride, rows);
            self.squares.set_row(index * TILE, clip::squares([rows]));
        }
        first + pairs.count()
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

    /// Updates the blocks of weights that `share` gives this warp, of so many after so many others.
    #[inline(always)]
    pub(super) fn update_weights(&self, warp: &Warp, update: &Update, share: impl Fn(usize, usize) -> Strided) {
        let (head, wpe) = (self.head_weight(), self.model.layout.wpe());
        for i in share(0, head.matrix.blocks()) {
            let block = head.block(i, tiles_of(head.matrix.cols));
            self.update_block(warp, update, block, (self.s.vocab() - block.place.0).div_ceil(2).min(TILE / 2));
        }
        let mut first = head.matrix.blocks();
        let pairs = self.position_pairs();
        for (pair, col, _) in pairs.items(share(first, pairs.count()), first) {
            update.row_pairs::<1>(warp, self.arrays, wpe + 2 * pair * head.matrix.cols + col, head.matrix.cols);
        }
        first += pairs.count();
        for l in 0..self.s.n_layer() {
            for i in share(first, layer_blocks(self.s)) {
                self.update_block(warp, update, self.layer_block(l, i), TILE / 2);
            }
            first += layer_blocks(self.s);
        }
    }

    #[inline(always)]
    fn update_block(&self, warp: &Warp, update: &Update, block: WeightBlock, pairs: usize) {
        update.block(warp, self.arrays, self.model.transposed, block.weight.matrix, block.place, pairs);
    }

    /// The rows of `wpe` two by two, tile by tile.
    #[inline(always)]
    pub(super) fn position_pairs(&self) -> PositionPairs {
        PositionPairs { rows: self.model.layout.wpe_rows() / 2, tiles: tiles_of(self.s.n_embd_padded()) }
    }
}
