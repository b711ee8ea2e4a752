//! The stages of the model, forward and backward, in the order in which a token meets them.
//!
//! A stage that works on tokens takes the rows `t0 .. t0 + TOKENS`, all channels, in one warp; half-warp 0 sums the even
//! rows of a matrix, half-warp 1 the odd ones.

pub mod adamw;
pub mod attention;
pub mod clip;
pub mod cross_entropy;
pub mod embed;
pub mod linear;
pub mod mlp;
pub mod rmsnorm;
pub mod sample;

use crate::shape::TILE;

/// The first channels of the tiles of a row of `n` channels.
#[inline(always)]
pub fn tiles(n: usize) -> impl Iterator<Item = usize> {
    (0..n / TILE).map(|tile| tile * TILE)
}
