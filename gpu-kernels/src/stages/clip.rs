//! The gradient's global norm and the factor that clips it.

use crate::shape::TILE;
use crate::simt::{F32x16, F32x32, Tile, sqrt};

/// Added to every sum of squares, so that squares too small for a normal number never pass through one.
const BIAS: f32 = 1e-30;

/// The sum of the squares of some pairs of rows, one partial sum a channel.
#[inline(always)]
pub fn squares<const N: usize>(rows: [F32x32; N]) -> F32x16 {
    let mut sum = F32x32::splat(BIAS);
    for i in 0..N {
        sum = rows[i].mul_add(rows[i], sum);
    }
    sum.add_halves()
}

/// The gradient's norm from the partial sums of `blocks` blocks, `[blocks, TILE]`, added in order.
#[inline(always)]
pub fn norm(partial: Tile, blocks: usize) -> f32 {
    let mut sum = F32x16::splat(0.0);
    for block in 0..blocks {
        sum = sum + partial.row(block * TILE);
    }
    sqrt(sum.sum())
}

/// What gradients are multiplied by: 1, or `max_norm / norm` where the norm exceeds `max_norm`.
#[inline(always)]
pub fn scale(norm: f32, max_norm: f32) -> f32 {
    if norm > max_norm { max_norm / norm } else { 1.0 }
}
