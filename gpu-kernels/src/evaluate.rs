//! The validation kernel. It runs the forward pass over many documents, one in a block at a time.

use simt::{Grid, Target, View, inline};

use crate::activations::Activations;
use crate::kernel::Kernel;
use crate::layout::Layout;
use crate::model::{Documents, Gpt, Pass};
use crate::ops::cross_entropy;
use crate::shape::{RuntimeShape, Shape};

/// The arguments of `evaluate`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EvaluateArgs {
    /// The parameters, padded, `Layout::len` elements.
    pub params: *mut f32,
    /// The transposed copies of the matrices, `Layout::len` elements.
    pub params_transposed: *mut f32,
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
    pub shape: RuntimeShape,
}

// The host and the PTX must agree on the struct's layout. (Pointers are narrower in WebAssembly.)
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<EvaluateArgs>() == 72);

impl Kernel for EvaluateArgs {
    fn shape(&self) -> RuntimeShape {
        self.shape
    }

    /// Evaluates the documents, each in one of the grid's blocks.
    #[inline(always)]
    unsafe fn run<T: Target, S: Shape>(&self, grid: &Grid<T>, s: S) {
        grid.each_block(inline!(|block| {
            let (len, size) = (Layout(s).len(), Activations::len(s));
            let mut memory = block.memory();
            // SAFETY: the caller vouches for pointers and lengths, and for `size` elements of workspace a block.
            let (w, transposed, work, documents, nll) = unsafe {
                (
                    memory.staged(self.params, len),
                    memory.staged(self.params_transposed, len),
                    memory.workspace(self.workspace.wrapping_add(block.index * size), size),
                    Documents::new(self.tokens, self.offsets),
                    View::new(self.nll, self.documents as usize),
                )
            };
            let model = Gpt { s, layout: Layout(s), w: w.view, transposed: transposed.view };
            block.each_warp(inline!(move |warp| {
                warp.fetch(&w);
                warp.fetch(&transposed);
                warp.fetch(&work);
            }));
            for i in block.grid_stride(self.documents as usize) {
                let (document, n) = documents.get(s, i);
                let pass = Pass { document, n, work: work.view };
                model.forward(block, pass, inline!(|_| {}), inline!(|_, _| {}));
                block.each_warp(inline!(move |warp| {
                    if warp.index == 0 {
                        nll.store_scalar(i, cross_entropy::total(&pass.cross_entropy(s), n));
                    }
                }));
            }
        }));
    }
}
