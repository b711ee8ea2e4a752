//! The fused training kernel, which runs any number of steps in one launch.

use simt::{
    AS_ON_GPU, Block, Grid, HALF_WARP, Memory, RaggedView, Target, U32View, View, Views, WARPS, Warp, inline, round_up,
};

use crate::activations::{Activations, Pass};
use crate::kernel::Kernel;
use crate::layout::{Arrays, Layout};
use crate::model::{Documents, Gpt};
use crate::ops::adamw::{AdamWParams, StepCoefficients};
use crate::ops::{cross_entropy, rows};
use crate::shape::{ExpandedShape, HELD_TOKENS, RuntimeShape, Shape, TOKENS};

pub mod batch;
mod held;
pub mod held_batch;
mod held_gradients;
mod held_tree;
mod held_update;
mod weights;

use weights::{Weights, squares_len};

/// The report of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct StepLog {
    /// The mean cross-entropy over the document's positions in nats, before the update.
    pub loss: f32,
    /// The gradient's global norm before clipping.
    pub grad_norm: f32,
}

/// The arguments of `train` for one model.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TrainArgs {
    /// The flat arrays, padded, `Layout::len` elements each.
    pub arrays: Arrays<*mut f32>,
    /// The workspace, [`train_workspace_len`] elements, zero before the first launch.
    pub workspace: *mut f32,
    /// The tokens of all documents, each `[BOS, .., BOS]` with two tokens or more, all below V.
    pub tokens: *const u32,
    /// The offset of each document in `tokens`, and the end of the last one: `documents + 1` elements.
    pub offsets: *const u32,
    /// The coefficients of each step of the launch.
    pub coefficients: *const StepCoefficients,
    /// The report of each step of the launch, written.
    pub log: *mut StepLog,
    /// The document of the launch's first step. The steps take documents in turn.
    pub first_document: u32,
    /// The number of documents.
    pub documents: u32,
    /// The number of steps of the launch.
    pub steps: u32,
    /// The model's dimensions.
    pub shape: RuntimeShape,
    /// The optimiser's constants.
    pub optimizer: AdamWParams,
}

/// The arguments of `train` on a GPU, for several models of one shape, one in each block of the grid.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TrainModelsArgs {
    /// The arguments of each model.
    pub models: *const TrainArgs,
    /// The number of steps of the launch, the same for all models.
    pub steps: u32,
    /// The models' dimensions.
    pub shape: ExpandedShape,
}

impl TrainArgs {
    /// Returns the coefficients of the launch's steps, for [`StepCoefficients::load`].
    ///
    /// # Safety
    /// The pointers are valid for the lengths that the fields' docs state.
    #[inline(always)]
    unsafe fn coefficients(&self) -> View {
        // SAFETY: the caller vouches for the pointers. Each step has three coefficients.
        unsafe { View::new(self.coefficients.cast_mut().cast(), 3 * self.steps as usize) }
    }

    /// Returns the documents.
    ///
    /// # Safety
    /// The pointers are valid for the lengths that the fields' docs state.
    #[inline(always)]
    unsafe fn documents(&self) -> Documents {
        // SAFETY: the caller vouches for the pointers.
        Documents(unsafe { RaggedView::new(self.tokens, self.offsets, self.documents) })
    }

    /// Returns the place of the report of step `step` of the launch.
    ///
    /// # Safety
    /// The pointers are valid for the lengths that the fields' docs state.
    #[inline(always)]
    unsafe fn log(&self, step: usize) -> View {
        // SAFETY: the caller vouches for the pointers. Each step has a report of two values.
        unsafe { View::new(self.log.cast(), 2 * self.steps as usize) }.at(2 * step)
    }
}

/// A block's training of one model.
#[derive(Clone, Copy)]
struct Train<S> {
    s: S,
    arrays: Arrays<View>,
    /// The block's workspace, [`train_workspace_len`] elements.
    work: View,
    documents: Documents,
}

/// The views that the loop over the steps keeps.
#[derive(Clone, Copy)]
struct Kept<S> {
    train: Train<S>,
    coefficients: View,
}

impl<S: Shape> Views for Kept<S> {
    /// Applies `f` to each view that the steps use. Each takes a register of a GPU.
    #[inline(always)]
    fn map(self, f: impl Fn(View) -> View) -> Self {
        let Self { train, coefficients } = self;
        let Train { s, arrays, work, .. } = train;
        let mut arrays = Arrays { w: f(arrays.w), transposed: f(arrays.transposed), ..arrays };
        if !held::are_held(s) {
            arrays.grads = f(arrays.grads);
        }
        Self { train: Train { arrays, work: f(work), ..train }, coefficients: f(coefficients) }
    }
}

/// Returns the number of elements in `train`'s workspace: two documents, partial sums of squares and activations.
#[inline(always)]
pub fn train_workspace_len<S: Shape>(s: S) -> usize {
    activations_offset(s) + Activations::len(s)
}

/// Returns the offset of the activations in `train`'s workspace. They come last, because the places behind them follow from all
/// dimensions, and would take registers of a GPU during the whole launch.
#[inline(always)]
pub fn activations_offset<S: Shape>(s: S) -> usize {
    2 * document_len(s) + squares_len(s)
}

/// Returns the number of elements of a document in the workspace: its number of positions, and up to `T + 1` tokens. The
/// tokens of a whole group can be loaded.
#[inline(always)]
fn document_len<S: Shape>(s: S) -> usize {
    round_up(s.block_size_padded() + 2, HALF_WARP)
}

impl Kernel for TrainArgs {
    fn shape(&self) -> RuntimeShape {
        self.shape
    }

    /// Runs [`TrainArgs::steps`] training steps in one block.
    #[inline(always)]
    unsafe fn run<T: Target, S: Shape>(&self, grid: &Grid<T>, s: S) {
        // SAFETY: the caller keeps the contract.
        unsafe { self.train(grid, s, inline!(|| *self)) };
    }
}

impl TrainArgs {
    /// Runs [`Kernel::run`]. `again` returns the arguments once more, where registers of a GPU would hold them for long.
    ///
    /// # Safety
    /// That of [`Kernel::run`].
    #[inline(always)]
    pub(crate) unsafe fn train<T: Target, S: Shape>(&self, grid: &Grid<T>, s: S, again: impl Fn() -> Self + Copy) {
        grid.each_block(inline!(|block| {
            let (without_index, block) = (block, &block.with_warp_index());
            // The default shape has registers for the arguments.
            let args = move || if S::IS_CONST { *self } else { again() };
            let staged = move |memory: &mut Memory| {
                let (args, len) = (args(), Layout(s.rematerialize()).len());
                // SAFETY: the caller vouches for pointers and lengths.
                args.arrays.map(inline!(|array| unsafe { memory.staged(array, len) }))
            };
            let mut memory = block.memory();
            let arrays = staged(&mut memory);
            // SAFETY: the caller vouches for pointers and lengths.
            let (work, documents, coefficients) = unsafe {
                (memory.workspace(self.workspace, train_workspace_len(s)), self.documents(), self.coefficients())
            };
            let train =
                Train { s, arrays: arrays.map(inline!(|array| array.view)), work: work.view.even_first(), documents };
            let mut document = self.first_document;
            block.each_warp(inline!(move |warp| {
                arrays.map(inline!(|array| warp.fetch(&array)));
                warp.fetch(&work);
            }));
            block.each_warp(inline!(move |warp| train.fetch(warp, 0, document as usize)));
            let (mut held, mut norm, mut n) = (train.hold(block), 0.0, train.pass(0).n);
            block.iterate(
                self.steps as usize,
                Kept { train, coefficients },
                inline!(|i, Kept { train, coefficients }| {
                    document = if document + 1 == args().documents { 0 } else { document + 1 };
                    // SAFETY: the caller vouches for pointers and lengths.
                    let log = |step: usize| unsafe { args().log(step) };
                    // The compiler of a GPU would compute parts of the offset before the loop, and spill them.
                    let work = train.part(2 * document_len(s.rematerialize()) + squares_len(s));
                    let (pass, weights) = (Pass { document: train.fetched(i).at(1), n, work }, train.weights());
                    let loss = move || cross_entropy::total(s, &pass) / pass.n as f32;
                    train.forward_backward(
                        block,
                        pass,
                        inline!(move |warp| {
                            // SAFETY: the caller vouches for pointers and lengths.
                            let train = Train { documents: unsafe { args().documents() }, ..train };
                            train.fetch(warp, i + 1, document as usize);
                            if i > 0 {
                                held::log_norm(warp, s, log(i - 1), norm);
                            }
                        }),
                        inline!(move |warp| held::log_loss(warp, s, log(i), loss)),
                    );
                    // The coefficients are loaded early to hide the latency of the load from the update, and not earlier, because
                    // they take registers of a GPU.
                    // SAFETY: the caller vouches for pointers and lengths.
                    let coefficients = if S::IS_CONST { coefficients } else { unsafe { args().coefficients() } };
                    let coefficients = StepCoefficients::load(coefficients, i);
                    weights.gradients(block, pass, &mut held);
                    // The number of positions is loaded early to hide the latency of the load from the next step.
                    n = train.pass(i + 1).n;
                    let arrays = staged(&mut block.memory()).map(inline!(|array| array.view));
                    let weights = Weights { arrays: Arrays { m: arrays.m, v: arrays.v, ..weights.arrays }, ..weights };
                    norm = weights.step(block, &mut held, (args().optimizer, coefficients), log(i), loss, |_, _| {});
                }),
            );
            // SAFETY: the caller vouches for pointers and lengths.
            let last = unsafe { self.log((self.steps as usize).saturating_sub(1)) };
            train.release(block, &mut held, last, norm);
            let arrays = staged(&mut block.memory());
            without_index.each_warp(inline!(move |warp| {
                arrays.map(inline!(|array| warp.write_back(&array)));
            }));
        }));
    }
}

impl<S: Shape> Train<S> {
    /// Returns the same training, whose addresses the compiler computes where they are used, if it does not know the
    /// dimensions.
    #[inline(always)]
    fn rematerialize(self) -> Self {
        if S::IS_CONST {
            return self;
        }
        let Self { arrays, work, .. } = self;
        let (w, transposed) = (arrays.w.rematerialize(), arrays.transposed.rematerialize());
        let arrays = Arrays { w, transposed, grads: arrays.grads.rematerialize(), ..arrays };
        Self { arrays, work: work.rematerialize(), ..self }
    }

    /// Returns the part of the workspace from an offset below 2^32 on. Its address is computed at once, if the compiler does not
    /// know the offset. Otherwise the terms of later addresses would be added to the offset, which would take registers too.
    #[inline(always)]
    fn part(&self, offset: usize) -> View {
        self.work.window(self.s.rematerialize_index(offset), S::IS_CONST)
    }

    /// Returns the activations' part of the workspace.
    #[inline(always)]
    fn activations(&self) -> View {
        self.part(activations_offset(self.s))
    }

    /// Returns the weights, with their sums of squares after the documents in the workspace.
    #[inline(always)]
    fn weights(&self) -> Weights<S> {
        Weights { s: self.s, arrays: self.arrays, squares: self.part(2 * document_len(self.s)) }
    }

    /// Returns the place of a step's document, the number of its positions and its tokens. This step's and the next step's
    /// documents alternate at the beginning of the workspace.
    #[inline(always)]
    fn fetched(&self, step: usize) -> U32View {
        self.work.as_u32().at(self.s.rematerialize_index(step % 2 * document_len(self.s)))
    }

    /// Returns the document that [`Self::fetch`] has fetched for this step.
    #[inline(always)]
    fn pass(&self, step: usize) -> Pass {
        let document = self.fetched(step);
        Pass { document: document.at(1), n: document.load_uniform(0), work: self.activations() }
    }

    /// Fetches the document of step `step` in the last warp, which has no token of a short document.
    #[inline(always)]
    fn fetch(&self, warp: &Warp, step: usize, document: usize) {
        if warp.index == WARPS - 1 {
            let (to, Pass { document, n, .. }) =
                (self.fetched(step), self.documents.pass(self.s, document, self.activations()));
            to.store_scalar(0, n);
            to.at(1).copy_from(document, n + 1);
        }
    }

    /// Computes the gradient of every activation. `before` runs before layer 0's attention, and `beside` in the last region, beside the
    /// tokens.
    #[inline(always)]
    fn forward_backward<T: Target>(
        self,
        block: &Block<T>,
        pass: Pass,
        before: impl Fn(&Warp) + Copy,
        beside: impl Fn(&Warp) + Copy,
    ) {
        // The compiler drops the other branch, on the CPU before it generates code.
        if AS_ON_GPU && rows::are_held(self.s) {
            self.passes::<T, HELD_TOKENS>(block, pass, before, beside);
        } else {
            self.passes::<T, TOKENS>(block, pass, before, beside);
        }
    }

    /// Computes [`Self::forward_backward`] with `N` tokens in a warp at once.
    #[inline(always)]
    fn passes<T: Target, const N: usize>(
        self,
        block: &Block<T>,
        pass: Pass,
        before: impl Fn(&Warp) + Copy,
        beside: impl Fn(&Warp) + Copy,
    ) {
        let Arrays { w, transposed, .. } = self.arrays;
        let (model, last) = (Gpt { s: self.s, w, transposed, packed: None }, self.s.n_layer() - 1);
        model.forward::<T, N>(
            block,
            pass,
            before,
            inline!(move |warp, tokens, logits| {
                model.lm_head_backward(warp, &pass, tokens, logits);
                model.backward_to_scores(warp, &pass, last, tokens);
            }),
        );
        model.backward::<T, N>(block, pass, beside);
    }
}
