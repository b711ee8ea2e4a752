//! The steps of several documents on a GPU whose warps hold weights (see [`held`](super::held)).
//!
//! A block has the gradients of its shard's documents in registers. All blocks then sum the shards' gradients together. But
//! each block takes the whole update for itself, as in the training on one document. So it has the new weights at once, and
//! a step has two barriers of the grid.

use core::ops::Range;

use simt::{Block, F32x16, HALF_WARP, Mask16, PerWarp, Staged, Target, View, Views, WARPS, div, inline, rem, round_up};

use super::batch::{BatchArgs, shards};
use super::held::{self, Held};
use super::held_tree::Sum;
use super::{Kept, Train, TrainArgs, train_workspace_len};
use crate::activations::Pass;
use crate::layout::{Arrays, Layout};
use crate::ops::adamw::StepCoefficients;
use crate::ops::cross_entropy;
use crate::part::{BatchLaunchArgs, StepPart};
use crate::shape::Shape;

/// Returns whether a launch for this shape is one of [`HeldBatch`].
pub use super::held::are_held;

/// The place of a document in a launch.
#[derive(Clone, Copy)]
struct Turn {
    step: usize,
    /// The index of the shard among those of the launch.
    shard: usize,
    /// The index of the document in the step.
    document: usize,
    /// Whether the document is the first one of its shard.
    is_first: bool,
    /// Whether the document is the last one of its shard.
    is_last: bool,
}

/// Returns the numbers of a launch as [`Warp::rematerialize`] does, because what the compiler computes from them would take
/// registers during the whole launch.
#[inline(always)]
fn rematerialized(launch: &BatchLaunchArgs, hide: impl Fn(usize) -> usize) -> BatchLaunchArgs {
    let (BatchLaunchArgs { batch, part, shape }, hide) = (*launch, |x: u32| hide(x as usize) as u32);
    // An array of these numbers would lie in local memory.
    let part = StepPart {
        first_shard: hide(part.first_shard),
        shards: hide(part.shards),
        first_array: hide(part.first_array),
        arrays: hide(part.arrays),
        documents: hide(part.documents),
        updates: part.updates,
    };
    let (first_document, documents) = (hide(batch.train.first_document), hide(batch.train.documents));
    let train = TrainArgs { first_document, documents, ..batch.train };
    BatchLaunchArgs { batch: BatchArgs { batch: hide(batch.batch), train, ..batch }, part, shape }
}

/// Returns the documents of a shard of the launch, as indices in a step.
#[inline(always)]
fn documents_of(launch: &BatchLaunchArgs, shard: usize) -> Range<usize> {
    let (batch, shard) = (launch.batch.batch as usize, launch.part.first_shard as usize + shard);
    let first = |shard: usize| div(shard * batch, shards(batch));
    first(shard)..first(shard + 1)
}

/// Returns the index in the corpus of document `i` of a step.
#[inline(always)]
fn in_corpus(launch: &BatchLaunchArgs, step: usize, i: usize) -> usize {
    let BatchArgs { train, batch, .. } = launch.batch;
    rem(train.first_document as usize + step * batch as usize + i, train.documents as usize)
}

impl Turn {
    /// Returns the index in the corpus of the block's next document. A block continues with its next shard, and with its first
    /// shard in the next step.
    #[inline(always)]
    fn next(self, launch: &BatchLaunchArgs, block: usize, blocks: usize) -> usize {
        if !self.is_last {
            return in_corpus(launch, self.step, self.document + 1);
        }
        let follows = self.shard + blocks < launch.part.shards as usize;
        let (step, shard) = if follows { (self.step, self.shard + blocks) } else { (self.step + 1, block) };
        in_corpus(launch, step, documents_of(launch, shard).start)
    }
}

/// A block's steps of a launch.
pub struct HeldBatch<'a, S> {
    launch: &'a BatchLaunchArgs,
    kept: Kept<S>,
    /// The weights, their transposed copies and the second moments, which go back to the host at the end. The moments are in shared
    /// memory, because the registers do not hold all that a document needs beside them.
    staged: [Staged; 3],
    /// The loss of each of a step's documents.
    losses: View,
    held: PerWarp<Held>,
    /// The place of the next document in the workspace, 0 or 1, and the number of its positions.
    place: usize,
    n: usize,
    /// The norm of the last step's gradient.
    norm: f32,
}

impl<'a, S: Shape> HeldBatch<'a, S> {
    /// Returns a block's steps before the first one. `workspace` is that of the block.
    ///
    /// # Safety
    /// The conditions of [`Kernel::run`](crate::kernel::Kernel::run) hold, also until the last step has ended.
    #[inline(always)]
    pub unsafe fn new<T: Target>(block: &Block<T>, s: S, launch: &'a BatchLaunchArgs, workspace: *mut f32) -> Self {
        let (BatchArgs { train, batch, losses, .. }, mut memory, len) = (launch.batch, block.memory(), Layout(s).len());
        // SAFETY: the caller vouches for pointers and lengths, for an array of gradients beside those of the shards, and for losses
        // rounded up to half-warps.
        let (w, transposed, v, work, grads, m, documents, coefficients, losses) = unsafe {
            (
                memory.staged(train.arrays.w, len),
                memory.staged(train.arrays.transposed, len),
                memory.staged(train.arrays.v, len),
                memory.workspace(workspace, train_workspace_len(s)),
                View::new(train.arrays.grads, (shards(batch as usize) + 1) * len),
                View::new(train.arrays.m, len),
                train.documents(),
                train.coefficients(),
                View::new(losses, round_up(batch as usize, HALF_WARP)),
            )
        };
        let arrays = Arrays { w: w.view, transposed: transposed.view, grads, m, v: v.view };
        let kept = Kept { train: Train { s, arrays, work: work.view.even_first(), documents }, coefficients };
        block.each_warp(inline!(move |warp| {
            warp.fetch(&w);
            warp.fetch(&transposed);
            warp.fetch(&v);
            warp.fetch(&work);
        }));
        let held = PerWarp::new(Held::new(s));
        let mut steps = Self { launch, kept, staged: [w, transposed, v], losses, held, place: 0, n: 0, norm: 0.0 };
        let first = in_corpus(launch, 0, documents_of(launch, block.index).start);
        block.each_warp(inline!(move |warp| kept.train.fetch(warp, 0, first)));
        (steps.held, steps.n) = (kept.train.hold(block), kept.train.pass(0).n);
        steps
    }

    /// Returns the views for a phase of a step, in which the compiler then computes the phase's addresses. Otherwise they would
    /// take registers during the whole launch.
    #[inline(always)]
    fn rematerialize(&self) -> Kept<S> {
        self.kept.map(View::rematerialize)
    }

    /// Computes the gradients of the block's shards, each in its array, and the losses of their documents.
    #[inline(always)]
    pub fn gradients<T: Target>(&mut self, block: &Block<T>, step: usize) {
        let len = Layout(self.kept.train.s).len();
        let launch = rematerialized(self.launch, |x| block.rematerialize(x));
        for shard in block.grid_stride(launch.part.shards as usize) {
            let Range { start, end } = documents_of(&launch, shard);
            let documents = block.rematerialize(start)..block.rematerialize(end);
            block.iterate(
                documents.len(),
                self.kept,
                inline!(|i, kept| {
                    let (is_first, is_last, document) = (i == 0, i + 1 == documents.len(), documents.start + i);
                    self.add_document(block, kept, Turn { step, shard, document, is_first, is_last });
                }),
            );
            let weights = self.kept.train.weights();
            let array = (launch.part.first_shard as usize + shard) * len;
            weights.store_gradients(block, &mut self.held, weights.arrays.grads.at(array));
        }
    }

    /// Computes the gradients of a document, added to those of the shard's earlier documents, and its loss. Fetches the block's
    /// next document.
    #[inline(always)]
    fn add_document<T: Target>(&mut self, block: &Block<T>, kept: Kept<S>, turn: Turn) {
        let (Kept { train, .. }, &Self { launch, place, n, norm, losses, .. }) = (kept, &*self);
        let pass = Pass { document: train.fetched(place).at(1), n, work: train.activations() };
        let (index, blocks) = (block.index, block.count);
        train.forward_backward(
            block,
            pass,
            inline!(move |warp| {
                let turn = Turn { step: warp.rematerialize(turn.step), ..turn };
                if warp.index == WARPS - 1 {
                    let launch = rematerialized(launch, |x| warp.rematerialize(x));
                    train.fetch(warp, 1 - place, turn.next(&launch, index, blocks));
                }
                if index == 0 && turn.step > 0 && turn.is_first {
                    // SAFETY: the caller of `new` vouches for pointers and lengths.
                    held::log_norm(warp, train.s, unsafe { launch.batch.train.log(turn.step - 1) }, norm);
                }
            }),
            inline!(move |warp| {
                if warp.index == WARPS - 1 {
                    losses.store_scalar(turn.document, cross_entropy::total(train.s, &pass) / pass.n as f32);
                }
            }),
        );
        // As in the training on one document, the number of positions is loaded early.
        (self.place, self.n) = (block.rematerialize(1 - place), train.pass(1 - place).n);
        train.weights().add_gradients(block, pass, &mut self.held, !turn.is_first);
    }

    /// Sums the arrays of gradients. If an update follows, the block that has least to sum reports the mean loss.
    #[inline(always)]
    pub fn sum<T: Target>(&self, block: &Block<T>, step: usize) {
        let Kept { train, .. } = self.rematerialize();
        let BatchLaunchArgs { batch, part, .. } = rematerialized(self.launch, |x| block.rematerialize(x));
        let (weights, documents) = (train.weights(), batch.batch as usize);
        let first = part.first_array as usize * Layout(weights.s).len();
        let grads = weights.arrays.grads;
        let to = if part.updates > 0 { self.sum_of_step(documents) } else { grads.at(first) };
        let arrays = part.arrays as usize;
        let sum = Sum { first: grads.at(first), arrays, to, scale: 1.0 / part.documents as f32 };
        weights.sum_gradients(block, sum, train.activations());
        if part.updates > 0 && block.index + 1 == block.count {
            // SAFETY: the caller of `new` vouches for pointers and lengths.
            self.log_loss(block, documents, train.activations(), unsafe { batch.train.log(step) });
        }
    }

    /// Reports the mean of a step's losses, in the order of [`View::sum`]. All warps load losses from global memory into the
    /// workspace, because in one warp each load would begin after the last one's addition. `batch` is the number of losses.
    #[inline(always)]
    fn log_loss<T: Target>(&self, block: &Block<T>, batch: usize, workspace: View, log: View) {
        /// The losses of a row of each warp, and the rows that a warp loads at once.
        const GROUP: usize = WARPS * HALF_WARP;
        const ROWS: usize = 4;
        let (losses, zero) = (self.losses, F32x16::splat(0.0));
        let (mut sum, mut first) = (PerWarp::new(zero), 0);
        while first < batch {
            block.each_warp(inline!(move |warp| {
                let mut rows = [zero; ROWS];
                for i in 0..ROWS {
                    // A row beyond the losses is loaded from the first ones, so that no branch stands between the loads.
                    let at = first + i * GROUP + warp.index * HALF_WARP;
                    let row = losses.load(if at < batch { at } else { 0 });
                    rows[i] = Mask16::lanes_below(batch.saturating_sub(at)).select(row, zero);
                }
                for i in 0..ROWS {
                    workspace.store(i * GROUP + warp.index * HALF_WARP, rows[i]);
                }
            }));
            block.each_warp_with(
                &mut sum,
                inline!(move |warp, sum| {
                    if warp.index + 1 < WARPS {
                        return;
                    }
                    for group in 0..ROWS {
                        if first + group * GROUP < batch {
                            for row in 0..WARPS {
                                *sum = *sum + workspace.load(group * GROUP + row * HALF_WARP);
                            }
                        }
                    }
                    if first + ROWS * GROUP >= batch {
                        log.store_scalar(0, sum.reduce_sum() / batch as f32);
                    }
                }),
            );
            first += ROWS * GROUP;
        }
    }

    /// Returns the place of the gradient of a step of `batch` documents. It is beside the arrays of the shards, to which faster
    /// blocks may store the next step's gradients while slower blocks read the sum.
    #[inline(always)]
    fn sum_of_step(&self, batch: usize) -> View {
        let Train { s, arrays, .. } = self.kept.train;
        arrays.grads.at(shards(batch) * Layout(s).len())
    }

    /// Updates all weights for this block.
    #[inline(always)]
    pub fn update<T: Target>(&mut self, block: &Block<T>, step: usize) {
        let (Kept { train, coefficients }, BatchArgs { train: args, batch, .. }) =
            (self.rematerialize(), self.launch.batch);
        let (weights, losses) = (train.weights(), self.losses);
        // The coefficients are loaded early to hide the latency of the load.
        let coefficients = StepCoefficients::load(coefficients, step);
        let sum = self.sum_of_step(block.rematerialize(batch as usize));
        weights.load_gradients(block, &mut self.held, sum);
        self.norm = weights.step(
            block,
            &mut self.held,
            (args.optimizer, coefficients),
            losses,
            || 0.0,
            inline!(move |warp, held: &Held| held.store(weights.s, warp, weights.arrays.v, &held.rows.v)),
        );
    }

    /// Stores the weights and moments, and reports the norm of the last step's gradient, in one of the blocks.
    #[inline(always)]
    pub fn release<T: Target>(&mut self, block: &Block<T>) {
        let &BatchLaunchArgs { batch, part, .. } = self.launch;
        if part.updates == 0 || block.index > 0 {
            return;
        }
        // SAFETY: the caller of `new` vouches for pointers and lengths.
        let last = unsafe { batch.train.log((batch.train.steps as usize).saturating_sub(1)) };
        let (Kept { train, .. }, staged) = (self.kept, self.staged);
        let (s, v) = (train.s, train.arrays.v);
        block.each_warp_with(&mut self.held, inline!(move |warp, held| held.rows.v = held.load(s, warp, v)));
        train.release(block, &mut self.held, last, self.norm);
        block.each_warp(inline!(move |warp| {
            for array in &staged {
                warp.write_back(array);
            }
        }));
    }
}
