//! Training on several documents a step: the documents in groups, a block of the grid for each group.
//!
//! A step has three phases, and all blocks have to be through with one before any begins the next:
//! [`Phase::Gradients`], where a block sums the gradients of its group's documents; [`Phase::Reduce`], where it sums those
//! of all groups, for its share of the weights; [`Phase::Update`], where it updates its share. The groups are as many on
//! every machine, and every sum goes by the documents' and the groups' numbers, so that the bits depend on neither the
//! machine nor the number of its threads.
//!
//! Groups are summed run by run, then the runs. A GPU's blocks work on all groups at once and keep their gradients apart
//! until the second phase. A thread of the CPU has the groups of a run one after the other and adds each to those before it, so
//! that threads exchange the sums of [`MAX_RUNS`] runs rather than of [`MAX_GROUPS`] groups.

use super::weights::{WeightArrays, WeightBlock, gradient_blocks};
use super::{Train, train_workspace_len};
use crate::args::{BatchArgs, Schedule};
use crate::layout::Layout;
use crate::shape::{Shape, TILE, div, rem};
use crate::simt::{AS_ON_GPU, Block, F32x16, F32x32, Grid, Ids, Mask16, Strided, Target, Tile, WARPS};
use crate::stages::adamw::{Arrays, Update};
use crate::stages::clip;

/// The most groups that the documents of a step are in.
pub const MAX_GROUPS: usize = 128;

/// The most runs of groups that are summed on their own.
const MAX_RUNS: usize = 32;

/// A part of a step, between two barriers of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Forward and backward: document `i` of the step belongs to group `i` modulo their number.
    Gradients,
    /// The sum of the groups' gradients.
    Reduce,
    /// Clip and `AdamW`.
    Update,
}

impl Phase {
    /// The phases of a step, in their order.
    pub const ALL: [Self; 3] = [Self::Gradients, Self::Reduce, Self::Update];
}

/// Groups of a step of `batch` documents.
#[inline(always)]
pub fn groups(batch: usize) -> usize {
    batch.min(MAX_GROUPS)
}

/// Groups of a run, where there are `groups` in all; the last run may have fewer.
#[inline(always)]
pub fn run_len(groups: usize) -> usize {
    groups.div_ceil(MAX_RUNS)
}

/// Groups whose gradients [`Phase::Gradients`] leaves in one array of `BatchArgs::train.grads`, and arrays there.
#[inline(always)]
pub fn gradient_arrays(groups: usize) -> (usize, usize) {
    let each = if AS_ON_GPU { 1 } else { run_len(groups) };
    (each, groups.div_ceil(each))
}

/// Elements of a block's workspace: that of `train`, and the gradients of a group that is not the first of its run.
#[inline(always)]
pub fn batch_workspace_len<S: Shape>(s: S) -> usize {
    train_workspace_len(s) + if AS_ON_GPU { 0 } else { Layout(s).len() }
}

/// Elements of `BatchArgs::squares`.
#[inline(always)]
pub fn squares_len<S: Shape>(s: S) -> usize {
    gradient_blocks(s) * TILE
}

/// One phase of step `step` of the launch, in the grid's blocks. [`Phase::Gradients`] needs a grid of [`groups`] blocks, those
/// of an array of [`gradient_arrays`] one after the other; the others need one of any number.
///
/// # Safety
/// The pointers of `args` are valid for the lengths that [`BatchArgs`] states, and nothing else uses them meanwhile.
/// Offsets and tokens are consistent, as for [`crate::train::train`]. The phases before this one are over.
#[inline(always)]
pub unsafe fn train_batch<T: Target, S: Shape>(grid: &Grid<T>, s: S, args: &BatchArgs, phase: Phase, step: usize) {
    grid.each_block(
        #[inline(always)]
        |block| {
            // SAFETY: the caller vouches for everything.
            unsafe {
                match phase {
                    Phase::Gradients => gradients(block, s, args, step),
                    Phase::Reduce => reduce(block, s, args),
                    Phase::Update => update(block, s, args, step),
                }
            }
        },
    );
}

/// The gradients and the losses of a group's documents.
///
/// # Safety
/// As for [`train_batch`].
#[inline(always)]
unsafe fn gradients<T: Target, S: Shape>(block: &Block<T>, s: S, args: &BatchArgs, step: usize) {
    let (len, batch) = (Layout(s).len(), args.batch as usize);
    let (each, _) = gradient_arrays(groups(batch));
    let (array, joins) = (args.train.grads.wrapping_add(div(block.index, each) * len), rem(block.index, each) > 0);
    let own = if joins { args.train.workspace.wrapping_add(train_workspace_len(s)) } else { array };
    let mut memory = block.memory();
    // SAFETY: the caller vouches for pointers and lengths, and for gradients and workspace of every block.
    let (arrays, m, v, ids, losses) = unsafe {
        let arrays = [
            memory.resident(args.train.params, len),
            memory.resident(args.train.params_transposed, len),
            memory.resident(own, len),
            memory.scratch(args.train.workspace, train_workspace_len(s)),
        ];
        let ids = (Ids::new(args.train.tokens), Ids::new(args.train.offsets));
        (arrays, Tile::new(args.train.m, len), Tile::new(args.train.v, len), ids, losses(args))
    };
    let [w, transposed, grads, work] = arrays.map(|array| array.tile);
    let train = Train::new(s, [w, transposed, grads, m, v, work], ids);
    block.each_warp(
        #[inline(always)]
        move |warp| {
            for array in &arrays {
                array.load(warp);
            }
        },
    );
    for i in block.share(batch) {
        let document = args.train.first_document as usize + step * batch + i;
        block.each_warp(
            #[inline(always)]
            move |warp| train.fetch(warp, 0, rem(document, args.train.documents as usize)),
        );
        let pass = train.pass(0);
        train.forward_backward(block, pass, None);
        train.weights.weight_gradients(block, pass, i != block.index);
        block.each_warp(
            #[inline(always)]
            move |warp| {
                if warp.index == WARPS - 1 {
                    losses.set(i, train.loss(&pass));
                }
            },
        );
    }
    block.each_warp(
        #[inline(always)]
        move |warp| {
            arrays[2].store(warp);
            if joins {
                // SAFETY: the caller vouches for it.
                let sum = unsafe { Tile::new(array, len) };
                for i in warp.share(len / TILE).map(|tile| tile * TILE) {
                    sum.set_row(i, sum.row(i) + grads.row(i));
                }
            }
        },
    );
}

/// The sum of all groups' gradients, for this block's share of the weights.
///
/// # Safety
/// As for [`train_batch`].
#[inline(always)]
unsafe fn reduce<T: Target, S: Shape>(block: &Block<T>, s: S, args: &BatchArgs) {
    let groups = groups(args.batch as usize);
    let (each, arrays) = gradient_arrays(groups);
    // SAFETY: the caller vouches for pointers and lengths.
    let weights = unsafe { weights(s, args, arrays) };
    block.each_warp(
        #[inline(always)]
        move |warp| {
            let how = Reduction { arrays, run: run_len(groups) / each, scale: 1.0 / args.batch as f32 };
            weights.reduce_gradients(
                how,
                #[inline(always)]
                |first, count| block.share_among_warps(warp, first, count),
            );
        },
    );
}

/// The update of this block's share of the weights; the first block reports the step.
///
/// # Safety
/// As for [`train_batch`].
#[inline(always)]
unsafe fn update<T: Target, S: Shape>(block: &Block<T>, s: S, args: &BatchArgs, step: usize) {
    let steps = args.train.steps as usize;
    // SAFETY: the caller vouches for pointers and lengths, and for one schedule and one entry of the log a step.
    let (weights, losses, schedules, log) = unsafe {
        let schedules = Tile::new(args.train.schedule.cast_mut().cast(), 3 * steps);
        let log = Tile::new(args.train.log.cast(), 2 * steps).at(2 * step);
        (weights(s, args, 1), losses(args), schedules.at(3 * step), log)
    };
    let schedule = &Schedule { root: schedules.get(0), eps: schedules.get(1), decay: schedules.get(2) };
    let norm = clip::norm(weights.squares, gradient_blocks(s));
    let optimizer = &args.train.optimizer;
    let update = Update::new(optimizer, schedule, clip::scale(norm, optimizer.max_grad_norm));
    block.each_warp(
        #[inline(always)]
        move |warp| {
            weights.update_weights(
                warp,
                &update,
                #[inline(always)]
                |first, count| block.share_among_warps(warp, first, count),
            );
            if block.index == 0 && warp.index == WARPS - 1 {
                log.set(0, sum(losses, args.batch as usize) / args.batch as f32);
                log.set(1, norm);
            }
        },
    );
}

/// The weights in the memory that all blocks share, with `arrays_of_grads` arrays of gradients.
///
/// # Safety
/// As for [`train_batch`].
#[inline(always)]
unsafe fn weights<S: Shape>(s: S, args: &BatchArgs, arrays_of_grads: usize) -> WeightArrays<S> {
    let (len, train) = (Layout(s).len(), &args.train);
    // SAFETY: the caller vouches for pointers and lengths.
    unsafe {
        WeightArrays {
            s,
            arrays: Arrays {
                w: Tile::new(train.params, len),
                grads: Tile::new(train.grads, arrays_of_grads * len),
                m: Tile::new(train.m, len),
                v: Tile::new(train.v, len),
            },
            transposed: Tile::new(train.params_transposed, len),
            squares: Tile::new(args.squares, squares_len(s)),
        }
    }
}

/// The losses of a step's documents.
///
/// # Safety
/// As for [`train_batch`].
#[inline(always)]
unsafe fn losses(args: &BatchArgs) -> Tile {
    // SAFETY: the caller vouches for the batch in whole tiles.
    unsafe { Tile::new(args.losses, (args.batch as usize).div_ceil(TILE) * TILE) }
}

/// How the arrays of gradients, [`Layout::len`] elements each, become one.
#[derive(Clone, Copy)]
struct Reduction {
    /// How many there are.
    arrays: usize,
    /// How many are summed before their sum is added to those of the runs before.
    run: usize,
    /// What the sum is multiplied by.
    scale: f32,
}

impl<S: Shape> WeightArrays<S> {
    /// Sums the arrays of gradients, for the blocks of weights that `share` gives. The sums take the place of the first array,
    /// and their squares are summed block by block.
    #[inline(always)]
    fn reduce_gradients(&self, how: Reduction, share: impl Fn(usize, usize) -> Strided) {
        self.each_block(
            share,
            #[inline(always)]
            |i, head| self.reduce_block(how, i, head),
            #[inline(always)]
            |i, place| self.reduce_rows::<1>(how, i, (self.position(place), self.s.n_embd_padded())),
            #[inline(always)]
            |i, layer| self.reduce_block(how, i, layer),
        );
    }

    #[inline(always)]
    fn reduce_block(&self, how: Reduction, i: usize, block: WeightBlock) {
        self.reduce_rows::<{ TILE / 2 }>(how, i, (block.at(), block.weight.matrix.cols));
    }

    /// [`Self::reduce_gradients`] of block `index`, `N` pairs of rows from `at` on, `stride` elements from row to row.
    #[inline(always)]
    fn reduce_rows<const N: usize>(
        &self,
        Reduction { arrays, run, scale }: Reduction,
        index: usize,
        (at, stride): (usize, usize),
    ) {
        let (grads, len) = (self.arrays.grads, Layout(self.s).len());
        let rows = |array: usize, r: usize| grads.row_pair(array * len + at + 2 * r * stride, stride);
        let mut sum = [F32x32::splat(0.0); N];
        let mut first = 0;
        while first < arrays {
            let mut run_sum = [F32x32::splat(0.0); N];
            for r in 0..N {
                run_sum[r] = rows(first, r);
            }
            for array in first + 1..arrays.min(first + run) {
                for r in 0..N {
                    run_sum[r] = run_sum[r] + rows(array, r);
                }
            }
            for r in 0..N {
                sum[r] = sum[r] + run_sum[r];
            }
            first += run;
        }
        for r in 0..N {
            sum[r] = sum[r] * F32x32::splat(scale);
            grads.set_row_pair(at + 2 * r * stride, stride, sum[r]);
        }
        self.squares.set_row(index * TILE, clip::squares(sum));
    }
}

/// The sum of the first `n` numbers, sixteen at a time.
#[inline(always)]
fn sum(numbers: Tile, n: usize) -> f32 {
    let mut sum = F32x16::splat(0.0);
    for i in (0..n).step_by(TILE) {
        sum = sum + Mask16::first(n - i).select(numbers.row(i), F32x16::splat(0.0));
    }
    sum.sum()
}
