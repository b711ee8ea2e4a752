//! The optimiser `AdamW`, which updates the weights block by block.
//!
//! A step computes `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2` and `w -= lr (m^ / (sqrt(v^) + eps) + decay w)` with the
//! bias-corrected `m^ = m / (1 - b1^t)` and `v^ = v / (1 - b2^t)`. The update is rearranged so that each weight costs one root
//! and one division: `w = w - lr decay w - m / (sqrt_scale sqrt(v) + eps')`, see [`StepCoefficients`].

use simt::{F32x32, HALF_WARP, View, Warp, rematerialize};

use crate::layout::{Arrays, WeightBlock};
use crate::shape::Shape;

/// The addend of `v` in each step. The addend keeps `v` from becoming denormal. The addend's root stays far below eps.
pub(crate) const V_BIAS: f32 = 1e-24;

/// The fraction of `w` that is added to `m` in each step. It keeps a moment whose gradient has vanished from becoming
/// denormal. The moments of padding stay exactly zero.
pub(crate) const M_BIAS: f32 = 1e-20;

/// The pairs of rows that [`AdamW::update_block`] updates at once. Two pairs keep a divider busy. With NEON two pairs
/// would spill, because one has as many vectors as two have with AVX2.
const PAIRS: usize = if cfg!(target_arch = "aarch64") { 1 } else { 2 };

/// The optimiser's constants.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct AdamWParams {
    /// The decay of the first moment.
    pub beta1: f32,
    /// The decay of the second moment.
    pub beta2: f32,
    /// The largest global norm of the gradient. A larger gradient is scaled down to it.
    pub max_grad_norm: f32,
}

impl AdamWParams {
    /// Returns the same constants, as [`Shape::rematerialize`] returns the dimensions.
    #[inline(always)]
    pub(crate) fn rematerialize<S: Shape>(self, _: S) -> Self {
        if S::IS_CONST {
            return self;
        }
        let [beta1, beta2] = rematerialize([self.beta1.to_bits(), self.beta2.to_bits()]);
        Self { beta1: f32::from_bits(beta1), beta2: f32::from_bits(beta2), ..self }
    }
}

/// The coefficients that change from step to step, computed by the host in double precision. Step `t` counts from 1.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct StepCoefficients {
    /// The factor of `sqrt(v)`, `(1 - beta1^t) / (lr sqrt(1 - beta2^t))`.
    pub sqrt_scale: f32,
    /// The addend of the denominator, `eps (1 - beta1^t) / lr`.
    pub eps: f32,
    /// The factor of the weights' decay, `lr weight_decay`.
    pub decay: f32,
}

impl StepCoefficients {
    /// Loads the coefficients of step `step` from an array of those of several steps.
    #[inline(always)]
    pub(crate) fn load(steps: View, step: usize) -> Self {
        let load = |i| steps.load_scalar(3 * step + i);
        Self { sqrt_scale: load(0), eps: load(1), decay: load(2) }
    }
}

/// The update of one step, which all weights share.
#[derive(Clone, Copy)]
pub struct AdamW {
    /// The optimiser's constants.
    pub params: AdamWParams,
    /// The step's coefficients.
    pub step: StepCoefficients,
    /// The factor that clips the gradients.
    pub clip: f32,
}

impl AdamW {
    /// Updates the weights of the first `N` pairs of rows and their moments. Each lane accesses its own elements only.
    ///
    /// Each operation is written for all pairs before the next one, because a root and a division take so long that a
    /// processor's out-of-order window holds little more than one pair.
    #[inline(always)]
    pub fn update_rows<const N: usize>(&self, warp: &Warp, a: &Arrays<View>, block: WeightBlock) {
        let Self { params, step, clip } = *self;
        let splat = F32x32::splat;
        // The rounded beta is subtracted, so that the weights of the old and the new value sum to exactly one.
        let (m_gain, v_gain) = ((1.0 - params.beta1) * clip, (1.0 - params.beta2) * (clip * clip));
        let stride = block.tensor.cols;
        let [mut w, mut m, mut v] = [[splat(0.0); N]; 3];
        for pair in 0..N {
            let g = a.grads.load_halves(block.at(pair), stride);
            let biased = a.v.load_halves(block.at(pair), stride).mul_add(splat(params.beta2), splat(V_BIAS));
            v[pair] = (g * splat(v_gain)).mul_add(g, biased);
            a.v.store_halves(block.at(pair), stride, v[pair]);
        }
        let root = warp.sqrt(v);
        for pair in 0..N {
            let g = a.grads.load_halves(block.at(pair), stride);
            w[pair] = a.w.load_halves(block.at(pair), stride);
            m[pair] = a.m.load_halves(block.at(pair), stride) * splat(params.beta1);
            m[pair] = g.mul_add(splat(m_gain), w[pair].mul_add(splat(M_BIAS), m[pair]));
            a.m.store_halves(block.at(pair), stride, m[pair]);
        }
        for pair in 0..N {
            m[pair] = m[pair] / root[pair].mul_add(splat(step.sqrt_scale), splat(step.eps));
        }
        let decay = splat(if block.tensor.decays { -step.decay } else { 0.0 });
        for pair in 0..N {
            a.w.store_halves(block.at(pair), stride, w[pair].mul_add(decay, w[pair]) - m[pair]);
        }
    }

    /// Updates a block of 16 by 16 weights and its transposed copy. Pairs of rows from `pairs` on are padding, left zero.
    #[inline(always)]
    pub fn update_block(&self, warp: &Warp, a: &Arrays<View>, block: WeightBlock, pairs: usize) {
        let WeightBlock { tensor, row, col } = block;
        for pair in (0..pairs).step_by(PAIRS) {
            self.update_rows::<PAIRS>(warp, a, WeightBlock { row: row + 2 * pair, ..block });
        }
        // The update is too long to unroll, so the weights are loaded again. A lane reads its own writes.
        let w = block.load::<{ HALF_WARP / 2 }>(a.w);
        a.transposed.store_transposed(tensor.offset + col * tensor.rows + row, tensor.rows, w);
    }
}
