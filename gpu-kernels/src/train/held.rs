//! The weights that the warps of a GPU hold in registers. Their gradients ([`held_gradients`](super::held_gradients)) and
//! updates ([`held_update`](super::held_update)) are those of [`weights`](super::weights), to the bit.
//!
//! A block of the grid has as many warps as the default model has blocks of weights, and two more. So each warp keeps its
//! weights, gradients and moments in registers from step to step, and only stores the new weights for the other warps.

use simt::{AS_ON_GPU, Block, F32x32, HALF_WARP, PerWarp, Target, View, WARPS, Warp, div, inline, rem};

use super::Train;
use super::weights::{Matrix, Weights, layer_block, layer_blocks, sources};
use crate::activations::Pass;
use crate::layout::{Arrays, Layout, Place, WeightBlock};
use crate::shape::Shape;

/// The pairs of rows of a block of 16 by 16 weights.
pub(super) type Rows = [F32x32; HALF_WARP / 2];

/// Returns rows of zeros.
#[inline(always)]
pub(super) fn zeros() -> Rows {
    [F32x32::splat(0.0); HALF_WARP / 2]
}

/// The weights that a warp holds in registers from step to step, a block of a matrix or rows of `wpe`.
#[derive(Clone, Copy)]
pub(super) struct Held {
    /// The pairs of rows of the weights, their gradients and their moments.
    pub(super) rows: Arrays<Rows>,
    /// The place of the weights.
    pub(super) block: WeightBlock,
    /// The gradient of the matrix's product and the product's input, or `None` for `wpe`.
    pub(super) sources: Option<(View, View)>,
    /// Whether the matrix is `wte`.
    pub(super) is_wte: bool,
    /// The index of the first sum of squares. Each pair of rows of `wpe` has its own.
    pub(super) sum: usize,
}

impl Held {
    /// Returns the value of a warp that holds nothing yet.
    #[inline(always)]
    pub(super) fn new<S: Shape>(s: S) -> Self {
        let rows = Arrays { w: zeros(), transposed: zeros(), grads: zeros(), m: zeros(), v: zeros() };
        Self { rows, block: Layout(s).model().wpe.block(2, 0), sources: None, is_wte: false, sum: 0 }
    }

    /// Returns the same weights, whose places take one register each instead of two, because the compiler knows that they are
    /// below 2^32. What follows from the places is computed where it is used.
    #[inline(always)]
    pub(super) fn with_short_places(self, warp: &Warp) -> Self {
        let WeightBlock { tensor: Place { offset, rows, cols, decays }, row, col } = self.block;
        let [offset, rows, cols, row, col, sum] =
            [offset, rows, cols, row, col, self.sum].map(inline!(|x| warp.rematerialize(x)));
        Self { block: WeightBlock { tensor: Place { offset, rows, cols, decays }, row, col }, sum, ..self }
    }

    /// Hands the place of the weights in an array to `f`, with the length of its rows and the number of their pairs. Both are
    /// constants, so that no row takes an address of its own. Without the mark, the address would take registers during the
    /// whole launch.
    #[inline(always)]
    pub(super) fn with_rows<S: Shape>(&self, s: S, warp: &Warp, array: View, mut f: impl FnMut(View, usize, usize)) {
        let first = array.at(warp.rematerialize(self.block.at(0)));
        if self.sources.is_none() {
            f(first, HALF_WARP, held_pairs(s));
        } else if self.block.tensor.cols == HALF_WARP {
            f(first, HALF_WARP, HALF_WARP / 2);
        } else {
            // `mlp_fc2` alone has wider rows.
            f(first, s.n_hidden_padded(), HALF_WARP / 2);
        }
    }

    /// Stores these rows of the warp in an array.
    #[inline(always)]
    pub(super) fn store<S: Shape>(&self, s: S, warp: &Warp, array: View, rows: &Rows) {
        self.with_rows(
            s,
            warp,
            array,
            inline!(|first: View, cols, pairs| {
                for pair in 0..pairs {
                    first.store_halves(2 * pair * cols, cols, rows[pair]);
                }
            }),
        );
    }

    /// Returns the warp's rows of an array.
    #[inline(always)]
    pub(super) fn load<S: Shape>(&self, s: S, warp: &Warp, array: View) -> Rows {
        let mut rows = zeros();
        self.with_rows(
            s,
            warp,
            array,
            inline!(|first: View, cols, pairs| {
                for pair in 0..pairs {
                    rows[pair] = first.load_halves(2 * pair * cols, cols);
                }
            }),
        );
        rows
    }
}

/// Returns whether each warp holds its weights in registers. The warps of a GPU do so if the shape is known at compile time,
/// each block of a matrix has a warp of its own, and the other warps share the rows of `wpe` evenly.
#[inline(always)]
pub fn are_held<S: Shape>(s: S) -> bool {
    let (blocks, pairs) = (held_blocks(s), Layout(s).model().wpe.blocks(2));
    AS_ON_GPU && S::IS_CONST && s.n_embd_padded() == HALF_WARP && blocks < WARPS && rem(pairs, WARPS - blocks) == 0
}

/// Reports the loss of a step in a warp that has no token of a short document, if the warps hold weights. Stores to global
/// memory take long, so each part of the report is stored where other warps take longer.
#[inline(always)]
pub(super) fn log_loss<S: Shape>(warp: &Warp, s: S, log: View, loss: impl Fn() -> f32) {
    if are_held(s) && warp.index == WARPS - 1 {
        log.store_scalar(0, loss());
    }
}

/// Reports the norm of the last step's gradient, as [`log_loss`].
#[inline(always)]
pub(super) fn log_norm<S: Shape>(warp: &Warp, s: S, log: View, norm: f32) {
    if are_held(s) && warp.index + 2 == WARPS {
        log.store_scalar(1, norm);
    }
}

/// Returns the number of blocks of matrices, each of which is held by a warp.
#[inline(always)]
fn held_blocks<S: Shape>(s: S) -> usize {
    Layout(s).model().wte.blocks(HALF_WARP) + s.n_layer() * layer_blocks(s)
}

/// Returns the number of pairs of rows of `wpe` that a warp without a matrix holds.
#[inline(always)]
pub(super) fn held_pairs<S: Shape>(s: S) -> usize {
    div(Layout(s).model().wpe.blocks(2), WARPS - held_blocks(s))
}

impl<S: Shape> Train<S> {
    /// Loads the weights that each warp holds, if the warps hold any.
    #[inline(always)]
    pub(super) fn hold<T: Target>(&self, block: &Block<T>) -> PerWarp<Held> {
        let (mut held, train, pass) = (PerWarp::new(Held::new(self.s)), *self, self.pass(0));
        if are_held(self.s) {
            block.each_warp_with(
                &mut held,
                inline!(move |warp, held| *held = train.weights().hold(warp, &pass).with_short_places(warp)),
            );
        }
        held
    }

    /// Stores the gradients and moments that each warp holds, and reports the norm of the last step's gradient.
    #[inline(always)]
    pub(super) fn release<T: Target>(&self, block: &Block<T>, held: &mut PerWarp<Held>, log: View, norm: f32) {
        let train = *self;
        if are_held(self.s) {
            block.each_warp_with(
                held,
                inline!(move |warp, held| {
                    train.weights().release(&held.with_short_places(warp));
                    log_norm(warp, train.s, log, norm);
                }),
            );
        }
    }
}

impl<S: Shape> Weights<S> {
    /// Returns what a warp holds, loaded from the arrays.
    #[inline(always)]
    fn hold(&self, warp: &Warp, pass: &Pass) -> Held {
        // A multiprocessor's partition issues every fourth warp. `wpe`, which is little work, is held in the partitions of
        // `wte`, which is most.
        let index = if warp.index + 4 >= WARPS { warp.index ^ 2 } else { warp.index };
        let (s, tensors, Arrays { w, m, v, .. }) = (self.s, Layout(self.s).model(), self.arrays);
        let (tokens, pairs) = (tensors.wte.blocks(HALF_WARP), tensors.wpe.blocks(2));
        let is_wte = index < tokens;
        if index >= held_blocks(s) {
            let first = (index - held_blocks(s)) * held_pairs(s);
            let block = WeightBlock { tensor: tensors.wpe, row: 2 * first, col: 0 };
            let mut rows = Held::new(s).rows;
            for pair in 0..held_pairs(s) {
                let load = |array: View| array.load_halves(block.at(pair), block.tensor.cols);
                (rows.w[pair], rows.m[pair], rows.v[pair]) = (load(w), load(m), load(v));
            }
            return Held { rows, block, sources: None, is_wte, sum: tokens + first };
        }
        let i = index.saturating_sub(tokens);
        let l = div(i, layer_blocks(s));
        let (which, block) = layer_block(s, l, rem(i, layer_blocks(s)));
        let (mut matrix, mut block, mut sum) = (Matrix::OfLayer { l, which }, block, tokens + pairs + i);
        if is_wte {
            (matrix, block, sum) = (Matrix::Wte, tensors.wte.block(HALF_WARP, index), index);
        }
        let rows = Arrays { w: block.load(w), m: block.load(m), v: block.load(v), ..Held::new(s).rows };
        Held { rows, block, sources: Some(sources(s, pass, matrix)), is_wte, sum }
    }

    /// Stores the gradients and moments that a warp holds. The padding of `v` stays zero.
    #[inline(always)]
    fn release(&self, held: &Held) {
        let (Held { rows, block, .. }, Arrays { grads, m, v, .. }) = (held, self.arrays);
        if held.sources.is_none() {
            for pair in 0..held_pairs(self.s) {
                let store = |array: View, x| array.store_halves(block.at(pair), block.tensor.cols, x);
                store(grads, rows.grads[pair]);
                store(m, rows.m[pair]);
                store(v, rows.v[pair]);
            }
            return;
        }
        let (mut moments, padding) = (rows.v, if held.is_wte { self.s.vocab() - block.row } else { HALF_WARP });
        for pair in 0..HALF_WARP / 2 {
            moments[pair] = if 2 * pair < padding { moments[pair] } else { F32x32::splat(0.0) };
        }
        block.store(grads, rows.grads);
        block.store(m, rows.m);
        block.store(v, moments);
    }
}
