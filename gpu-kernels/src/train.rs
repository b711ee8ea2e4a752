//! The fused training kernel: any number of steps in one launch.

use crate::activations::Activations;
use crate::args::{Optimizer, Schedule, TrainArgs};
use crate::layout::{Layout, Matrix};
use crate::model::{Model, Pass};
use crate::shape::{Shape, TILE, div, rem, round_up};
use crate::simt::{Block, F32x32, Grid, Ids, Strided, Tile, WARPS, Warp};
use crate::stages::adamw::{Arrays, Update};
use crate::stages::linear::weight_gradient;
use crate::stages::{clip, cross_entropy, embed};

pub mod batch;

/// A matrix of the model with where its gradient comes from: `dw = dy^T x` over the document's positions.
#[derive(Clone, Copy)]
struct Weight {
    matrix: Matrix,
    /// Offset of `dy: [T, rows]` in the workspace.
    dy: usize,
    /// Offset of `x: [T, cols]` in the workspace.
    x: usize,
}

/// A block of `TILE` by `TILE` weights.
#[derive(Clone, Copy)]
struct WeightBlock {
    weight: Weight,
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
    fn at(self) -> usize {
        let (matrix, (row, col)) = (self.weight.matrix, self.place);
        matrix.offset + row * matrix.cols + col
    }
}

/// What one launch works on.
struct Train<S> {
    s: S,
    model: Model<S>,
    arrays: Arrays,
    work: Tile,
    /// `[blocks, TILE]`: the partial sums of squares of the gradients' blocks.
    squares: Tile,
    /// The tokens of all documents, and where each begins.
    tokens: Ids,
    offsets: Ids,
    /// `[2, document_len]`: the document of this step and of the next, each after its `n`.
    documents: Ids,
}

/// Elements of `train`'s workspace: the activations, a partial sum of squares for each block of weights, two documents.
#[inline(always)]
pub fn train_workspace_len<S: Shape>(s: S) -> usize {
    Activations::len(s) + gradient_blocks(s) * TILE + 2 * document_len(s)
}

/// Elements that a document takes in the workspace: `n`, then up to `T + 1` tokens.
#[inline(always)]
fn document_len<S: Shape>(s: S) -> usize {
    round_up(s.block_size() + 2, TILE)
}

/// Blocks of weights, the rows of `wpe` two by two among them.
#[inline(always)]
fn gradient_blocks<S: Shape>(s: S) -> usize {
    let positions = Layout(s).wpe_rows() / 2 * tiles_of(s.n_embd_padded());
    Layout(s).head_matrix().blocks() + positions + s.n_layer() * layer_blocks(s)
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

/// Trains `args.steps` steps in one block.
///
/// # Safety
/// The pointers of `args` are valid for the lengths that [`TrainArgs`] states, and nothing else uses them meanwhile.
/// Offsets and tokens are consistent: document `i` begins at `offsets[i]`, has at least two tokens, each below V.
#[inline(always)]
pub unsafe fn train<S: Shape>(grid: &Grid, s: S, args: &TrainArgs) {
    let len = Layout(s).len();
    grid.each_block(
        #[inline(always)]
        |block| {
            let mut memory = block.memory();
            // SAFETY: the caller vouches for pointers and lengths.
            let (arrays, tokens, offsets) = unsafe {
                let arrays = [
                    memory.resident(args.params, len),
                    memory.resident(args.params_transposed, len),
                    memory.resident(args.grads, len),
                    memory.resident(args.m, len),
                    memory.resident(args.v, len),
                    memory.scratch(args.workspace, train_workspace_len(s)),
                ];
                (arrays, Ids::new(args.tokens), Ids::new(args.offsets))
            };
            let steps = args.steps as usize;
            // SAFETY: the caller vouches for one entry a step in both: three numbers and two.
            let (schedules, log) = unsafe {
                (Tile::new(args.schedule.cast_mut().cast(), 3 * steps), Tile::new(args.log.cast(), 2 * steps))
            };
            let tiles = arrays.map(|array| array.tile);
            let train = Train::new(s, tiles, (tokens, offsets));
            let mut document = args.first_document as usize;
            block.each_warp(
                #[inline(always)]
                |warp| {
                    for array in &arrays {
                        array.load(warp);
                    }
                },
            );
            block.each_warp(
                #[inline(always)]
                |warp| train.fetch(warp, 0, document),
            );
            for step in 0..steps {
                // Read here, long before it is needed.
                let schedule = Schedule {
                    root: schedules.get(3 * step),
                    eps: schedules.get(3 * step + 1),
                    decay: schedules.get(3 * step + 2),
                };
                document = if document + 1 == args.documents as usize { 0 } else { document + 1 };
                let train = Train::new(s, tiles.map(Tile::renewed), (tokens, offsets));
                let pass = train.pass(step);
                train.forward_backward(block, &pass, Some((step + 1, document)));
                train.weight_gradients(block, &pass, false);
                train.update(block, &pass, &args.optimizer, &schedule, log.at(2 * step));
            }
            block.each_warp(
                #[inline(always)]
                |warp| {
                    for array in &arrays {
                        array.store(warp);
                    }
                },
            );
        },
    );
}

impl<S: Shape> Train<S> {
    /// Where everything lies in the arrays: parameters, transposed copies, gradients, both moments, workspace.
    #[inline(always)]
    fn new(s: S, [w, transposed, grads, m, v, work]: [Tile; 6], (tokens, offsets): (Ids, Ids)) -> Self {
        let squares = work.at(Activations::len(s));
        Self {
            s,
            model: Model { s, layout: Layout(s), w, transposed },
            arrays: Arrays { w, grads, m, v },
            work,
            squares,
            tokens,
            offsets,
            documents: squares.at(gradient_blocks(s) * TILE).ids(),
        }
    }

    /// The document that [`Self::fetch`] has fetched for this step.
    #[inline(always)]
    fn pass(&self, step: usize) -> Pass {
        let document = self.documents.at(step % 2 * document_len(self.s));
        Pass { document: document.at(1), n: document.bound(0), work: self.work }
    }

    /// Fetches the document of step `step`: the last warp does it, which has no token of a short document.
    #[inline(always)]
    fn fetch(&self, warp: &Warp, step: usize, document: usize) {
        if warp.index == WARPS - 1 {
            let (start, end) = (self.offsets.bound(document), self.offsets.bound(document + 1));
            let n = self.s.block_size().min(end - start - 1);
            let to = self.documents.at(step % 2 * document_len(self.s));
            to.set(0, n);
            to.at(1).copy_from(self.tokens.at(start), n + 1);
        }
    }

    /// The gradient by every activation. Barriers stand where tokens meet: before attention reads other tokens' keys and
    /// values, and before it sums their gradients over other tokens' queries. `next` is the
    /// next step and its document, which is fetched meanwhile, if it is known.
    #[inline(always)]
    fn forward_backward(&self, block: &Block, p: &Pass, next: Option<(usize, usize)>) {
        let (model, layers) = (&self.model, self.s.n_layer());
        block.each_warp(
            #[inline(always)]
            |warp| {
                if let Some((step, document)) = next {
                    self.fetch(warp, step, document);
                }
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

    /// `wte` as the output head.
    #[inline(always)]
    fn head_weight(&self) -> Weight {
        let a = Activations::of(self.s, 0);
        Weight { matrix: self.model.layout.head_matrix(), dy: a.logits, x: a.x }
    }

    /// Block `i` of layer `l`, see [`layer_blocks`]. Worked out from the number, so that the work on a block stands once in the
    /// kernel.
    #[inline(always)]
    fn layer_block(&self, l: usize, i: usize) -> WeightBlock {
        let (s, a) = (self.s, Activations::of(self.s, l));
        let [wq, wk, _, wo, fc1, fc2] = self.model.layout.layer_matrices(l);
        let (attn, mlp) = (wq.blocks(), fc1.blocks());
        if i < 3 * attn {
            let (which, i) = (div(i, attn), rem(i, attn));
            let matrix = Matrix { offset: wq.offset + which * (wk.offset - wq.offset), ..wq };
            Weight { matrix, dy: a.dq + which * (a.dk - a.dq), x: a.xn_attn }.block(i, tiles_of(s.n_embd_padded()))
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
    fn weight_gradients(&self, block: &Block, p: &Pass, add: bool) {
        block.each_warp(
            #[inline(always)]
            |warp| {
                let mut first = self.embedding_gradients(warp, p, add);
                for l in 0..self.s.n_layer() {
                    for i in warp.share_after(first, layer_blocks(self.s)) {
                        let rows = self.gradient(p, self.layer_block(l, i), add);
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
            self.gradient(p, block, add);
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
    fn gradient(&self, p: &Pass, block: WeightBlock, add: bool) -> [F32x32; TILE / 2] {
        let Weight { matrix, dy, x } = block.weight;
        let (row, col) = block.place;
        let mut rows = [F32x32::splat(0.0); TILE / 2];
        if add {
            for r in 0..TILE / 2 {
                rows[r] = self.arrays.grads.row_pair(block.at() + 2 * r * matrix.cols, matrix.cols);
            }
        }
        let (dy, x) = ((p.work.at(dy), matrix.rows, row), (p.work.at(x), matrix.cols, col));
        rows = weight_gradient(dy, x, p.n, rows);
        for r in 0..TILE / 2 {
            self.arrays.grads.set_row_pair(block.at() + 2 * r * matrix.cols, matrix.cols, rows[r]);
        }
        rows
    }

    /// Clips, updates every weight and its moments, and writes loss and norm to `log`. A warp updates the blocks whose gradients it
    /// computed.
    #[inline(always)]
    fn update(&self, block: &Block, p: &Pass, optimizer: &Optimizer, schedule: &Schedule, log: Tile) {
        let norm = clip::norm(self.squares, gradient_blocks(self.s));
        let update = Update::new(optimizer, schedule, clip::scale(norm, optimizer.max_grad_norm));
        block.each_warp(
            #[inline(always)]
            |warp| {
                self.update_weights(
                    warp,
                    &update,
                    #[inline(always)]
                    |first, count| warp.share_after(first, count),
                );
                if warp.index == WARPS - 1 {
                    log.set(0, self.loss(p));
                    log.set(1, norm);
                }
            },
        );
    }

    /// The mean loss of the document's positions.
    #[inline(always)]
    fn loss(&self, p: &Pass) -> f32 {
        let a = Activations::of(self.s, 0);
        cross_entropy::total((p.work.at(a.sum_exp), p.work.at(a.gap)), p.n) / p.n as f32
    }

    /// Updates the blocks of weights that `share` gives this warp, of so many after so many others.
    #[inline(always)]
    fn update_weights(&self, warp: &Warp, update: &Update, share: impl Fn(usize, usize) -> Strided) {
        let (head, wpe) = (self.head_weight(), self.model.layout.wpe());
        for i in share(0, head.matrix.blocks()) {
            self.update_block(warp, update, head.block(i, tiles_of(head.matrix.cols)));
        }
        let mut first = head.matrix.blocks();
        let pairs = self.position_pairs();
        for (pair, col, _) in pairs.items(share(first, pairs.count()), first) {
            update.row_pairs::<1>(warp, self.arrays, wpe + 2 * pair * head.matrix.cols + col, head.matrix.cols);
        }
        first += pairs.count();
        for l in 0..self.s.n_layer() {
            for i in share(first, layer_blocks(self.s)) {
                self.update_block(warp, update, self.layer_block(l, i));
            }
            first += layer_blocks(self.s);
        }
    }

    #[inline(always)]
    fn update_block(&self, warp: &Warp, update: &Update, block: WeightBlock) {
        update.block(warp, self.arrays, self.model.transposed, block.weight.matrix, block.place);
    }

    /// The rows of `wpe` two by two, tile by tile.
    #[inline(always)]
    fn position_pairs(&self) -> PositionPairs {
        PositionPairs { rows: self.model.layout.wpe_rows() / 2, tiles: tiles_of(self.s.n_embd_padded()) }
    }
}

/// Pairs of rows of `wpe`.
#[derive(Clone, Copy)]
struct PositionPairs {
    rows: usize,
    tiles: usize,
}

impl PositionPairs {
    #[inline(always)]
    fn count(self) -> usize {
        self.rows * self.tiles
    }

    /// Those of a share, where `first` items came before: pair, channel, index among all items.
    #[inline(always)]
    fn items(self, share: Strided, first: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        share.map(move |i| (div(i, self.tiles), rem(i, self.tiles) * TILE, first + i))
    }
}
