//! Training on several documents a step. The documents are split into shards, with a block of the grid for each shard.
//!
//! A step has three phases, and all blocks finish one before any begins the next. In [`Phase::Gradients`] a block sums
//! the gradients of its shard's documents. In [`Phase::Reduce`] a block sums the gradients of all shards, for its share
//! of the weights. In [`Phase::Update`] a block updates its share. The number of shards is the same on every device.
//! On a GPU the default model takes `HeldBatch` instead, which keeps a shard's gradients in registers and has two barriers
//! of the grid in a step.
//!
//! The sum over the shards is a fixed binary tree, so bits depend on neither device, threads nor ranks. A tree over `n`
//! shards joins the tree over the first `p` shards, for the largest power of two `p < n`, with the tree over the rest. A
//! GPU's blocks work on all shards at once and keep their gradients apart until the second phase. A thread of the CPU
//! takes the shards of a subtree one after the other, and sums them with a stack of partial sums.

use simt::{AS_ON_GPU, Block, F32x32, Grid, HALF_WARP, Memory, Target, View, WARPS, Warp, div, inline, rem, round_up};

pub use super::weights::squares_len;
use super::{Train, TrainArgs, Weights, train_workspace_len};
use crate::kernel::Kernel;
use crate::layout::{Arrays, Layout, WeightBlock};
use crate::ops::adamw::StepCoefficients;
use crate::ops::{clip, cross_entropy};
use crate::shape::{RuntimeShape, Shape};
pub use crate::tree::GradientArrays;
use crate::tree::{BlockOfArrays, Stack, partial_sums};

/// The largest number of shards of a step's documents.
pub const MAX_SHARDS: usize = 128;

/// A part of a step between two barriers of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The forward and the backward pass. Shard `s` begins at document `s batch / shards` of the step, rounded down.
    Gradients,
    /// The sum of `count` arrays of gradients from array `first` on, which replaces that array, over `documents`.
    Reduce {
        /// The first array.
        first: usize,
        /// The number of arrays.
        count: usize,
        /// The divisor of the sum.
        documents: usize,
    },
    /// The clip and `AdamW`.
    Update,
}

impl Phase {
    /// Returns the phases of a step of `batch` documents with so many arrays of gradients, in their order.
    #[inline(always)]
    pub fn of_step(arrays: GradientArrays, batch: usize) -> [Self; 3] {
        [Self::Gradients, Self::Reduce { first: 0, count: arrays.count, documents: batch }, Self::Update]
    }
}

/// The arguments of `train_batch`, which are those of `train` and those for several documents a step.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BatchArgs {
    /// The arguments of `train`, but `arrays.grads` has [`GradientArrays::count`] arrays of `Layout::len` elements and on a GPU one
    /// more, and `workspace`, of [`batch_workspace_len`] elements, is that of the first block.
    pub train: TrainArgs,
    /// The partial sums of squares of the gradients, [`squares_len`] elements.
    pub squares: *mut f32,
    /// The loss of each of a step's documents, `batch` elements rounded up to half-warps.
    pub losses: *mut f32,
    /// The counter of a GPU's grid barrier, zero before a launch.
    pub barrier: *mut u32,
    /// The stride of the blocks' workspaces on a GPU, in elements.
    pub workspace_stride: u64,
    /// The number of documents of a step.
    pub batch: u32,
}

/// Returns the number of shards of a step of `batch` documents.
#[inline(always)]
pub fn shards(batch: usize) -> usize {
    batch.min(MAX_SHARDS)
}

/// Returns the number of elements in a block's workspace, that of `train` and, on the CPU, the partial sums.
#[inline(always)]
pub fn batch_workspace_len<S: Shape>(s: S) -> usize {
    train_workspace_len(s) + partial_sums(MAX_SHARDS) * Layout(s).len()
}

/// The arguments of one phase of `train_batch`. [`Phase::Gradients`] needs a grid of [`shards`] blocks, and one thread runs
/// those of a gradient array in order. The other phases take any grid.
#[derive(Clone, Copy, Debug)]
pub struct PhaseArgs {
    /// The arguments of the launch.
    pub batch: BatchArgs,
    /// The arrays of gradients.
    pub arrays: GradientArrays,
    /// The phase. The phases before it have ended.
    pub phase: Phase,
    /// The step of the launch.
    pub step: usize,
}

impl Kernel for PhaseArgs {
    fn shape(&self) -> RuntimeShape {
        self.batch.train.shape
    }

    /// Runs one phase of a step in the grid's blocks.
    #[inline(always)]
    unsafe fn run<T: Target, S: Shape>(&self, grid: &Grid<T>, s: S) {
        let &Self { batch: ref args, arrays, phase, step } = self;
        let (train, batch, len) = (&args.train, args.batch as usize, Layout(s.rematerialize()).len());
        grid.each_block(inline!(|block| {
            // SAFETY: the caller vouches for pointers and lengths, and for losses rounded up to half-warps.
            let (weights, losses, (coefficients, log)) = unsafe {
                let views = train.arrays.map(inline!(|array| View::new(array, len)));
                // The view of the gradients spans all gradient arrays.
                let views = Arrays { grads: View::new(train.arrays.grads, arrays.count * len), ..views };
                let weights = Weights { s, arrays: views, squares: View::new(args.squares, squares_len(s)) };
                (
                    weights,
                    View::new(args.losses, round_up(batch, HALF_WARP)),
                    (StepCoefficients::load(train.coefficients(), step), train.log(step)),
                )
            };
            match phase {
                // SAFETY: the caller keeps the contract of `Kernel::run`.
                Phase::Gradients => unsafe { gradients(block, weights, args, arrays, step, losses) },
                Phase::Reduce { first, count, documents } => {
                    let grads = weights.arrays.grads.at(first * len);
                    let weights = Weights { arrays: Arrays { grads, ..weights.arrays }, ..weights };
                    weights.reduce(block, count, 1.0 / documents as f32);
                }
                Phase::Update => {
                    let share = |warp: &Warp| warp.grid_share();
                    let loss = move || losses.sum(batch) / batch as f32;
                    weights.update(block, share, train.optimizer, coefficients, log, loss);
                }
            }
        }));
    }
}

/// Computes the gradients and the losses of a shard's documents.
///
/// # Safety
/// The conditions of [`Kernel::run`] hold.
#[inline(always)]
unsafe fn gradients<T: Target, S: Shape>(
    block: &Block<T>,
    weights: Weights<S>,
    args: &BatchArgs,
    GradientArrays { shards_each, .. }: GradientArrays,
    step: usize,
    losses: View,
) {
    let (s, batch, train) = (weights.s, args.batch as usize, &args.train);
    let (shard, shards) = (block.index, shards(batch));
    // The stack of a shard's gradients, and the index of the shard among those of the same array.
    let stack = |shard: usize| {
        let (array, term) = (div(shard, shards_each), rem(shard, shards_each));
        let (rest, len) = (train.workspace.wrapping_add(train_workspace_len(s)), Layout(s.rematerialize()).len());
        (Stack { bottom: train.arrays.grads.wrapping_add(array * len), rest, len }, term)
    };
    let staged = |memory: &mut Memory, (stack, term): (Stack, usize)| {
        let arrays = [train.arrays.w, train.arrays.transposed, stack.top(term)];
        // SAFETY: the caller vouches for pointers and lengths, and for the gradients of every block.
        arrays.map(inline!(|array| unsafe { memory.staged(array, stack.len) }))
    };
    let mut memory = block.memory();
    let [w, transposed, grads] = staged(&mut memory, stack(shard));
    // SAFETY: the caller vouches for pointers and lengths, and for the workspace of every block.
    let (work, documents) = unsafe { (memory.workspace(train.workspace, train_workspace_len(s)), train.documents()) };
    let (first_document, documents_len) = (train.first_document as usize, train.documents as usize);
    let arrays = Arrays { w: w.view, transposed: transposed.view, grads: grads.view, ..weights.arrays };
    let mut train = Train { s, arrays, work: work.view.even_first(), documents };
    block.each_warp(inline!(move |warp| {
        warp.fetch(&w);
        warp.fetch(&transposed);
        warp.fetch(&grads);
        warp.fetch(&work);
    }));
    let mut is_first = true;
    for i in div(shard * batch, shards)..div((shard + 1) * batch, shards) {
        // The next document takes the new addresses, so that these need no registers.
        train = train.rematerialize();
        let document = first_document + s.rematerialize_index(step) * batch + i;
        block.each_warp(inline!(move |warp| train.fetch(warp, 0, rem(document, documents_len))));
        let pass = train.pass(0);
        train.forward_backward(block, pass, |_| {}, |_| {});
        train.weights().weight_gradients(block, pass, !is_first);
        is_first = false;
        block.each_warp(inline!(move |warp| {
            if warp.index == WARPS - 1 {
                losses.store_scalar(i, cross_entropy::total(s, &pass) / pass.n as f32);
            }
        }));
    }
    let shard = s.rematerialize_index(block.index);
    let (stack, term) = stack(shard);
    let [.., grads] = staged(&mut block.memory(), (stack, term));
    block.each_warp(inline!(move |warp| {
        warp.write_back(&grads);
        // SAFETY: the caller vouches for gradients and workspace.
        unsafe { stack.merge(warp, term, shards_each.min(shards + term - shard)) };
    }));
}

impl<S: Shape> Weights<S> {
    /// Sums `arrays` arrays of gradients, for the block's share of the weights, and scales the sums. The sums replace
    /// the first array. Their squares are summed block by block.
    #[inline(always)]
    fn reduce<T: Target>(self, block: &Block<T>, arrays: usize, scale: f32) {
        block.each_warp(inline!(move |warp| {
            self.each_block(
                warp.grid_share(),
                inline!(|i, pair| self.reduce_block::<1>(arrays, scale, i, pair)),
                inline!(|i, _, block| self.reduce_block::<{ HALF_WARP / 2 }>(arrays, scale, i, block)),
            );
        }));
    }

    /// Computes [`Self::reduce`] for the `N` pairs of rows of block `i`.
    #[inline(always)]
    fn reduce_block<const N: usize>(&self, arrays: usize, scale: f32, i: usize, block: WeightBlock) {
        const PART: usize = HALF_WARP / 8;
        let (grads, len) = (self.arrays.grads, Layout(self.s.rematerialize()).len());
        // Otherwise a GPU would compute the addresses of all rows before the first one is summed.
        let of = |block| BlockOfArrays { grads: grads.rematerialize(), len, arrays, block };
        let mut sum = [F32x32::splat(0.0); N];
        if AS_ON_GPU && N == 4 * PART {
            // The partial sums of a whole block would not fit in a thread's registers.
            let part = |i: usize| of(WeightBlock { row: block.row + 2 * PART * i, ..block }).sum::<PART>();
            let parts = [part(0), part(1), part(2), part(3)];
            for i in 0..PART {
                for part in 0..4 {
                    sum[PART * part + i] = parts[part][i];
                }
            }
        } else {
            sum = of(block).sum::<N>();
        }
        for row in &mut sum {
            *row = *row * F32x32::splat(scale);
        }
        block.store(grads, sum);
        self.squares.store(i * HALF_WARP, clip::squares(sum));
    }
}
