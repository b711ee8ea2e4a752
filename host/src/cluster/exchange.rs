//! The arrays that ranks exchange to take a step together.
//!
//! Each rank receives its slice of every subtree's sum, and adds the slices up as the tree says. For a large model it updates
//! the weights of its slice, and all ranks collect the weights of the others. For a small one they collect the slices of the
//! total, and each rank updates all weights. So a rank sends and receives about twice the model's size, whatever the number
//! of ranks. The sums of the smallest models are sent whole.

use std::ops::Range;
use std::rc::Rc;

use gpu_kernels::tiled::share::StepShare;

use super::sum::additions;
use super::world::{Shares, World};
use crate::device::StepLog;
use crate::device::division::{Additions, Division};
use crate::device::sharded::{Array, Sharded};
use crate::device::values::Values;
use crate::error::{Error, Result};

/// A model on a rank, with the arrays that it exchanges.
pub(super) struct Exchange {
    world: Rc<World>,
    pub(super) device: Box<dyn Sharded>,
    division: Division,
    /// Whether this rank knows the moments of all weights. A rank updates those of its share alone.
    pub(super) moments_are_whole: bool,
    /// The first failure since the last report, which the ranks learn of at the next step.
    pub(super) failure: Option<Error>,
}

impl Exchange {
    pub(super) fn new(world: Rc<World>, device: Box<dyn Sharded>) -> Self {
        Self { division: device.division(world.size()), world, device, moments_are_whole: true, failure: None }
    }

    /// Computes the sums over this rank's subtrees, unless it has failed before.
    pub(super) fn sum_subtrees(&mut self, trees: &[Vec<Range<usize>>]) -> Result<()> {
        let rank = self.world.rank();
        let longest = self.division.slices.iter().map(|slices| slices[rank].len()).max().unwrap_or(0);
        let slices_len = trees.iter().map(Vec::len).sum::<usize>() * Additions::stride(longest);
        self.failure.take().map_or_else(|| self.device.sum_subtrees(&trees[rank], slices_len), Err)
    }

    /// Takes the step, if all ranks have computed the sums over their subtrees.
    pub(super) fn take_step(&mut self, trees: &[Vec<Range<usize>>]) -> Result<StepLog> {
        for part in 0..self.division.slices.len() {
            self.sum_slices(trees, part)?;
        }
        self.end_step()
    }

    /// Adds up this rank's slice of all subtrees' sums, of those slices that are part `part` of the division.
    fn sum_slices(&mut self, trees: &[Vec<Range<usize>>], part: usize) -> Result<()> {
        let (rank, slices) = (self.world.rank(), &self.division.slices[part]);
        let own = slices[rank].clone();
        let stride = Additions::stride(own.len());
        // Every rank sends a subtree at a time, and nothing once it has sent its last.
        for i in 0..trees.iter().map(Vec::len).max().unwrap_or(0) {
            let subtree = if i < trees[rank].len() { self.device.subtree(i) } else { Values::none() };
            let (mut sent, mut places, mut before) = (Shares::default(), Shares::default(), 0);
            for (slice, trees) in slices.iter().zip(trees) {
                let (is_sent, is_received) = (subtree.len() > 0 && !slice.is_empty(), i < trees.len());
                sent.push(if is_sent { slice.len() } else { 0 }, if is_sent { slice.start } else { 0 })?;
                let place = if is_received { (before + i) * stride } else { 0 };
                places.push(if is_received { own.len() } else { 0 }, place)?;
                before += trees.len();
            }
            if self.division.is_whole() {
                self.world.gather_values(subtree, self.device.slices(), &places);
            } else {
                self.world.exchange(subtree, &sent, self.device.slices(), &places);
            }
        }
        let all: Vec<Range<usize>> = trees.iter().flatten().cloned().collect();
        if !own.is_empty() {
            let additions = Additions { pairs: additions(&all), len: own.len() };
            self.attempt(|device| device.add_slices(&additions, own));
        }
        Ok(())
    }

    /// Takes the step when the slices of the total are known.
    fn end_step(&mut self) -> Result<StepLog> {
        let log = if self.division.shares.is_empty() {
            if !self.division.is_whole() {
                let slices = self.division.slices[0].clone();
                self.complete(Array::Gradients, &slices)?;
            }
            self.attempt(|device| device.end_step(None))
        } else {
            let shares = self.division.shares.clone();
            let own = &shares[self.world.rank()];
            self.moments_are_whole = false;
            self.attempt(|device| device.join(own));
            self.complete(Array::Squares, &ranges(&shares, |share| &share.squares))?;
            let log = self.attempt(|device| device.end_step(Some(own)));
            self.complete(Array::Weights, &ranges(&shares, |share| &share.weights))?;
            log
        };
        Ok(log.unwrap_or(StepLog { loss: f64::NAN, grad_norm: f64::NAN }))
    }

    /// Does work that may fail. A rank that has failed goes on to exchange messages, because the others wait for them, but
    /// does no more work.
    fn attempt<T>(&mut self, work: impl FnOnce(&mut dyn Sharded) -> Result<T>) -> Option<T> {
        if self.failure.is_some() {
            return None;
        }
        work(&mut *self.device).map_err(|error| self.failure = Some(error)).ok()
    }

    /// Collects the ranges of an array that the other ranks have.
    fn complete(&mut self, array: Array, ranges: &[Range<usize>]) -> Result<()> {
        let own = ranges[self.world.rank()].clone();
        self.attempt(|device| device.fetch(array, own.clone()));
        self.world.complete(self.device.array(array), ranges)?;
        self.attempt(|device| device.store(array, own));
        Ok(())
    }

    /// Collects the moments that the other ranks have.
    ///
    /// # Errors
    /// If this rank fails.
    pub(super) fn collect_moments(&mut self) -> Result<()> {
        if !self.moments_are_whole {
            let ranges = ranges(&self.division.shares, |share| &share.weights);
            self.complete(Array::FirstMoments, &ranges)?;
            self.complete(Array::SecondMoments, &ranges)?;
            self.moments_are_whole = self.failure.is_none();
        }
        self.failure.take().map_or(Ok(()), Err)
    }
}

/// Returns a range of each share.
fn ranges(shares: &[StepShare], range: impl Fn(&StepShare) -> &Range<usize>) -> Vec<Range<usize>> {
    shares.iter().map(|share| range(share).clone()).collect()
}
