//! The validation kernel: the forward pass over many documents, a document a block.

use crate::activations::Activations;
use crate::args::EvaluateArgs;
use crate::layout::Layout;
use crate::model::{Model, Pass};
use crate::shape::Shape;
use crate::simt::{Grid, Ids, Target, Tile};
use crate::stages::cross_entropy;

/// Evaluates the first `args.documents` documents, each in one of the grid's blocks.
///
/// # Safety
/// The pointers of `args` are valid for the lengths that [`EvaluateArgs`] states for the grid's blocks, and nothing else
/// writes them meanwhile. Offsets and tokens are consistent, as for [`crate::train::train`].
#[inline(always)]
pub unsafe fn evaluate<T: Target, S: Shape>(grid: &Grid<T>, s: S, args: &EvaluateArgs) {
    let (len, size) = (Layout(s).len(), Activations::len(s));
    grid.each_block(
        #[inline(always)]
        |block| {
            let mut memory = block.memory();
            // SAFETY: the caller vouches for pointers and lengths, and for `size` elements of workspace a block.
            let (arrays, tokens, offsets, nll) = unsafe {
                let arrays = [
                    memory.resident(args.params, len),
                    memory.resident(args.params_transposed, len),
                    memory.scratch(args.workspace.wrapping_add(block.index * size), size),
                ];
                let nll = Tile::new(args.nll, args.documents as usize);
                (arrays, Ids::new(args.tokens), Ids::new(args.offsets), nll)
            };
            let [w, transposed, work] = arrays.map(|array| array.tile);
            let model = Model { s, layout: Layout(s), w, transposed };
            block.each_warp(
                #[inline(always)]
                move |warp| {
                    for array in &arrays {
                        array.load(warp);
                    }
                },
            );
            for document in block.share(args.documents as usize) {
                let (start, end) = (offsets.bound(document), offsets.bound(document + 1));
                let n = s.block_size().min(end - start - 1);
                let p = Pass { document: tokens.at(start), n, work };
                block.each_warp(
                    #[inline(always)]
                    move |warp| {
                        for t0 in warp.token_groups(n) {
                            model.embed(warp, &p, t0);
                            model.before_attention(warp, &p, 0, t0);
                        }
                    },
                );
                for l in 0..s.n_layer() {
                    block.each_warp(
                        #[inline(always)]
                        move |warp| {
                            for t0 in warp.token_groups(n) {
                                model.after_attention(warp, &p, l, t0);
                                if l + 1 < s.n_layer() {
                                    model.before_attention(warp, &p, l + 1, t0);
                                } else {
                                    model.head(warp, &p, t0);
                                }
                            }
                        },
                    );
                }
                block.each_warp(
                    #[inline(always)]
                    move |warp| {
                        if warp.index == 0 {
                            let a = Activations::of(s, 0);
                            nll.set(document, cross_entropy::total((work.at(a.sum_exp), work.at(a.gap)), n));
                        }
                    },
                );
            }
        },
    );
}
