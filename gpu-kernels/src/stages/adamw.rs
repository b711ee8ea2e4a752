//! `AdamW`, block of weights by block.
//!
//! `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`, `w -= lr (m^ / (sqrt(v^) + eps) + decay w)` with the
//! bias-corrected `m^ = m / (1 - b1^t)` and `v^ = v / (1 - b2^t)`, rearranged so that each weight costs one root and one
//! division: `w = w - lr decay w - m / (root sqrt(v) + eps')`, where `root = (1 - b1^t) / (lr sqrt(1 - b2^t))` and
//! `eps' = eps (1 - b1^t) / lr` come from the host, see [`crate::args::Schedule`].

use crate::args::{Optimizer, Schedule};
use crate::layout::Matrix;
use crate::shape::TILE;
use crate::simt::{F32x32, Tile, Warp};

/// Added to `v` each step: keeps `g^2` that is too small for a normal number from slowing the step. Its root stays
/// far below eps.
const V_BIAS: f32 = 1e-24;

/// This fraction of `w` is added to `m` each step: keeps a moment whose gradient has vanished among the normal numbers.
/// In proportion to `w`, so that the padding stays exactly zero.
const M_BIAS: f32 = 1e-20;

/// Pairs of rows that are updated at once.
const PAIRS: usize = 2;

/// The update of one step: what is the same for every weight.
#[derive(Clone, Copy)]
pub struct Update {
    beta1: F32x32,
    beta2: F32x32,
    m_gain: F32x32,
    v_gain: F32x32,
    root: F32x32,
    eps: F32x32,
    decay: F32x32,
}

/// The flat arrays of parameters, gradients and moments.
#[derive(Clone, Copy)]
pub struct Arrays {
    /// The parameters.
    pub w: Tile,
    /// Their gradients, not yet clipped.
    pub grads: Tile,
    /// The first moments.
    pub m: Tile,
    /// The second moments.
    pub v: Tile,
}

impl Update {
    /// `clip` is the factor that clips the gradients.
    #[inline(always)]
    pub fn new(optimizer: &Optimizer, schedule: &Schedule, clip: f32) -> Self {
        let splat = F32x32::splat;
        Self {
            beta1: splat(optimizer.beta1),
            beta2: splat(optimizer.beta2),
            m_gain: splat(optimizer.one_minus_beta1 * clip),
            v_gain: splat(optimizer.one_minus_beta2 * (clip * clip)),
            root: splat(schedule.root),
            eps: splat(schedule.eps),
            decay: splat(-schedule.decay),
        }
    }

    /// Updates the weights of `N` pairs of rows and their moments: pair `p` is the rows at `i + 2 p stride` and one `stride`
    /// further. Each lane touches its own only. Each operation is written for all pairs before the next, since a root and a
    /// division take so long that a processor's window holds little more than one pair.
    #[inline(always)]
    pub fn row_pairs<const N: usize>(&self, warp: &Warp, a: Arrays, i: usize, stride: usize) {
        let at = |pair: usize| i + 2 * pair * stride;
        let zero = [F32x32::splat(0.0); N];
        let (mut w, mut m, mut v) = (zero, zero, zero);
        for pair in 0..N {
            let g = a.grads.row_pair(at(pair), stride);
            let biased = a.v.row_pair(at(pair), stride).mul_add(self.beta2, F32x32::splat(V_BIAS));
            v[pair] = (g * self.v_gain).mul_add(g, biased);
            a.v.set_row_pair(at(pair), stride, v[pair]);
        }
        let root = warp.sqrt(v);
        for pair in 0..N {
            let g = a.grads.row_pair(at(pair), stride);
            w[pair] = a.w.row_pair(at(pair), stride);
            m[pair] = a.m.row_pair(at(pair), stride) * self.beta1;
            m[pair] = g.mul_add(self.m_gain, w[pair].mul_add(F32x32::splat(M_BIAS), m[pair]));
            a.m.set_row_pair(at(pair), stride, m[pair]);
        }
        for pair in 0..N {
            m[pair] = m[pair] / root[pair].mul_add(self.root, self.eps);
        }
        for pair in 0..N {
            a.w.set_row_pair(at(pair), stride, w[pair].mul_add(self.decay, w[pair]) - m[pair]);
        }
    }

    /// Updates the block of `TILE` by `TILE` weights at `(row, col)` of a matrix, and its copy in the
    /// transposed matrix. Pairs of rows behind the first `pairs` are padding, which stays zero.
    #[inline(always)]
    pub fn block(
        &self,
        warp: &Warp,
        a: Arrays,
        transposed: Tile,
        Matrix { offset, rows, cols }: Matrix,
        (row, col): (usize, usize),
        pairs: usize,
    ) {
        let at = offset + row * cols + col;
        for r in (0..pairs).step_by(PAIRS) {
            self.row_pairs::<PAIRS>(warp, a, at + 2 * r * cols, cols);
        }
        // Read again rather than kept: the update is too long to unroll, and a lane reads what it wrote itself.
        let mut w = [F32x32::splat(0.0); TILE / 2];
        for r in 0..TILE / 2 {
            w[r] = a.w.row_pair(at + 2 * r * cols, cols);
        }
        transposed.set_block_transposed(offset + col * rows + row, rows, w);
    }
}
