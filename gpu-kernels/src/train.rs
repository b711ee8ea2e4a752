//! The fused training kernel: any number of steps in one launch.

use crate::activations::Activations;
use crate::args::{Optimizer, Schedule, StepLog, TrainArgs};
use crate::layout::{Layout, Matrix};
use crate::model::{Model, Pass};
use crate::shape::{Shape, TILE};
use crate::simt::{Block, F32x32, Grid, Ids, Tile, Warp};
use crate::stages::adamw::{Arrays, Update};
use crate::stages::linear::weight_gradient;
use crate::stages::{clip, cross_entropy, embed};

/// A matrix of the model with where its gradient comes from: `dw = dy^T x` over the document's positions.
#[derive(Clone, Copy)]
struct Weight {
    matrix: Matrix,
    /// Offset of `dy: [T, rows]` in the workspace.
    dy: usize,
    /// Offset of `x: [T, cols]` in the workspace.
    x: usize,
}

/// What one launch works on.
struct Train<S> {
    s: S,
    model: Model<S>,
    arrays: Arrays,
    work: Tile,
    /// `[blocks, TILE]`: the partial sums of squares of the gradients' blocks.
    squares: Tile,
}

/// Elements of `train`'s workspace: the activations and a partial sum of squares for each block of weights.
#[inline(always)]
pub fn train_workspace_len<S: Shape>(s: S) -> usize {
    Activations::len(s) + gradient_blocks(s) * TILE
}

/// Blocks of weights, the rows of `wpe` two by two among them.
#[inline(always)]
fn gradient_blocks<S: Shape>(s: S) -> usize {
    let layer: usize = Layout(s).layer_matrices(0).iter().map(|matrix| matrix.blocks()).sum();
    let positions = Layout(s).wpe_rows() / 2 * (s.n_embd_padded() / TILE);
    Layout(s).head_matrix().blocks() + positions + s.n_layer() * layer
}

/// Trains `args.steps` steps in one block.
///
/// # Safety
/// The pointers of `args` are valid for the lengths that [`TrainArgs`] states, and nothing else uses them meanwhile.
/// Offsets and tokens are consistent: document `i` begins at `offsets[i]`, has at least two tokens, each below V.
#[inline(always)]
pub unsafe fn train<S: Shape>(grid: &Grid, s: S, args: &TrainArgs) {
    let len = Layout(s).len();
    // SAFETY: the caller vouches for pointers and lengths.
    let (train, tokens, offsets) = unsafe {
        let arrays = Arrays {
            w: Tile::new(args.params, len),
            grads: Tile::new(args.grads, len),
            m: Tile::new(args.m, len),
            v: Tile::new(args.v, len),
        };
        let transposed = Tile::new(args.params_transposed, len);
        let work = Tile::new(args.workspace, train_workspace_len(s));
        let model = Model { s, layout: Layout(s), w: arrays.w, transposed };
        let train = Train { s, model, arrays, work, squares: work.at(Activations::len(s)) };
        (train, Ids::new(args.tokens), Ids::new(args.offsets))
    };
    grid.each_block(
        #[inline(always)]
        |block| {
            let mut document = args.first_document as usize;
            for step in 0..args.steps as usize {
                let (start, end) = (offsets.get(document), offsets.get(document + 1));
                let n = s.block_size().min(end - start - 1);
                let pass = Pass { document: tokens.at(start), n, work: train.work };
                train.forward_backward(block, &pass);
                train.weight_gradients(block, &pass);
                // SAFETY: the caller vouches for one entry a step in both.
                let (schedule, log) = unsafe { (&*args.schedule.add(step), &mut *args.log.add(step)) };
                train.update(block, &pass, &args.optimizer, schedule, log);
                document += 1;
                if document == args.documents as usize {
                    document = 0;
                }
            }
        },
    );
}

impl<S: Shape> Train<S> {
    /// The gradient by every activation. Barriers stand where tokens meet: before attention reads other tokens' keys and
    /// values, and before it sums their gradients over other tokens' queries.
    #[inline(always)]
    fn forward_backward(&self, block: &Block, p: &Pass) {
        let (model, layers) = (&self.model, self.s.n_layer());
        block.each_warp(
            #[inline(always)]
            |warp| {
                for t0 in warp.token_groups(p.n) {
                    model.embed(warp, p, t0);
                    model.before_attention(warp, p, 0, t0);
                }
            },
        );
        for l in 0..layers {
            block.each_warp(
                #[inline(always)]
                |warp| {
                    for t0 in warp.token_groups(p.n) {
                        model.after_attention(warp, p, l, t0);
                        if l + 1 < layers {
                            model.before_attention(warp, p, l + 1, t0);
                        } else {
                            model.head(warp, p, t0);
                            model.head_backward(warp, p, t0);
                            model.backward_to_scores(warp, p, l, t0);
                        }
                    }
                },
            );
        }
        for l in (0..layers).rev() {
            block.each_warp(
                #[inline(always)]
                |warp| {
                    for t0 in warp.token_groups(p.n) {
                        model.backward_from_scores(warp, p, l, t0);
                    }
                },
            );
            if l > 0 {
                // Behind a barrier: it writes the gradients of scores that the keys of layer `l` have read.
                block.each_warp(
                    #[inline(always)]
                    |warp| {
                        for t0 in warp.token_groups(p.n) {
                            model.backward_to_scores(warp, p, l - 1, t0);
                        }
                    },
                );
            }
        }
    }

    /// The matrices of layer `l`.
    #[inline(always)]
    fn layer_weights(&self, l: usize) -> [Weight; 6] {
        let a = Activations::of(self.s, l);
        let [wq, wk, wv, wo, fc1, fc2] = self.model.layout.layer_matrices(l);
        [
            Weight { matrix: wq, dy: a.dq, x: a.xn_attn },
            Weight { matrix: wk, dy: a.dk, x: a.xn_attn },
            Weight { matrix: wv, dy: a.dv, x: a.xn_attn },
            Weight { matrix: wo, dy: a.dx_mid, x: a.attn },
            Weight { matrix: fc1, dy: a.dh, x: a.xn_mlp },
            Weight { matrix: fc2, dy: a.dx_out, x: a.h2 },
        ]
    }

    /// `wte` as the output head.
    #[inline(always)]
    fn head_weight(&self) -> Weight {
        let a = Activations::of(self.s, 0);
        Weight { matrix: self.model.layout.head_matrix(), dy: a.logits, x: a.x }
    }

    /// Every gradient, and the sum of its squares block by block.
    #[inline(always)]
    fn weight_gradients(&self, block: &Block, p: &Pass) {
        block.each_warp(
            #[inline(always)]
            |warp| {
                let mut first = self.embedding_gradients(warp, p);
                for l in 0..self.s.n_layer() {
                    for weight in self.layer_weights(l) {
                        for (row, col, index) in blocks(weight.matrix, warp, first) {
                            let rows = self.gradient(p, weight, (row, col));
                            self.squares.set_row(index * TILE, clip::squares(rows));
                        }
                        first += weight.matrix.blocks();
                    }
                }
            },
        );
    }

    /// The gradients of `wte`, as the head and as the embedding, and of `wpe`; how many blocks they are.
    #[inline(always)]
    fn embedding_gradients(&self, warp: &Warp, p: &Pass) -> usize {
        let (head, grads) = (self.head_weight(), self.arrays.grads);
        let dx_embed = p.work.at(Activations::of(self.s, 0).dx_embed);
        for (row, col, index) in blocks(head.matrix, warp, 0) {
            self.gradient(p, head, (row, col));
            warp.sync();
            embed::backward_token(warp, self.s, dx_embed, p.document, p.n, grads.at(head.matrix.offset), (row, col));
            let mut rows = [F32x32::splat(0.0); TILE / 2];
            for r in 0..TILE / 2 {
                rows[r] = grads.row_pair(head.matrix.offset + (row + 2 * r) * head.matrix.cols + col, head.matrix.cols);
            }
            self.squares.set_row(index * TILE, clip::squares(rows));
        }
        let first = head.matrix.blocks();
        let pairs = self.position_pairs();
        for (pair, col, index) in pairs.items(warp, first) {
            let rows = embed::backward_position(self.s, dx_embed, p.n, 2 * pair, col);
            grads.set_row_pair(self.model.layout.wpe() + 2 * pair * head.matrix.cols + col, head.matrix.cols, rows);
            self.squares.set_row(index * TILE, clip::squares([rows]));
        }
        first + pairs.count()
    }

    /// The gradient of one block of a matrix.
    #[inline(always)]
    fn gradient(&self, p: &Pass, weight: Weight, (row, col): (usize, usize)) -> [F32x32; TILE / 2] {
        let matrix = weight.matrix;
        let (dy, x) = ((p.work.at(weight.dy), matrix.rows, row), (p.work.at(weight.x), matrix.cols, col));
        let rows = weight_gradient(dy, x, p.n);
        for r in 0..TILE / 2 {
            self.arrays.grads.set_row_pair(matrix.offset + (row + 2 * r) * matrix.cols + col, matrix.cols, rows[r]);
        }
        rows
    }

    /// Clips, updates every weight and its moments, and reports the step. A warp updates the blocks whose gradients it
    /// computed.
    #[inline(always)]
    fn update(&self, block: &Block, p: &Pass, optimizer: &Optimizer, schedule: &Schedule, log: &mut StepLog) {
        let norm = clip::norm(self.squares, gradient_blocks(self.s));
        let update = Update::new(optimizer, schedule, clip::scale(norm, optimizer.max_grad_norm));
        block.each_warp(
            #[inline(always)]
            |warp| {
                let (head, wpe) = (self.head_weight(), self.model.layout.wpe());
                self.update_matrix(warp, &update, head.matrix, 0);
                let mut first = head.matrix.blocks();
                let pairs = self.position_pairs();
                for (pair, col, _) in pairs.items(warp, first) {
                    update.row_pairs::<1>(warp, self.arrays, wpe + 2 * pair * head.matrix.cols + col, head.matrix.cols);
                }
                first += pairs.count();
                for l in 0..self.s.n_layer() {
                    for weight in self.layer_weights(l) {
                        self.update_matrix(warp, &update, weight.matrix, first);
                        first += weight.matrix.blocks();
                    }
                }
            },
        );
        let a = Activations::of(self.s, 0);
        let loss = cross_entropy::total((p.work.at(a.sum_exp), p.work.at(a.gap)), p.n) / p.n as f32;
        *log = StepLog { loss, grad_norm: norm };
    }

    #[inline(always)]
    fn update_matrix(&self, warp: &Warp, update: &Update, matrix: Matrix, first: usize) {
        for (row, col, _) in blocks(matrix, warp, first) {
            update.block(warp, self.arrays, self.model.transposed, matrix, (row, col));
        }
    }

    /// The pairs of rows of `wpe`, tile by tile.
    #[inline(always)]
    fn position_pairs(&self) -> Items {
        Items { rows: self.model.layout.wpe_rows() / 2, row_step: 1, cols: self.s.n_embd_padded() }
    }
}

/// The blocks of a matrix that fall to this warp, where `first` blocks came before: row, column, index among all blocks.
#[inline(always)]
fn blocks(matrix: Matrix, warp: &Warp, first: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    Items { rows: matrix.rows / TILE, row_step: TILE, cols: matrix.cols }.items(warp, first)
}

/// Work in two dimensions: `rows` rows, in each a tile of channels after the other.
#[derive(Clone, Copy)]
struct Items {
    rows: usize,
    row_step: usize,
    cols: usize,
}

impl Items {
    #[inline(always)]
    fn count(self) -> usize {
        self.rows * (self.cols / TILE)
    }

    /// Those that fall to this warp: row, channel, index.
    #[inline(always)]
    fn items(self, warp: &Warp, first: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let wide = self.cols / TILE;
        warp.share_after(first, self.count()).map(move |i| (i / wide * self.row_step, i % wide * TILE, first + i))
    }
}
