//! The share of a rank in the end of a step.

use core::ops::Range;

use super::squares::Squares;
use super::update::{strip_start, strips};
use crate::layout::Layout;
use crate::shape::Shape;

/// The strips of the weights that one of several ranks updates, with the elements that belong to the strips.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepShare {
    /// The items of [`Op::Join`](super::phases::Op::Join) and of [`Op::Update`](super::phases::Op::Update).
    pub strips: Range<usize>,
    /// The elements of parameters, gradients and moments.
    pub weights: Range<usize>,
    /// The embedding's part of the gradient of `wte`, as elements of the gradients of a part of a step.
    pub embedding: Range<usize>,
    /// The elements of the sums of squares.
    pub squares: Range<usize>,
}

impl StepShare {
    /// Returns the share of rank `rank` of `ranks`. Shares follow each other, and have about as many weights.
    pub fn new<S: Shape>(s: S, rank: usize, ranks: usize) -> Self {
        let (len, wte, places) = (Layout(s).len(), Layout(s).model().wte.len(), Squares::new(s));
        let first_strip = |rank: usize| {
            let is_behind = |&i: &usize| strip_start(s, i) * ranks >= len * rank;
            (0..=strips(s)).find(is_behind).unwrap_or(strips(s))
        };
        let strips = first_strip(rank)..first_strip(rank + 1);
        let weights = strip_start(s, strips.start)..strip_start(s, strips.end);
        Self {
            embedding: len + weights.start.min(wte)..len + weights.end.min(wte),
            squares: places.before(weights.start)..places.before(weights.end),
            strips,
            weights,
        }
    }
}
