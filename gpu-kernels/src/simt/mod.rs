//! Warp-SPMD programming: what the kernels are written in.
//!
//! A *warp* is 32 lanes in lockstep, two half-warps of 16. [`F32x32`] holds one number a lane; [`F32x16`] holds one
//! number for each of 16 channels, which both half-warps know. On the CPU they are SIMD vectors of 32 and 16 numbers; on
//! a GPU each is one register. [`Tile`] is memory that the warps of a block share.
//!
//! Work is launched only through closures that end in the barrier of their level ([`Grid::each_block`],
//! [`Block::each_warp`]), so that no barrier is forgotten or reached by half of a block. Inside a warp,
//! [`Warp::sync`] stands between a lane's write and another lane's read.

mod block;
mod cpu;
#[cfg(feature = "race-check")]
pub mod race;
mod tile;

pub use block::{Block, Grid, Isa, TOKENS, WARPS, Warp};
pub use cpu::{F32x16, F32x32, Mask16, U32x16, sqrt};
pub use tile::{Ids, Tile};
