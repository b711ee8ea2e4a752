//! The validation kernel. It runs the forward pass over many documents, one document in a block at a time.

use simt::{AS_ON_GPU, Grid, RaggedView, Target, View, inline};

use crate::activations::Activations;
use crate::kernel::Kernel;
use crate::model::{Documents, Gpt};
use crate::ops::{cross_entropy, rows};
use crate::shape::{ExpandedShape, HELD_TOKENS, RuntimeShape, Shape, TOKENS};

/// The arguments of `evaluate`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EvaluateArgs {
    /// The parameters, padded, `Layout::len` elements.
    pub params: *mut f32,
    /// The transposed copies of the matrices, `Layout::len` elements.
    pub transposed: *mut f32,
    /// The workspace, `Activations::len` elements for each block of the grid, zero before the first launch.
    pub workspace: *mut f32,
    /// The tokens of all documents, each `[BOS, .., BOS]` with two tokens or more, all below V.
    pub tokens: *const u32,
    /// The offset of each document in `tokens`, and the end of the last one: `documents + 1` elements.
    pub offsets: *const u32,
    /// The summed negative log-likelihood of each document in nats, `documents` elements, written.
    pub nll: *mut f32,
    /// The number of documents to evaluate, from the first on.
    pub documents: u32,
    /// The model's dimensions.
    pub shape: ExpandedShape,
}

impl Kernel for EvaluateArgs {
    fn shape(&self) -> RuntimeShape {
        self.shape.to_runtime()
    }

    /// Evaluates the documents, each in one of the grid's blocks.
    #[inline(always)]
    unsafe fn run<T: Target, S: Shape>(&self, grid: &Grid<T>, s: S) {
        grid.each_block(inline!(|block| {
            // SAFETY: the caller vouches for pointers and lengths, and for a workspace for each block.
            let (model, work, documents, nll) = unsafe {
                let size = Activations::len(s);
                let (model, work) = Gpt::stage(block, s, self.params, self.transposed, self.workspace, size);
                let nll = View::new(self.nll, self.documents as usize);
                (model, work, Documents(RaggedView::new(self.tokens, self.offsets, self.documents)), nll)
            };
            for i in block.grid_stride(self.documents as usize) {
                let pass = documents.pass(s, i, work);
                // The compiler drops the other branch, on the CPU before it generates code.
                if AS_ON_GPU && rows::are_held(s) {
                    model.forward::<T, HELD_TOKENS>(block, pass, |_| {}, |_, _, _| {});
                } else {
                    model.forward::<T, TOKENS>(block, pass, |_| {}, |_, _, _| {});
                }
                block.each_warp(inline!(move |warp| {
                    if warp.index == 0 {
                        nll.store_scalar(i, cross_entropy::total(s, &pass));
                    }
                }));
            }
        }));
    }
}
