//! The fused training kernel: any number of steps in one launch.

use crate::activations::Activations;
use crate::args::{Optimizer, Schedule, TrainArgs};
use crate::layout::Layout;
use crate::model::{Model, Pass};
use crate::shape::{Shape, TILE, round_up};
use crate::simt::{Block, Grid, Ids, Target, Tile, WARPS, Warp};
use crate::stages::adamw::{Arrays, Update};
use crate::stages::{clip, cross_entropy};

pub mod batch;
mod weights;

use weights::{WeightArrays, gradient_blocks};

/// What one launch works on.
#[derive(Clone, Copy)]
struct Train<S> {
    s: S,
    weights: WeightArrays<S>,
    work: Tile,
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

/// Trains `args.steps` steps in one block.
///
/// # Safety
/// The pointers of `args` are valid for the lengths that [`TrainArgs`] states, and nothing else uses them meanwhile.
/// Offsets and tokens are consistent: document `i` begins at `offsets[i]`, has at least two tokens, each below V.
#[inline(always)]
pub unsafe fn train<T: Target, S: Shape>(grid: &Grid<T>, s: S, args: &TrainArgs) {
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
                move |warp| {
                    // One by one: LLVM 7 would keep a loop, and with it the array in local memory.
                    let [w, transposed, grads, m, v, work] = &arrays;
                    w.load(warp);
                    transposed.load(warp);
                    grads.load(warp);
                    m.load(warp);
                    v.load(warp);
                    work.load(warp);
                },
            );
            block.each_warp(
                #[inline(always)]
                move |warp| train.fetch(warp, 0, document),
            );
            for step in 0..steps {
                // Read here, long before it is needed.
                let schedule = Schedule {
                    root: schedules.get(3 * step),
                    eps: schedules.get(3 * step + 1),
                    decay: schedules.get(3 * step + 2),
                };
                document = if document + 1 == args.documents as usize { 0 } else { document + 1 };
                let train = Train::new(s, tiles.map(Tile::opaque), (tokens, offsets));
                let pass = train.pass(step);
                train.forward_backward(block, pass, Some((step + 1, document)));
                train.weights.weight_gradients(block, pass, false);
                train.update(block, pass, &args.optimizer, &schedule, log.at(2 * step));
            }
            block.each_warp(
                #[inline(always)]
                move |warp| {
                    let [w, transposed, grads, m, v, _] = &arrays;
                    w.store(warp);
                    transposed.store(warp);
                    grads.store(warp);
                    m.store(warp);
                    v.store(warp);
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
            weights: WeightArrays { s, arrays: Arrays { w, grads, m, v }, transposed, squares },
            work,
            tokens,
            offsets,
            documents: squares.at(gradient_blocks(s) * TILE).ids(),
        }
    }

    /// The weights as the two passes see them.
    #[inline(always)]
    fn model(&self) -> Model<S> {
        let WeightArrays { s, arrays, transposed, .. } = self.weights;
        Model { s, layout: Layout(s), w: arrays.w, transposed }
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
    fn forward_backward<T: Target>(self, block: &Block<T>, p: Pass, next: Option<(usize, usize)>) {
        let (model, layers) = (self.model(), self.s.n_layer());
        block.each_warp(
            #[inline(always)]
            move |warp| {
                if let Some((step, document)) = next {
                    self.fetch(warp, step, document);
                }
                for t0 in warp.token_groups(p.n) {
                    model.embed(warp, &p, t0);
                    model.before_attention(warp, &p, 0, t0);
                }
            },
        );
        for l in 0..layers {
            block.each_warp(
                #[inline(always)]
                move |warp| {
                    for t0 in warp.token_groups(p.n) {
                        model.after_attention(warp, &p, l, t0);
                        if l + 1 < layers {
                            model.before_attention(warp, &p, l + 1, t0);
                        } else {
                            model.head(warp, &p, t0);
                            model.head_backward(warp, &p, t0);
                            model.backward_to_scores(warp, &p, l, t0);
                        }
                    }
                },
            );
        }
        for l in (0..layers).rev() {
            block.each_warp(
                #[inline(always)]
                move |warp| {
                    for t0 in warp.token_groups(p.n) {
                        model.backward_from_scores(warp, &p, l, t0);
                    }
                },
            );
            if l > 0 {
                // Behind a barrier: it writes the gradients of scores that the keys of layer `l` have read.
                block.each_warp(
                    #[inline(always)]
                    move |warp| {
                        for t0 in warp.token_groups(p.n) {
                            model.backward_to_scores(warp, &p, l - 1, t0);
                        }
                    },
                );
            }
        }
    }

    /// Clips, updates every weight and its moments, and writes loss and norm to `log`. A warp updates the blocks whose gradients it
    /// computed.
    #[inline(always)]
    fn update<T: Target>(self, block: &Block<T>, p: Pass, optimizer: &Optimizer, schedule: &Schedule, log: Tile) {
        let norm = clip::norm(self.weights.squares, gradient_blocks(self.s));
        let update = Update::new(optimizer, schedule, clip::scale(norm, optimizer.max_grad_norm));
        block.each_warp(
            #[inline(always)]
            move |warp| {
                self.weights.update_weights(
                    warp,
                    &update,
                    #[inline(always)]
                    |first, count| warp.share_after(first, count),
                );
                if warp.index == WARPS - 1 {
                    log.set(0, self.loss(&p));
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
}
