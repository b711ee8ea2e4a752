//! The fused training kernel, which runs any number of steps in one launch.

use simt::{Block, Grid, HALF_WARP, Memory, Staged, Target, U32View, View, Views, WARPS, Warp, inline, round_up};

use crate::activations::Activations;
use crate::kernel::Kernel;
use crate::layout::Layout;
use crate::model::{Gpt, Pass};
use crate::ops::adamw::{AdamW, AdamWParams, StepCoefficients, WeightViews};
use crate::ops::{clip, cross_entropy};
use crate::shape::{RuntimeShape, Shape};

pub mod batch;
mod weights;

use weights::{Weights, gradient_blocks};

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
    /// The parameters, padded, `Layout::len` elements.
    pub params: *mut f32,
    /// The transposed copies of the matrices, `Layout::len` elements.
    pub params_transposed: *mut f32,
    /// The gradients, `Layout::len` elements.
    pub grads: *mut f32,
    /// The first moments, `Layout::len` elements.
    pub m: *mut f32,
    /// The second moments, `Layout::len` elements.
    pub v: *mut f32,
    /// The workspace, [`train_workspace_len`] elements, zero before the first launch.
    pub workspace: *mut f32,
    /// The tokens of all documents, each `[BOS, .., BOS]` with two tokens or more, all below V.
    pub tokens: *const u32,
    /// The offset of each document in `tokens`, and the end of the last one: `documents + 1` elements.
    pub offsets: *const u32,
    /// The coefficients of each step of the launch.
    pub coefficients: *const StepCoefficients,
    /// The output: the report of each step of the launch.
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

// The host and the PTX must agree on the structs' layout. (Pointers are narrower in WebAssembly.)
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<TrainArgs>() == 136 && size_of::<TrainModelsArgs>() == 32);

/// The arrays that a block trains on.
#[derive(Clone, Copy)]
struct Arrays {
    w: Staged,
    transposed: Staged,
    grads: Staged,
    m: Staged,
    v: Staged,
    work: Staged,
}

impl Views for Arrays {
    #[inline(always)]
    fn map(self, f: impl Fn(View) -> View) -> Self {
        let f = &f;
        let Self { w, transposed, grads, m, v, work } = self;
        let (w, transposed, grads) = (w.map(f), transposed.map(f), grads.map(f));
        Self { w, transposed, grads, m: m.map(f), v: v.map(f), work: work.map(f) }
    }
}

impl Arrays {
    /// Returns the arrays of `args` in the block's memory.
    ///
    /// # Safety
    /// The pointers of `args` are valid for the lengths that [`TrainArgs`] states.
    #[inline(always)]
    unsafe fn new<S: Shape>(memory: &mut Memory, s: S, args: &TrainArgs) -> Self {
        let len = Layout(s).len();
        // SAFETY: the caller vouches for pointers and lengths.
        unsafe {
            Self {
                w: memory.staged(args.params, len),
                transposed: memory.staged(args.params_transposed, len),
                grads: memory.staged(args.grads, len),
                m: memory.staged(args.m, len),
                v: memory.staged(args.v, len),
                work: memory.workspace(args.workspace, train_workspace_len(s)),
            }
        }
    }

    #[inline(always)]
    fn weights(&self) -> WeightViews {
        let Self { w, transposed, grads, m, v, .. } = self;
        WeightViews { w: w.view, transposed: transposed.view, grads: grads.view, m: m.view, v: v.view }
    }

    #[inline(always)]
    fn fetch(&self, warp: &Warp) {
        let Self { w, transposed, grads, m, v, work } = self;
        warp.fetch(w);
        warp.fetch(transposed);
        warp.fetch(grads);
        warp.fetch(m);
        warp.fetch(v);
        warp.fetch(work);
    }

    #[inline(always)]
    fn write_back(&self, warp: &Warp) {
        let Self { w, transposed, grads, m, v, work: _ } = self;
        warp.write_back(w);
        warp.write_back(transposed);
        warp.write_back(grads);
        warp.write_back(m);
        warp.write_back(v);
    }
}

/// The documents of a launch.
#[derive(Clone, Copy)]
struct Documents {
    /// The tokens of all documents.
    tokens: U32View,
    /// The offset of each document.
    offsets: U32View,
}

impl Documents {
    /// Returns the documents of `args`.
    ///
    /// # Safety
    /// The pointers of `args` are valid for the lengths that [`TrainArgs`] states.
    #[inline(always)]
    unsafe fn new(args: &TrainArgs) -> Self {
        // SAFETY: the caller vouches for pointers and lengths.
        unsafe { Self { tokens: U32View::new(args.tokens), offsets: U32View::new(args.offsets) } }
    }
}

/// A block's training of one model.
#[derive(Clone, Copy)]
struct Train<S> {
    s: S,
    weights: Weights<S>,
    work: View,
    documents: Documents,
    /// `[2, document_len]`: the documents of this step and of the next, each after its number of positions.
    fetched: U32View,
}

/// Returns the number of elements in `train`'s workspace. It has the activations, a partial sum of squares for each
/// block of weights, and two documents.
#[inline(always)]
pub fn train_workspace_len<S: Shape>(s: S) -> usize {
    Activations::len(s) + gradient_blocks(s) * HALF_WARP + 2 * document_len(s)
}

/// Returns the number of elements in a document in the workspace, the number of positions and up to `T + 1` tokens.
#[inline(always)]
fn document_len<S: Shape>(s: S) -> usize {
    round_up(s.block_size() + 2, HALF_WARP)
}

impl Kernel for TrainArgs {
    fn shape(&self) -> RuntimeShape {
        self.shape
    }

    /// Trains [`TrainArgs::steps`] steps in one block.
    #[inline(always)]
    unsafe fn run<T: Target, S: Shape>(&self, grid: &Grid<T>, s: S) {
        grid.each_block(inline!(|block| {
            let steps = self.steps as usize;
            // SAFETY: the caller vouches for pointers and lengths, and for three coefficients and two reports a step.
            let (arrays, documents, coefficients, log) = unsafe {
                let coefficients = View::new(self.coefficients.cast_mut().cast(), 3 * steps);
                let log = View::new(self.log.cast(), 2 * steps);
                (Arrays::new(&mut block.memory(), s, self), Documents::new(self), coefficients, log)
            };
            let train = Train::new(s, &arrays, documents);
            let mut document = self.first_document as usize;
            block.each_warp(inline!(move |warp| arrays.fetch(warp)));
            block.each_warp(inline!(move |warp| train.fetch(warp, 0, document)));
            block.iterate(
                steps,
                arrays,
                inline!(|step, arrays| {
                    // The coefficients are loaded early, so that the update need not wait for them.
                    let coefficients = load_coefficients(coefficients, step);
                    document = if document + 1 == self.documents as usize { 0 } else { document + 1 };
                    let train = Train::new(s, &arrays, documents);
                    let pass = train.pass(step);
                    train.forward_backward(block, pass, Some(Next { step: step + 1, document }));
                    train.weights.weight_gradients(block, pass, false);
                    train.update(block, pass, &self.optimizer, &coefficients, log.at(2 * step));
                }),
            );
            block.each_warp(inline!(move |warp| arrays.write_back(warp)));
        }));
    }
}

/// Loads the coefficients of a step of the launch.
#[inline(always)]
fn load_coefficients(coefficients: View, step: usize) -> StepCoefficients {
    StepCoefficients {
        sqrt_scale: coefficients.load_scalar(3 * step),
        eps: coefficients.load_scalar(3 * step + 1),
        decay: coefficients.load_scalar(3 * step + 2),
    }
}

/// The next step and its document, which is fetched during this step.
#[derive(Clone, Copy)]
struct Next {
    step: usize,
    document: usize,
}

impl<S: Shape> Train<S> {
    #[inline(always)]
    fn new(s: S, arrays: &Arrays, documents: Documents) -> Self {
        let (views, work) = (arrays.weights(), arrays.work.view);
        let squares = work.at(Activations::len(s));
        let fetched = squares.at(gradient_blocks(s) * HALF_WARP).as_u32();
        Self { s, weights: Weights { s, views, squares }, work, documents, fetched }
    }

    /// Returns the model with these weights.
    #[inline(always)]
    fn model(&self) -> Gpt<S> {
        let WeightViews { w, transposed, .. } = self.weights.views;
        Gpt { s: self.s, layout: Layout(self.s), w, transposed }
    }

    /// Returns the document that [`Self::fetch`] has fetched for this step.
    #[inline(always)]
    fn pass(&self, step: usize) -> Pass {
        let document = self.fetched.at(step % 2 * document_len(self.s));
        Pass { document: document.at(1), n: document.load_uniform(0), work: self.work }
    }

    /// Fetches the document of step `step` in the last warp, which has no token of a short document.
    #[inline(always)]
    fn fetch(&self, warp: &Warp, step: usize, document: usize) {
        if warp.index == WARPS - 1 {
            let Documents { tokens, offsets } = self.documents;
            let (start, end) = (offsets.load_uniform(document), offsets.load_uniform(document + 1));
            let n = self.s.block_size().min(end - start - 1);
            let to = self.fetched.at(step % 2 * document_len(self.s));
            to.store_scalar(0, n);
            to.at(1).copy_from(tokens.at(start), n + 1);
        }
    }

    /// Computes the gradient of every activation, and fetches the next document meanwhile.
    #[inline(always)]
    fn forward_backward<T: Target>(self, block: &Block<T>, pass: Pass, next: Option<Next>) {
        let (model, last) = (self.model(), self.s.n_layer() - 1);
        model.forward(
            block,
            pass,
            inline!(move |warp| {
                if let Some(Next { step, document }) = next {
                    self.fetch(warp, step, document);
                }
            }),
            inline!(move |warp, tokens| {
                model.lm_head_backward(warp, &pass, tokens);
                model.backward_to_scores(warp, &pass, last, tokens);
            }),
        );
        model.backward(block, pass);
    }

    /// Clips, updates every weight and its moments, and writes loss and norm to `log`.
    #[inline(always)]
    fn update<T: Target>(
        self,
        block: &Block<T>,
        pass: Pass,
        params: &AdamWParams,
        coefficients: &StepCoefficients,
        log: View,
    ) {
        let norm = clip::norm(self.weights.squares, gradient_blocks(self.s));
        let adamw = AdamW::new(params, coefficients, clip::scale(norm, params.max_grad_norm));
        block.each_warp(inline!(move |warp| {
            self.weights.update(warp, &adamw, inline!(|before, count| warp.block_stride_after(before, count)));
            if warp.index == WARPS - 1 {
                log.store_scalar(0, self.loss(&pass));
                log.store_scalar(1, norm);
            }
        }));
    }

    /// Returns the mean loss of the document's positions.
    #[inline(always)]
    fn loss(&self, pass: &Pass) -> f32 {
        cross_entropy::total(&pass.cross_entropy(self.s), pass.n) / pass.n as f32
    }
}
