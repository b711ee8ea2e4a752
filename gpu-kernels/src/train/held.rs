//! The gradients and updates of weights that the warps of a GPU hold in registers. They are those of [`weights`](super::weights),
//! to the bit.
//!
//! A block of the grid has as many warps as the default model has blocks of weights, and two more. So each warp keeps its
//! weights, gradients and moments in registers from step to step, and only stores the new weights for the other warps.

use simt::{AS_ON_GPU, Block, F32x32, HALF_WARP, PerWarp, Target, U32x32, View, WARPS, Warp, div, inline, rem};

use super::Train;
use super::weights::{Matrix, Weights, layer_block, layer_blocks, sources, squares_len};
use crate::activations::Pass;
use crate::layout::{Arrays, Layout, Place, WeightBlock};
use crate::ops::adamw::{AdamW, AdamWParams, M_BIAS, StepCoefficients, V_BIAS};
use crate::ops::{clip, embed};
use crate::shape::{Shape, TOKEN_GROUP};

/// The pairs of rows of a block of 16 by 16 weights.
type Rows = [F32x32; HALF_WARP / 2];

/// Returns rows of zeros.
#[inline(always)]
fn zeros() -> Rows {
    [F32x32::splat(0.0); HALF_WARP / 2]
}

/// The weights that a warp holds in registers from step to step, a block of a matrix or rows of `wpe`.
#[derive(Clone, Copy)]
pub(super) struct Held {
    /// The pairs of rows of the weights, their gradients and their moments.
    rows: Arrays<Rows>,
    /// The place of the weights.
    block: WeightBlock,
    /// The gradient of the matrix's product and the product's input, or `None` for `wpe`.
    sources: Option<(View, View)>,
    /// Whether the matrix is `wte`.
    is_wte: bool,
    /// The index of the first sum of squares. Each pair of rows of `wpe` has its own.
    sum: usize,
}

impl Held {
    /// Returns the value of a warp that holds nothing yet.
    #[inline(always)]
    pub(super) fn new<S: Shape>(s: S) -> Self {
        let rows = Arrays { w: zeros(), transposed: zeros(), grads: zeros(), m: zeros(), v: zeros() };
        Self { rows, block: Layout(s).model().wpe.block(2, 0), sources: None, is_wte: false, sum: 0 }
    }

    /// Returns the same weights, whose places take one register each instead of two, because the compiler knows that they are
    /// below 2^32.
    #[inline(always)]
    fn with_short_places(self, warp: &Warp) -> Self {
        let WeightBlock { tensor: Place { offset, rows, cols, decays }, row, col } = self.block;
        let [offset, rows, cols, row, col, sum] =
            [offset, rows, cols, row, col, self.sum].map(inline!(|x| warp.rematerialize(x)));
        Self { block: WeightBlock { tensor: Place { offset, rows, cols, decays }, row, col }, sum, ..self }
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
fn held_pairs<S: Shape>(s: S) -> usize {
    div(Layout(s).model().wpe.blocks(2), WARPS - held_blocks(s))
}

/// Computes the gradient of a block as [`linear::weight_gradient`](crate::ops::linear::weight_gradient), from zeros. The first
/// position stands before the loop, which so begins with products in the registers.
#[inline(always)]
fn gradient(block: WeightBlock, dy: View, x: View, n: usize) -> Rows {
    let WeightBlock { tensor, row, col } = block;
    let mut dw = zeros();
    let add = |t: usize, dw: &mut Rows| {
        let x = F32x32::broadcast(x.load(t * tensor.cols + col));
        let dy = dy.broadcast_pairs(t * tensor.rows + row);
        for pair in 0..HALF_WARP / 2 {
            dw[pair] = dy.broadcast_pair(pair).mul_add(x, dw[pair]);
        }
    };
    // A document has one position or more.
    add(0, &mut dw);
    for t in 1..n {
        add(t, &mut dw);
    }
    dw
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

/// Computes [`AdamW::update_rows`] in registers. The op in memory stores each moment as soon as it has it, because a CPU is up
/// to 6 % slower if it loads all arrays first. So the sequence stands here again, and the emulator's tests hold both to the
/// same bits.
#[inline(always)]
fn update(warp: &Warp, adamw: &AdamW, a: &mut Arrays<Rows>, decays: bool) {
    let AdamW { params, step, clip } = *adamw;
    let splat = F32x32::splat;
    let (m_gain, v_gain) = ((1.0 - params.beta1) * clip, (1.0 - params.beta2) * (clip * clip));
    for pair in 0..HALF_WARP / 2 {
        let biased = a.v[pair].mul_add(splat(params.beta2), splat(V_BIAS));
        a.v[pair] = (a.grads[pair] * splat(v_gain)).mul_add(a.grads[pair], biased);
    }
    let root = warp.sqrt(a.v);
    for pair in 0..HALF_WARP / 2 {
        let decayed = a.m[pair] * splat(params.beta1);
        a.m[pair] = a.grads[pair].mul_add(splat(m_gain), a.w[pair].mul_add(splat(M_BIAS), decayed));
    }
    let decay = splat(if decays { -step.decay } else { 0.0 });
    for pair in 0..HALF_WARP / 2 {
        let quotient = a.m[pair] / root[pair].mul_add(splat(step.sqrt_scale), splat(step.eps));
        a.w[pair] = a.w[pair].mul_add(decay, a.w[pair]) - quotient;
    }
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
                    train.weights().release(held);
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

    /// Computes [`Self::weight_gradients`], in registers if the warps hold weights.
    #[inline(always)]
    pub(super) fn gradients<T: Target>(self, block: &Block<T>, pass: Pass, held: &mut PerWarp<Held>) {
        if !are_held(self.s) {
            return self.weight_gradients(block, pass, false);
        }
        let (s, squares) = (self.s, self.squares);
        block.each_warp_with(
            held,
            inline!(move |_, held| {
                let (Held { block, sum, .. }, mut dw) = (*held, zeros());
                if let Some((dy, x)) = held.sources {
                    dw = gradient(block, dy, x, pass.n);
                    if held.is_wte {
                        for first in (0..s.block_size()).step_by(TOKEN_GROUP) {
                            add_tokens(s, &pass, block, first, hits(&pass, block, first), &mut dw);
                        }
                    }
                    squares.store(sum * HALF_WARP, clip::squares(dw));
                } else {
                    for pair in 0..held_pairs(s) {
                        let row = WeightBlock { row: block.row + 2 * pair, ..block };
                        dw[pair] = embed::backward_position(s, &pass, row);
                        squares.store((sum + pair) * HALF_WARP, clip::squares([dw[pair]]));
                    }
                }
                held.rows.grads = dw;
            }),
        );
    }

    /// Computes [`Self::update`], in registers if the warps hold weights, and stores the new weights. Returns the gradient's
    /// norm. If the warps hold weights, the caller reports loss and norm.
    #[inline(always)]
    pub(super) fn step<T: Target>(
        self,
        block: &Block<T>,
        held: &mut PerWarp<Held>,
        params: AdamWParams,
        step: StepCoefficients,
        log: View,
        loss: impl Fn() -> f32 + Copy,
    ) -> f32 {
        if !are_held(self.s) {
            self.update(block, Warp::block_share, params, step, log, loss);
            return 0.0;
        }
        let norm = clip::norm(self.squares, squares_len(self.s));
        let adamw = AdamW { params, step, clip: clip::scale(norm, params.max_grad_norm) };
        let (s, Arrays { w, transposed, .. }) = (self.s, self.arrays);
        block.each_warp_with(
            held,
            inline!(move |warp, held| {
                let Held { block: WeightBlock { tensor, row, col }, .. } = *held;
                update(warp, &adamw, &mut held.rows, tensor.decays);
                if held.sources.is_some() {
                    // Rows at a constant distance take no address of their own. `mlp_fc2` alone has wider rows.
                    let first = w.at(warp.rematerialize(held.block.at(0)));
                    let store = |cols: usize| {
                        for pair in 0..HALF_WARP / 2 {
                            first.store_halves(2 * pair * cols, cols, held.rows.w[pair]);
                        }
                    };
                    if tensor.cols == HALF_WARP {
                        store(HALF_WARP);
                    } else {
                        store(s.n_hidden_padded());
                    }
                    // Without the mark, the addresses of the stores would take registers during the whole step.
                    let stride = warp.rematerialize(tensor.rows);
                    transposed.store_transposed(tensor.offset + col * stride + row, stride, held.rows.w);
                } else {
                    for pair in 0..held_pairs(s) {
                        w.store_halves(held.block.at(pair), tensor.cols, held.rows.w[pair]);
                    }
                }
            }),
        );
        norm
    }
}
