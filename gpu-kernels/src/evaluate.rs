//! The validation kernel: the forward pass over many documents, a document a block.

use crate::activations::Activations;
use crate::args::EvaluateArgs;
use crate::layout::Layout;
use crate::model::{Model, Pass};
use crate::shape::Shape;
use crate::simt::{Grid, Ids, Tile};
use crate::stages::cross_entropy;

/// Evaluates the first `args.documents` documents, each in one of the grid's blocks.
///
/// # Safety
/// The pointers of `args` are valid for the lengths that [`EvaluateArgs`] states for the grid's blocks, and nothing else
/// writes them meanwhile. Offsets and tokens are consistent, as for [`crate::train::train`].
#[inline(always)]
pub unsafe fn evaluate<S: Shape>(grid: &Grid, s: S, args: &EvaluateArgs) {
    let len = Layout(s).len();
    // SAFETY: the caller vouches for pointers and lengths.
    let (model, tokens, offsets) = unsafe {
        let (w, transposed) = (Tile::new(args.params, len), Tile::new(args.params_transposed, len));
        (Model { s, layout: Layout(s), w, transposed }, Ids::new(args.tokens), Ids::new(args.offsets))
    };
    grid.each_block(
        #[inline(always)]
        |block| {
            let size = Activations::len(s);
            // SAFETY: the caller vouches for `size` elements a block.
            let work = unsafe { Tile::new(args.workspace.add(block.index * size), size) };
            for document in block.share(args.documents as usize) {
                let (start, end) = (offsets.get(document), offsets.get(document + 1));
                let n = s.block_size().min(end - start - 1);
                let p = &Pass { document: tokens.at(start), n, work };
                block.each_warp(
                    #[inline(always)]
                    |warp| {
                        for t0 in warp.token_groups(n) {
                            model.embed(warp, p, t0);
                            model.before_attention(warp, p, 0, t0);
                        }
                    },
                );
                for l in 0..s.n_layer() {
                    block.each_warp(
                        #[inline(always)]
                        |warp| {
                            for t0 in warp.token_groups(n) {
                                model.after_attention(warp, p, l, t0);
                                if l + 1 < s.n_layer() {
                                    model.before_attention(warp, p, l + 1, t0);
                                } else {
                                    model.head(warp, p, t0);
                                }
                            }
                        },
                    );
                }
                let a = Activations::of(s, 0);
                let nll = cross_entropy::total((work.at(a.sum_exp), work.at(a.gap)), n);
                // SAFETY: the caller vouches for one element a document.
                unsafe { *args.nll.add(document) = nll };
            }
        },
    );
}
