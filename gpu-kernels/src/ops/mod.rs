//! The ops of the model, forward and backward, in the order in which a token meets them.
//!
//! An op takes its views in a struct with named fields, and [`Tokens`], the rows that one warp computes. It ends synchronised,
//! so that any lane of the warp may read the results. The lower half-warp sums the even rows of a matrix, and the upper one the
//! odd rows.

pub mod adamw;
pub mod attention;
pub mod clip;
pub mod cross_entropy;
pub mod embed;
pub mod linear;
pub mod mlp;
pub mod rmsnorm;
pub mod rows;
pub mod sample;

pub use rows::{Tokens, half_warps};
