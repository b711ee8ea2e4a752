//! Training on several documents a step, which are in shards, with a block of the grid for each shard.
//!
//! A step has three phases, and all blocks finish one before any begins the next. In [`Phase::Gradients`] a block sums the
//! gradients of its shard's documents. In [`Phase::Reduce`] it sums those of all shards, for its share of the weights. In
//! [`Phase::Update`] it updates its share. The number of shards is the same on every device, and every sum is ordered by the
//! indices of documents and shards. So the bits depend on neither the device nor the number of its threads.
//!
//! Shards are summed in spans of consecutive shards first, then the spans. A GPU's blocks work on all shards at once and keep
//! their gradients apart until the second phase. A thread of the CPU takes the shards of a span one after the other and adds
//! each to those before it, so that threads exchange the sums of `MAX_SPANS` spans rather than of [`MAX_SHARDS`] shards.

use simt::{
    AS_ON_GPU, Block, F32x16, F32x32, Grid, HALF_WARP, Mask16, Staged, Strided, Target, View, WARPS, div, inline, rem,
};

use super::weights::{Weights, gradient_blocks};
use super::{Arrays, Documents, Train, TrainArgs, load_coefficients, train_workspace_len};
use crate::kernel::Kernel;
use crate::layout::Layout;
use crate::ops::adamw::{AdamW, RowPairs, WeightViews};
use crate::ops::clip;
use crate::shape::{RuntimeShape, Shape};

/// The largest number of shards of a step's documents.
pub const MAX_SHARDS: usize = 128;

/// The largest number of spans of shards that are summed on their own.
const MAX_SPANS: usize = 32;

/// A part of a step between two barriers of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The forward and the backward pass. Document `i` of the step belongs to shard `i` modulo their number.
    Gradients,
    /// The sum of the shards' gradients.
    Reduce,
    /// The clip and `AdamW`.
    Update,
}

impl Phase {
    /// The phases of a step, in their order.
    pub const ALL: [Self; 3] = [Self::Gradients, Self::Reduce, Self::Update];
}

/// The arguments of `train_batch`, which are those of `train` and those for several documents a step.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BatchArgs {
    /// The arguments of `train`, but `grads` has [`GradientArrays::count`] arrays of `Layout::len` elements, and `workspace`, of
    /// [`batch_workspace_len`] elements, is that of the first block.
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

// The host and the PTX must agree on the struct's layout. (Pointers are narrower in WebAssembly.)
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<BatchArgs>() == 176);

/// Returns the number of shards of a step of `batch` documents.
#[inline(always)]
pub fn shards(batch: usize) -> usize {
    batch.min(MAX_SHARDS)
}

/// Returns the number of shards in a span, for `shards` shards. The last span may have fewer.
#[inline(always)]
pub fn span_len(shards: usize) -> usize {
    shards.div_ceil(MAX_SPANS)
}

/// The arrays of gradients that [`Phase::Gradients`] leaves in `BatchArgs::train.grads`.
#[derive(Clone, Copy, Debug)]
pub struct GradientArrays {
    /// The number of consecutive shards whose sum is in one array.
    pub shards_each: usize,
    /// The number of arrays.
    pub count: usize,
}

impl GradientArrays {
    /// Returns the arrays for the gradients of `shards` shards.
    #[inline(always)]
    pub fn new(shards: usize) -> Self {
        let shards_each = if AS_ON_GPU { 1 } else { span_len(shards) };
        Self { shards_each, count: shards.div_ceil(shards_each) }
    }
}

/// Returns the number of elements in a block's workspace, that of `train` and the gradients of a shard that is not the
/// first of its span.
#[inline(always)]
pub fn batch_workspace_len<S: Shape>(s: S) -> usize {
    train_workspace_len(s) + if AS_ON_GPU { 0 } else { Layout(s).len() }
}

/// Returns the number of elements in [`BatchArgs::squares`].
#[inline(always)]
pub fn squares_len<S: Shape>(s: S) -> usize {
    gradient_blocks(s) * HALF_WARP
}

/// The arguments of one phase of `train_batch`. [`Phase::Gradients`] needs a grid of [`shards`] blocks, and one thread runs
/// those of a gradient array in order. The other phases take any grid.
#[derive(Clone, Copy, Debug)]
pub struct PhaseArgs {
    /// The arguments of the launch.
    pub batch: BatchArgs,
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
        grid.each_block(inline!(|block| {
            // SAFETY: the caller keeps the contract of `Kernel::run`.
            unsafe {
                match self.phase {
                    Phase::Gradients => gradients(block, s, &self.batch, self.step),
                    Phase::Reduce => reduce(block, s, &self.batch),
                    Phase::Update => update(block, s, &self.batch, self.step),
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
unsafe fn gradients<T: Target, S: Shape>(block: &Block<T>, s: S, args: &BatchArgs, step: usize) {
    let (len, batch) = (Layout(s).len(), args.batch as usize);
    let GradientArrays { shards_each, .. } = GradientArrays::new(shards(batch));
    let array = args.train.grads.wrapping_add(div(block.index, shards_each) * len);
    let joins = rem(block.index, shards_each) > 0;
    let own = if joins { args.train.workspace.wrapping_add(train_workspace_len(s)) } else { array };
    let mut memory = block.memory();
    // SAFETY: the caller vouches for pointers and lengths, and for gradients and workspace of every block.
    let (arrays, documents, losses) = unsafe {
        let arrays = Arrays {
            w: memory.staged(args.train.params, len),
            transposed: memory.staged(args.train.params_transposed, len),
            grads: memory.staged(own, len),
            m: Staged::in_place(View::new(args.train.m, len)),
            v: Staged::in_place(View::new(args.train.v, len)),
            work: memory.workspace(args.train.workspace, train_workspace_len(s)),
        };
        (arrays, Documents::new(&args.train), losses(args))
    };
    let train = Train::new(s, &arrays, documents);
    block.each_warp(inline!(move |warp| arrays.fetch(warp)));
    for i in block.grid_stride(batch) {
        let document = args.train.first_document as usize + step * batch + i;
        block.each_warp(inline!(move |warp| train.fetch(warp, 0, rem(document, args.train.documents as usize))));
        let pass = train.pass(0);
        train.forward_backward(block, pass, None);
        train.weights.weight_gradients(block, pass, i != block.index);
        block.each_warp(inline!(move |warp| {
            if warp.index == WARPS - 1 {
                losses.store_scalar(i, train.loss(&pass));
            }
        }));
    }
    block.each_warp(inline!(move |warp| {
        warp.write_back(&arrays.grads);
        if joins {
            // SAFETY: the caller vouches for the array.
            let sum = unsafe { View::new(array, len) };
            for i in warp.block_stride(len / HALF_WARP).map(|i| i * HALF_WARP) {
                sum.store(i, sum.load(i) + arrays.grads.view.load(i));
            }
        }
    }));
}

/// Sums all shards' gradients, for this block's share of the weights.
///
/// # Safety
/// The conditions of [`Kernel::run`] hold.
#[inline(always)]
unsafe fn reduce<T: Target, S: Shape>(block: &Block<T>, s: S, args: &BatchArgs) {
    let shards = shards(args.batch as usize);
    let GradientArrays { shards_each, count } = GradientArrays::new(shards);
    // SAFETY: the caller vouches for pointers and lengths.
    let weights = unsafe { weights(s, args, count) };
    block.each_warp(inline!(move |warp| {
        let span = span_len(shards) / shards_each;
        weights.reduce_gradients(
            Reduction { arrays: count, span, scale: 1.0 / args.batch as f32 },
            inline!(|before, count| block.grid_stride_warps(warp, before, count)),
        );
    }));
}

/// Updates this block's share of the weights. The first block also reports the step.
///
/// # Safety
/// The conditions of [`Kernel::run`] hold.
#[inline(always)]
unsafe fn update<T: Target, S: Shape>(block: &Block<T>, s: S, args: &BatchArgs, step: usize) {
    let steps = args.train.steps as usize;
    // SAFETY: the caller vouches for pointers and lengths, and for three coefficients and two reports a step.
    let (weights, losses, coefficients, log) = unsafe {
        let coefficients = View::new(args.train.coefficients.cast_mut().cast(), 3 * steps);
        let log = View::new(args.train.log.cast(), 2 * steps).at(2 * step);
        (weights(s, args, 1), losses(args), load_coefficients(coefficients, step), log)
    };
    let norm = clip::norm(weights.squares, gradient_blocks(s));
    let params = &args.train.optimizer;
    let adamw = AdamW::new(params, &coefficients, clip::scale(norm, params.max_grad_norm));
    block.each_warp(inline!(move |warp| {
        weights.update(warp, &adamw, inline!(|before, count| block.grid_stride_warps(warp, before, count)));
        if block.index == 0 && warp.index == WARPS - 1 {
            log.store_scalar(0, sum(losses, args.batch as usize) / args.batch as f32);
            log.store_scalar(1, norm);
        }
    }));
}

/// Returns the weights in the memory that all blocks share, with `grads_arrays` arrays of gradients.
///
/// # Safety
/// The conditions of [`Kernel::run`] hold.
#[inline(always)]
unsafe fn weights<S: Shape>(s: S, args: &BatchArgs, grads_arrays: usize) -> Weights<S> {
    let (len, train) = (Layout(s).len(), &args.train);
    // SAFETY: the caller vouches for pointers and lengths.
    unsafe {
        let views = WeightViews {
            w: View::new(train.params, len),
            transposed: View::new(train.params_transposed, len),
            grads: View::new(train.grads, grads_arrays * len),
            m: View::new(train.m, len),
            v: View::new(train.v, len),
        };
        Weights { s, views, squares: View::new(args.squares, squares_len(s)) }
    }
}

/// Returns the losses of a step's documents.
///
/// # Safety
/// The conditions of [`Kernel::run`] hold.
#[inline(always)]
unsafe fn losses(args: &BatchArgs) -> View {
    // SAFETY: the caller vouches for the batch, rounded up to half-warps.
    unsafe { View::new(args.losses, (args.batch as usize).div_ceil(HALF_WARP) * HALF_WARP) }
}

/// The parameters of the sum of the arrays of gradients, [`Layout::len`] elements each.
#[derive(Clone, Copy)]
struct Reduction {
    /// The number of arrays.
    arrays: usize,
    /// The number of arrays of a span, summed before their sum is added to those of the spans before.
    span: usize,
    /// The factor of the sum.
    scale: f32,
}

impl<S: Shape> Weights<S> {
    /// Sums the arrays of gradients, for the blocks of weights that `share` gives. The sums replace the first array, and their
    /// squares are summed block by block.
    #[inline(always)]
    fn reduce_gradients(&self, reduction: Reduction, share: impl Fn(usize, usize) -> Strided) {
        self.each_block(
            share,
            inline!(|i, block| self.reduce_rows::<{ HALF_WARP / 2 }>(reduction, i, block.rows())),
            inline!(|i, pair| self.reduce_rows::<1>(reduction, i, pair.rows)),
            inline!(|i, layer| self.reduce_rows::<{ HALF_WARP / 2 }>(reduction, i, layer.block.rows())),
        );
    }

    /// Computes [`Self::reduce_gradients`] for the `N` pairs of rows of block `i`.
    #[inline(always)]
    fn reduce_rows<const N: usize>(&self, reduction: Reduction, i: usize, rows: RowPairs) {
        let Reduction { arrays, span, scale } = reduction;
        let (grads, len, stride) = (self.views.grads, Layout(self.s).len(), rows.stride);
        let load = |array: usize, r: usize| grads.load_halves(array * len + rows.at(r), stride);
        let mut sum = [F32x32::splat(0.0); N];
        let mut first = 0;
        while first < arrays {
            let mut span_sum = [F32x32::splat(0.0); N];
            for r in 0..N {
                span_sum[r] = load(first, r);
            }
            for array in first + 1..arrays.min(first + span) {
                for r in 0..N {
                    span_sum[r] = span_sum[r] + load(array, r);
                }
            }
            for r in 0..N {
                sum[r] = sum[r] + span_sum[r];
            }
            first += span;
        }
        for r in 0..N {
            sum[r] = sum[r] * F32x32::splat(scale);
            grads.store_halves(rows.at(r), stride, sum[r]);
        }
        self.squares.store(i * HALF_WARP, clip::squares(sum));
    }
}

/// Returns the sum of the first `n` values, sixteen at a time.
#[inline(always)]
fn sum(values: View, n: usize) -> f32 {
    let mut sum = F32x16::splat(0.0);
    for i in (0..n).step_by(HALF_WARP) {
        sum = sum + Mask16::lanes_below(n - i).select(values.load(i), F32x16::splat(0.0));
    }
    sum.reduce_sum()
}
