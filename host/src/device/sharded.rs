//! A step whose gradients are summed over the shards of several ranks.

use std::ops::Range;

use gpu_kernels::layout::Layout;
use gpu_kernels::shape::{RuntimeShape, Shape};
use gpu_kernels::tiled::rows;
use gpu_kernels::tiled::share::StepShare;
use gpu_kernels::tiled::step::StepArgs;
use gpu_kernels::train::batch::shards;
use gpu_kernels::tree::GradientArrays;

use super::division::{Additions, Division};
use super::types::{Device, Executor, StepLog};
use super::values::Values;
use crate::config::TrainConfig;
use crate::corpus::{Batches, Dataset};
use crate::error::Result;

/// An array of a model that ranks exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Array {
    /// The gradients, with the sums over the whole step.
    Gradients,
    /// The sums of the gradients' squares, of the tiled executor.
    Squares,
    Weights,
    FirstMoments,
    SecondMoments,
}

/// Returns the number of values of the sum over a subtree.
pub(super) fn sum_len(shape: RuntimeShape, executor: Executor) -> usize {
    if executor == Executor::Tiled { StepArgs::part_len(shape) } else { Layout(shape).len() }
}

/// A device that computes the gradients of a part of a step, and takes the step when it has their sums over all parts.
///
/// The sum over a step is a binary tree, whose leaves are sums over consecutive documents. A tree over `n` leaves joins the
/// tree over the first `p` leaves, for the largest power of two `p < n`, with the tree over the rest. A rank computes the
/// sums of whole subtrees, so the number of ranks changes no bits.
///
/// The MPI library accesses values on the device where it can, and in copies in the host's memory elsewhere. So values are
/// fetched before a message takes them, and stored after a message has brought them.
///
/// Every method can fail with the errors of a [`Device`].
pub(crate) trait Sharded {
    /// Returns the device with the whole model.
    fn device(&mut self) -> &mut dyn Device;

    /// Returns the largest number of leaves of a step.
    fn leaves(&self) -> usize;

    /// Returns the division of a step's sum between ranks.
    fn division(&self, ranks: usize) -> Division;

    /// Begins the next step, which `ranks` ranks share. Returns the first document of each leaf, and the number of
    /// documents at the end. A step of short documents may have fewer leaves than ranks.
    fn begin_step(&mut self, ranks: usize) -> Result<Vec<usize>>;

    /// Computes the sums over these ranges of leaves, each of which is a subtree. Together they are consecutive. Makes room
    /// for `slices_len` values in [`Self::slices`].
    fn sum_subtrees(&mut self, subtrees: &[Range<usize>], slices_len: usize) -> Result<()>;

    /// Returns the sum over the subtree with this index.
    fn subtree(&mut self, i: usize) -> Values;

    /// Returns the place for slices of all subtrees' sums.
    fn slices(&mut self) -> Values;

    /// Adds up the slices, and puts the total into this range of the gradients.
    fn add_slices(&mut self, additions: &Additions, total: Range<usize>) -> Result<()>;

    /// Returns an array. Only those values are in it that were fetched, or that a message has brought.
    fn array(&mut self, array: Array) -> Values;

    /// Fetches a range of an array for messages.
    fn fetch(&mut self, array: Array, range: Range<usize>) -> Result<()>;

    /// Stores an array that messages have brought, but for its range `own`.
    fn store(&mut self, array: Array, own: Range<usize>) -> Result<()>;

    /// Returns the losses of the step's documents, of which those of the subtrees are known.
    fn losses(&mut self) -> &mut [f32];

    /// Makes the gradients of a share of the weights, if their total is known.
    fn join(&mut self, share: &StepShare) -> Result<()>;

    /// Takes the step, if the total and all losses are known. With a share, all ranks have joined their gradients, the sums
    /// of squares are known, and only the weights of the share are updated.
    fn end_step(&mut self, share: Option<&StepShare>) -> Result<StepLog>;
}

/// A step that several ranks share. Its leaves are the same on every device.
pub(super) struct SharedStep {
    /// The first document of each leaf, and the number of documents.
    pub(super) leaves: Vec<usize>,
    /// The arrays of the leaves' gradients. The last one may have fewer shards than the others.
    pub(super) arrays: GradientArrays,
    /// The number of shards.
    shards: usize,
    /// The subtrees of this rank.
    pub(super) subtrees: Vec<Range<usize>>,
    /// The loss of each document.
    pub(super) losses: Vec<f32>,
    pub(super) batches: Batches,
}

impl SharedStep {
    /// Returns step `step` of `ranks` ranks.
    pub(super) fn new(
        config: &TrainConfig,
        shape: RuntimeShape,
        dataset: &Dataset,
        step: u64,
        ranks: usize,
    ) -> Result<Self> {
        let (batch, block_size) = (config.batch, shape.block_size());
        let batches = dataset.batches(step, 1, batch, block_size)?;
        let mut step = Self {
            leaves: Vec::new(),
            arrays: GradientArrays::new(shards(batch), ranks),
            shards: shards(batch),
            subtrees: Vec::new(),
            losses: vec![0.0; batch],
            batches,
        };
        if Executor::of_training(shape, batch) == Executor::Tiled {
            let rows = (0..batch).map(|i| block_size.min(step.document(i).len() - 1)).sum();
            step.shards = rows::shards(batch, rows);
            step.arrays = GradientArrays { shards_each: 1, count: step.shards };
        }
        step.leaves = (0..=step.arrays.count).map(|leaf| step.shards_of(0..leaf).end * batch / step.shards).collect();
        Ok(step)
    }

    /// Returns the shards of these leaves.
    pub(super) fn shards_of(&self, leaves: Range<usize>) -> Range<usize> {
        let shard = |leaf: usize| self.shards.min(leaf * self.arrays.shards_each);
        shard(leaves.start)..shard(leaves.end)
    }

    /// Returns all leaves of this rank.
    pub(super) fn own(&self) -> Range<usize> {
        let [first, last] = [self.subtrees.first(), self.subtrees.last()];
        first.map_or(0, |tree| tree.start)..last.map_or(0, |tree| tree.end)
    }

    /// Returns the documents of these leaves, as indices in the step.
    pub(super) fn documents_of(&self, leaves: Range<usize>) -> Range<usize> {
        self.leaves[leaves.start]..self.leaves[leaves.end]
    }

    /// Returns the documents of a subtree whose leaves are shards, each with its shard, from 0 on.
    pub(super) fn in_shards(&self, tree: Range<usize>) -> impl Iterator<Item = (usize, &[u32])> + Clone {
        let first = tree.start;
        tree.flat_map(move |leaf| self.documents_of(leaf..leaf + 1).map(move |i| (leaf - first, self.document(i))))
    }

    /// Returns the document with this index in the step.
    fn document(&self, i: usize) -> &[u32] {
        let Batches { documents, first } = &self.batches;
        documents.get((*first as usize + i) % documents.len())
    }
}

/// Returns the largest number of leaves of a step.
pub(super) fn max_leaves(config: &TrainConfig, shape: RuntimeShape) -> usize {
    match Executor::of_training(shape, config.batch) {
        Executor::Tiled => rows::shards(config.batch, config.batch.saturating_mul(shape.block_size())),
        Executor::Fused => shards(config.batch),
    }
}
