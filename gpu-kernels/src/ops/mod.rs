//! The ops of the model, forward and backward, in the order in which a token meets them.
//!
//! An op takes its views in a struct with named fields, and [`Tokens`], the rows that one warp computes. It ends synchronised,
//! so that any lane of the warp may read the results.

pub mod adamw;
pub mod attention;
pub mod clip;
pub mod cross_entropy;
pub mod embed;
pub mod held_attention;
pub mod linear;
pub mod mlp;
pub mod rmsnorm;
pub mod rows;
pub mod sample;

use crate::shape::TOKENS;

/// The tokens of one warp, the rows `first .. first + N`. Rows from `end` on are computed too, but never read.
#[derive(Clone, Copy)]
pub struct Tokens<const N: usize = TOKENS> {
    /// The first row.
    pub first: usize,
    /// The end of the document's rows.
    pub end: usize,
}

impl<const N: usize> Tokens<N> {
    /// Returns the rows that the document has.
    pub fn live(self) -> core::ops::Range<usize> {
        self.first..self.end.min(self.first + N)
    }
}
