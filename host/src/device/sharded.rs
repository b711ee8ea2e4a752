//! A step whose gradients are summed over the shards of several ranks.

use std::ops::Range;

use super::types::{Device, StepLog};
use crate::error::Result;

/// A device that computes the gradients of a part of a step, and takes the step when it has their sums over all parts.
///
/// The sum over a step is a binary tree, whose leaves are sums over consecutive documents. A tree over `n` leaves joins the
/// tree over the first `p` leaves, for the largest power of two `p < n`, with the tree over the rest. A rank computes the
/// sums of whole subtrees, so the number of ranks changes no bits.
///
/// Every method can fail with the errors of a [`Device`].
pub(crate) trait Sharded {
    /// Returns the device with the whole model.
    fn device(&mut self) -> &mut dyn Device;

    /// Returns the largest number of leaves of a step.
    fn leaves(&self) -> usize;

    /// Begins the next step, which `ranks` ranks share. Returns the first document of each leaf, and the number of
    /// documents at the end. A step of short documents may have fewer leaves than ranks.
    fn begin_step(&mut self, ranks: usize) -> Result<Vec<usize>>;

    /// Computes the sums over these ranges of leaves, each of which is a subtree. Together they are consecutive.
    fn sum_subtrees(&mut self, subtrees: &[Range<usize>]) -> Result<()>;

    /// Returns the sum over the subtree with this index.
    fn subtree(&self, i: usize) -> &[f32];

    /// Returns the place for the sum over the whole step, of the same length as that of a subtree.
    fn total(&mut self) -> &mut [f32];

    /// Returns the losses of the step's documents, of which those of the subtrees are known.
    fn losses(&mut self) -> &mut [f32];

    /// Takes the step, if the total and all losses are known.
    fn end_step(&mut self) -> Result<StepLog>;
}
