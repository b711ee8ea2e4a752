//! The part of a step that a launch of a GPU computes.

use core::ops::Range;

use simt::{Grid, HALF_WARP, Target, View, inline};

use crate::shape::ExpandedShape;
use crate::train::batch::{BatchArgs, Phase, shards};

/// The arguments of `train_batch` on a GPU, for whole steps, or for a part of one step that several ranks share.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BatchLaunchArgs {
    /// The arguments of the steps.
    pub batch: BatchArgs,
    /// The part of each step that the launch computes.
    pub part: StepPart,
    /// The dimensions of `batch.train`, with those that follow from them.
    pub shape: ExpandedShape,
}

/// A part of a step. A launch computes the gradients of shards, then sums arrays of gradients, then updates the weights. It
/// leaves out what its part does not have.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct StepPart {
    /// The first shard whose gradients are computed.
    pub first_shard: u32,
    /// The number of shards whose gradients are computed.
    pub shards: u32,
    /// The first array of gradients that is summed.
    pub first_array: u32,
    /// The number of arrays of gradients that are summed. Their sum replaces the first one.
    pub arrays: u32,
    /// The divisor of the sum, or 0 without arrays.
    pub documents: u32,
    /// Whether the weights are updated, 1 or 0.
    pub updates: u32,
}

impl StepPart {
    /// Returns the whole of a step of `batch` documents.
    pub fn whole(batch: usize) -> Self {
        Self { updates: 1, ..Self::gradients(0..shards(batch)).with_sum(0..shards(batch), batch) }
    }

    /// Returns the gradients of these shards, an array for each.
    pub fn gradients(shards: Range<usize>) -> Self {
        Self { first_shard: shards.start as u32, shards: shards.len() as u32, ..Self::default() }
    }

    /// Adds the sum over these arrays of gradients, divided by a number of documents.
    #[must_use]
    pub fn with_sum(self, arrays: Range<usize>, documents: usize) -> Self {
        let (first_array, arrays) = (arrays.start as u32, arrays.len() as u32);
        Self { first_array, arrays, documents: documents as u32, ..self }
    }

    /// Returns the update with the gradient in the first array, which is a sum over so many documents.
    pub fn update(documents: usize) -> Self {
        Self { updates: 1, ..Self::default().with_sum(0..1, documents) }
    }

    /// Returns the phase that sums arrays of gradients.
    #[inline(always)]
    pub fn reduce(&self) -> Phase {
        let Self { first_array, arrays, documents, .. } = *self;
        Phase::Reduce { first: first_array as usize, count: arrays as usize, documents: documents as usize }
    }
}

/// The arguments of a launch that adds two arrays. The sum may replace one of them.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct AddArgs {
    /// The sum, `len` elements.
    pub sum: *mut f32,
    /// The addends, `len` elements each.
    pub addends: [*mut f32; 2],
    /// The number of elements, a multiple of 32.
    pub len: u64,
}

impl AddArgs {
    /// Adds the arrays, 32 elements in a warp at a time.
    ///
    /// # Safety
    /// The pointers are valid for `len` elements, and nothing else uses the arrays.
    #[inline(always)]
    pub unsafe fn run<T: Target>(&self, grid: &Grid<T>) {
        let Self { sum, addends: [a, b], len } = *self;
        let len = len as usize;
        grid.each_block(inline!(|block| {
            // SAFETY: the caller keeps the contract.
            let [sum, a, b] = unsafe { [View::new(sum, len), View::new(a, len), View::new(b, len)] };
            block.each_warp(inline!(|warp| {
                for i in warp.grid_share().items(0, len / (2 * HALF_WARP)) {
                    let at = i * 2 * HALF_WARP;
                    sum.store_halves(at, HALF_WARP, a.load_halves(at, HALF_WARP) + b.load_halves(at, HALF_WARP));
                }
            }));
        }));
    }
}
