//! The gradient's global norm, and the factor that clips it.

use simt::{F32x16, F32x32, View, half_warps, round_up, sqrt};

/// The addend of every sum of squares. The addend keeps sums of tiny squares from becoming denormal.
const BIAS: f32 = 1e-30;

/// Returns the sum of the squares of `N` pairs of rows, a partial sum for each channel.
#[inline(always)]
pub fn squares<const N: usize>(rows: [F32x32; N]) -> F32x16 {
    let mut sum = F32x32::splat(BIAS);
    for i in 0..N {
        sum = rows[i].mul_add(rows[i], sum);
    }
    sum.add_halves()
}

/// Returns the gradient's norm from the partial sums of its blocks, `[blocks, 16]` of `len` elements, added in order.
#[inline(always)]
pub fn norm(partial: View, len: usize) -> f32 {
    let mut sum = F32x16::splat(0.0);
    for i in half_warps(len) {
        sum = sum + partial.load(i);
    }
    sqrt(sum.reduce_sum())
}

/// Returns [`norm`] of partial sums that are `[16, blocks rounded up to a multiple of four]`, of which a lane of a GPU loads
/// four at once.
#[inline(always)]
pub fn norm_of_columns(partial: View, blocks: usize) -> f32 {
    let (mut sum, stride) = (F32x16::splat(0.0), round_up(blocks, 4));
    for first in (0..stride).step_by(4) {
        let quad = partial.load_strided_quads(first, stride);
        for i in 0..4 {
            if first + i < blocks {
                sum = sum + quad[i];
            }
        }
    }
    sqrt(sum.reduce_sum())
}

/// Returns the factor of the gradients, which is `max_norm / norm` if the norm exceeds `max_norm`, and otherwise 1.
pub fn scale(norm: f32, max_norm: f32) -> f32 {
    if norm > max_norm { max_norm / norm } else { 1.0 }
}
