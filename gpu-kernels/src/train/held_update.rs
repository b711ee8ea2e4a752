//! The updates of the weights that the warps of a GPU hold (see [`held`](super::held)).

use core::ops::Range;

use simt::{Block, F32x32, HALF_WARP, PerWarp, Target, View, Warp, inline};

use super::held::{Held, Rows, are_held, held_pairs};
use super::weights::{Weights, square_blocks};
use crate::layout::{Arrays, WeightBlock};
use crate::ops::adamw::{AdamW, AdamWParams, M_BIAS, StepCoefficients, V_BIAS};
use crate::ops::clip;
use crate::shape::Shape;

/// The largest addend of the denominator, 2^127. [`Warp::divide`] returns zeros for it. A larger one comes of a learning rate
/// that counts as 0.
const MAX_EPS: f32 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;

/// Computes [`AdamW::update_rows`] of these pairs in registers. The op in memory stores each moment as soon as it has it,
/// because a CPU is up to 6 % slower if it loads all arrays first. So the sequence stands here again, and the emulator's tests
/// hold both to the same bits. Their bits differ only where a moment is below 2^-100, and its quotient is not far below the
/// weight. The ranges of the settings keep the moments of gradients above that.
#[inline(always)]
fn update(warp: &Warp, adamw: &AdamW, a: &mut Arrays<Rows>, decays: bool, pairs: Range<usize>) {
    let AdamW { params, step, clip } = *adamw;
    let splat = F32x32::splat;
    let (m_gain, v_gain) = ((1.0 - params.beta1) * clip, (1.0 - params.beta2) * (clip * clip));
    let decay = splat(if decays { -step.decay } else { 0.0 });
    for pair in pairs.clone() {
        let biased = a.v[pair].mul_add(splat(params.beta2), splat(V_BIAS));
        a.v[pair] = (a.grads[pair] * splat(v_gain)).mul_add(a.grads[pair], biased);
        let decayed = a.m[pair] * splat(params.beta1);
        a.m[pair] = a.grads[pair].mul_add(splat(m_gain), a.w[pair].mul_add(splat(M_BIAS), decayed));
    }
    for pair in pairs {
        let [root] = warp.sqrt([a.v[pair]]);
        let denominator = root.mul_add(splat(step.sqrt_scale), splat(step.eps.min(MAX_EPS)));
        let [quotient] = warp.divide([a.m[pair]], [denominator]);
        a.w[pair] = a.w[pair].mul_add(decay, a.w[pair]) - quotient;
    }
}

impl<S: Shape> Weights<S> {
    /// Loads the gradients of what the warps hold from an array, and stores their sums of squares. The weights and the second
    /// moments are loaded too, because a warp of a batch does not hold them during a step.
    #[inline(always)]
    pub(super) fn load_gradients<T: Target>(self, block: &Block<T>, held: &mut PerWarp<Held>, grads: View) {
        block.each_warp_with(
            held,
            inline!(move |warp, held| {
                let load = |array| held.load(self.s, warp, array);
                let (grads, w, v) = (load(grads), load(self.arrays.w), load(self.arrays.v));
                held.rows = Arrays { w, grads, v, ..held.rows };
                self.store_squares(held);
            }),
        );
    }

    /// Computes [`Self::update`], in registers if the warps hold weights, and stores the new weights. Returns the gradient's
    /// norm. If the warps hold weights, the caller reports loss and norm, and `after` runs last in each warp.
    #[inline(always)]
    pub(super) fn step<T: Target>(
        self,
        block: &Block<T>,
        held: &mut PerWarp<Held>,
        (params, step): (AdamWParams, StepCoefficients),
        log: View,
        loss: impl Fn() -> f32 + Copy,
        after: impl Fn(&Warp, &Held) + Copy,
    ) -> f32 {
        if !are_held(self.s) {
            self.update(block, Warp::block_share, params, step, log, loss);
            return 0.0;
        }
        let norm = clip::norm_of_columns(self.squares, square_blocks(self.s));
        let adamw = AdamW { params, step, clip: clip::scale(norm, params.max_grad_norm) };
        let (s, Arrays { w, transposed, .. }) = (self.s, self.arrays);
        block.each_warp_with(
            held,
            inline!(move |warp, held| {
                let Held { block: WeightBlock { tensor, row, col }, .. } = *held;
                update(warp, &adamw, &mut held.rows, tensor.decays, 0..held_pairs(s));
                if held.sources.is_some() {
                    update(warp, &adamw, &mut held.rows, tensor.decays, held_pairs(s)..HALF_WARP / 2);
                }
                held.store(s, warp, w, &held.rows.w);
                if held.sources.is_some() {
                    // Without the mark, the addresses of the stores would take registers during the whole step.
                    let stride = warp.rematerialize(tensor.rows);
                    transposed.store_transposed(tensor.offset + col * stride + row, stride, held.rows.w);
                }
                after(warp, held);
            }),
        );
        norm
    }
}
