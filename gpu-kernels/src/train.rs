//! The fused training kernel, which runs any number of steps in one launch.

use simt::{Block, Grid, HALF_WARP, RaggedView, Target, U32View, View, Views, WARPS, Warp, inline, round_up};

use crate::activations::{Activations, Pass};
use crate::kernel::Kernel;
use crate::layout::{Arrays, Layout};
use crate::model::{Documents, Gpt};
use crate::ops::adamw::{AdamWParams, StepCoefficients};
use crate::ops::cross_entropy;
use crate::shape::{RuntimeShape, Shape};

pub mod batch;
mod held;
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
    pub shape: RuntimeShape,
}

impl TrainArgs {
    /// Returns the coefficients of step `step` of the launch, and the place of its report.
    ///
    /// # Safety
    /// The pointers are valid for the lengths that the fields' docs state.
    #[inline(always)]
    unsafe fn step(&self, step: usize) -> (StepCoefficients, View) {
        let steps = self.steps as usize;
        // SAFETY: the caller vouches for the pointers. Each step has three coefficients, and a report of two values.
        let (coefficients, log) = unsafe {
            let coefficients = View::new(self.coefficients.cast_mut().cast(), 3 * steps).at(3 * step);
            (coefficients, View::new(self.log.cast(), 2 * steps).at(2 * step))
        };
        let load = |i| coefficients.load_scalar(i);
        (StepCoefficients { sqrt_scale: load(0), eps: load(1), decay: load(2) }, log)
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

impl<S: Shape> Views for Train<S> {
    #[inline(always)]
    fn map(self, f: impl Fn(View) -> View) -> Self {
        Self { arrays: self.arrays.map(&f), work: f(self.work), ..self }
    }
}

/// Returns the number of elements in `train`'s workspace: activations, partial sums of squares and two documents.
#[inline(always)]
pub fn train_workspace_len<S: Shape>(s: S) -> usize {
    Activations::len(s) + squares_len(s) + 2 * document_len(s)
}

/// Returns the number of elements of a document in the workspace: its number of positions, and up to `T + 1` tokens.
fn document_len<S: Shape>(s: S) -> usize {
    round_up(s.block_size() + 2, HALF_WARP)
}

impl Kernel for TrainArgs {
    fn shape(&self) -> RuntimeShape {
        self.shape
    }

    /// Runs [`TrainArgs::steps`] training steps in one block.
    #[inline(always)]
    unsafe fn run<T: Target, S: Shape>(&self, grid: &Grid<T>, s: S) {
        grid.each_block(inline!(|block| {
            let (mut memory, len) = (block.memory(), Layout(s).len());
            // SAFETY: the caller vouches for pointers and lengths.
            let (arrays, work, documents) = unsafe {
                let arrays = self.arrays.map(inline!(|array| memory.staged(array, len)));
                let work = memory.workspace(self.workspace, train_workspace_len(s));
                (arrays, work, Documents(RaggedView::new(self.tokens, self.offsets, self.documents)))
            };
            let train =
                Train { s, arrays: arrays.map(inline!(|array| array.view)), work: work.view.even_first(), documents };
            let mut document = self.first_document as usize;
            block.each_warp(inline!(move |warp| {
                arrays.map(inline!(|array| warp.fetch(&array)));
                warp.fetch(&work);
            }));
            block.each_warp(inline!(move |warp| train.fetch(warp, 0, document)));
            let mut held = train.hold(block);
            block.iterate(
                self.steps as usize,
                train,
                inline!(|i, train| {
                    // The coefficients are loaded early to hide the latency of the load from the update.
                    // SAFETY: the caller vouches for pointers and lengths.
                    let (coefficients, log) = unsafe { self.step(i) };
                    document = if document + 1 == self.documents as usize { 0 } else { document + 1 };
                    let pass = train.pass(i);
                    train.forward_backward(block, pass, inline!(move |warp| train.fetch(warp, i + 1, document)));
                    let weights = train.weights();
                    weights.gradients(block, pass, &mut held);
                    let loss = move || cross_entropy::total(s, &pass) / pass.n as f32;
                    weights.step(block, &mut held, self.optimizer, coefficients, log, loss);
                }),
            );
            train.release(block, &mut held);
            block.each_warp(inline!(move |warp| {
                arrays.map(inline!(|array| warp.write_back(&array)));
            }));
        }));
    }
}

impl<S: Shape> Train<S> {
    /// Returns the weights, with their sums of squares after the activations in the workspace.
    #[inline(always)]
    fn weights(&self) -> Weights<S> {
        Weights { s: self.s, arrays: self.arrays, squares: self.work.at(Activations::len(self.s)) }
    }

    /// Returns the place of a step's document, the number of its positions and its tokens. This step's and the next step's
    /// documents alternate at the end of the workspace.
    #[inline(always)]
    fn fetched(&self, step: usize) -> U32View {
        let squares = self.weights().squares.at(squares_len(self.s));
        squares.as_u32().at(step % 2 * document_len(self.s))
    }

    /// Returns the document that [`Self::fetch`] has fetched for this step.
    #[inline(always)]
    fn pass(&self, step: usize) -> Pass {
        let document = self.fetched(step);
        Pass { document: document.at(1), n: document.load_uniform(0), work: self.work }
    }

    /// Fetches the document of step `step` in the last warp, which has no token of a short document.
    #[inline(always)]
    fn fetch(&self, warp: &Warp, step: usize, document: usize) {
        if warp.index == WARPS - 1 {
            let (to, Pass { document, n, .. }) = (self.fetched(step), self.documents.pass(self.s, document, self.work));
            to.store_scalar(0, n);
            to.at(1).copy_from(document, n + 1);
        }
    }

    /// Computes the gradient of every activation. `before` runs first in each warp.
    #[inline(always)]
    fn forward_backward<T: Target>(self, block: &Block<T>, pass: Pass, before: impl Fn(&Warp) + Copy) {
        let Arrays { w, transposed, .. } = self.arrays;
        let (model, last) = (Gpt { s: self.s, w, transposed }, self.s.n_layer() - 1);
        model.forward(
            block,
            pass,
            before,
            inline!(move |warp, tokens| {
                model.lm_head_backward(warp, &pass, tokens);
                model.backward_to_scores(warp, &pass, last, tokens);
            }),
        );
        model.backward(block, pass);
    }
}
