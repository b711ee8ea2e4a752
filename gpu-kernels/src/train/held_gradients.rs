//! The gradients of the weights that the warps of a GPU hold (see [`held`](super::held)), which are those of
//! [`weights`](super::weights), to the bit.

use simt::{Block, F32x32, HALF_WARP, PerWarp, Target, U32x32, View, inline};

use super::held::{Held, Rows, are_held, held_pairs, zeros};
use super::weights::{Weights, squares_len};
use crate::activations::Pass;
use crate::layout::{Arrays, WeightBlock};
use crate::ops::{clip, embed};
use crate::shape::{Shape, TOKEN_GROUP};

/// Adds the gradient of a block to `dw`, as [`linear::weight_gradient`](crate::ops::linear::weight_gradient).
#[inline(always)]
fn add_products(block: WeightBlock, dy: View, x: View, n: usize, dw: &mut Rows) {
    let WeightBlock { tensor, row, col } = block;
    each_position(
        n,
        dw,
        // LLVM 7 does not inline a closure that is called twice, and rustc orders code better without being told to.
        #[cfg_attr(feature = "rust-cuda", inline(always))]
        |t, dw| {
            let x = F32x32::broadcast(x.load(t * tensor.cols + col));
            let dy = dy.broadcast_pairs(t * tensor.rows + row);
            for pair in 0..HALF_WARP / 2 {
                dw[pair] = dy.broadcast_pair(pair).mul_add(x, dw[pair]);
            }
        },
    );
}

/// Runs `add(t, dw)` for each position of a document, which has one or more. The first one stands before the loop, which so begins
/// with products in the registers.
#[inline(always)]
fn each_position(n: usize, dw: &mut Rows, add: impl Fn(usize, &mut Rows)) {
    add(0, dw);
    for t in 1..n {
        add(t, dw);
    }
}

/// Returns for each group of tokens the bits of those that a block of `wte` has rows of.
#[inline(always)]
fn hits(pass: &Pass, block: WeightBlock, first: usize) -> u32 {
    let mut hits = 0;
    for t in 0..TOKEN_GROUP {
        let row = pass.document.load_scalar(first + t).wrapping_sub(block.row);
        hits |= u32::from(first + t < pass.n && row < HALF_WARP) << t;
    }
    // Control flow depends on the bits, which are the same in all lanes.
    U32x32::splat(hits).lane(0)
}

/// Adds the gradients of the embedded tokens `hits` from `first` on, in order, to a block of the gradient of `wte`.
#[inline(always)]
fn add_tokens<S: Shape>(s: S, pass: &Pass, block: WeightBlock, first: usize, mut hits: u32, dw: &mut Rows) {
    let (c, dx) = (s.n_embd_padded(), pass.activations(s, 0).dx_embed);
    while hits != 0 {
        let t = first + hits.trailing_zeros() as usize;
        hits &= hits - 1;
        let row = pass.document.load_scalar(t).wrapping_sub(block.row);
        let even_row = U32x32::splat(row as u32) - (U32x32::lane_index() >> 4);
        let dx = F32x32::broadcast(dx.load(t * c + block.col));
        for pair in 0..HALF_WARP / 2 {
            let is_hit = even_row.eq(U32x32::splat(2 * pair as u32));
            dw[pair] = is_hit.select(dw[pair] + dx, dw[pair]);
        }
    }
}

impl<S: Shape> Weights<S> {
    /// Computes the gradients of what a warp holds. With `add`, it adds to earlier documents' gradients.
    #[inline(always)]
    fn gradient(&self, pass: &Pass, held: &mut Held, add: bool) {
        let (Held { block, .. }, s) = (*held, self.s);
        let mut dw = if add { held.rows.grads } else { zeros() };
        if let Some((dy, x)) = held.sources {
            add_products(block, dy, x, pass.n, &mut dw);
            if held.is_wte {
                for first in (0..s.block_size()).step_by(TOKEN_GROUP) {
                    add_tokens(s, pass, block, first, hits(pass, block, first), &mut dw);
                }
            }
        } else {
            for pair in 0..held_pairs(s) {
                let own = embed::backward_position(s, pass, WeightBlock { row: block.row + 2 * pair, ..block });
                dw[pair] = if add { dw[pair] + own } else { own };
            }
        }
        held.rows.grads = dw;
    }

    /// Stores the sums of squares of the gradients that a warp holds.
    #[inline(always)]
    pub(super) fn store_squares(&self, held: &Held) {
        let (Held { rows: Arrays { grads, .. }, sum, .. }, stride) = (*held, squares_len(self.s) / HALF_WARP);
        if held.sources.is_some() {
            self.squares.store_strided(sum, stride, clip::squares(grads));
        } else {
            for pair in 0..held_pairs(self.s) {
                self.squares.store_strided(sum + pair, stride, clip::squares([grads[pair]]));
            }
        }
    }

    /// Computes [`Self::weight_gradients`], in registers if the warps hold weights.
    #[inline(always)]
    pub(super) fn gradients<T: Target>(self, block: &Block<T>, pass: Pass, held: &mut PerWarp<Held>) {
        if !are_held(self.s) {
            return self.weight_gradients(block, pass, false);
        }
        block.each_warp_with(
            held,
            inline!(move |_, held| {
                self.gradient(&pass, held, false);
                self.store_squares(held);
            }),
        );
    }

    /// Computes the gradients that the warps hold, without the sums of squares. With `add`, it adds to earlier documents'
    /// gradients.
    #[inline(always)]
    pub(super) fn add_gradients<T: Target>(self, block: &Block<T>, pass: Pass, held: &mut PerWarp<Held>, add: bool) {
        block.each_warp_with(
            held,
            inline!(move |warp, held| {
                *held = held.with_short_places(warp);
                self.gradient(&pass, held, add);
            }),
        );
    }
}
