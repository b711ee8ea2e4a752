//! The sizes of the arrays that a model's training needs on a GPU.

use gpu_kernels::layout::Layout;
use gpu_kernels::shape::RuntimeShape;
use gpu_kernels::train::batch::{shards, squares_len};
use gpu_kernels::train::train_workspace_len;
use simt::HALF_WARP;

use super::kernels::CudaKernels;
use super::memory::affordable_blocks;
use crate::error::Result;

/// The grid of a model's training, and the elements of each of its arrays.
pub(super) struct Plan {
    /// Blocks of the grid.
    pub(super) blocks: usize,
    pub(super) grads: usize,
    pub(super) workspace: usize,
    pub(super) squares: usize,
    pub(super) losses: usize,
}

impl Plan {
    pub(super) fn new(kernels: &CudaKernels, shape: RuntimeShape, batch: usize) -> Result<Self> {
        let (len, workspace) = (Layout(shape).len(), train_workspace_len(shape));
        if batch == 1 {
            let workspace = if kernels.train().is_global() { workspace } else { 0 };
            return Ok(Self { blocks: 1, grads: len, workspace, squares: 0, losses: 0 });
        }
        let kernel = kernels.train_batch()?;
        let mut blocks = kernels.resident_blocks(&kernel)?.min(shards(batch));
        if kernel.is_global() {
            blocks = affordable_blocks(blocks, workspace)?;
        }
        Ok(Self {
            blocks,
            grads: shards(batch) * len,
            workspace: if kernel.is_global() { blocks * workspace } else { 0 },
            squares: squares_len(shape),
            losses: batch.next_multiple_of(HALF_WARP),
        })
    }

    /// Returns the bytes of the model's arrays, its four arrays of weights and its barrier included.
    pub(super) fn bytes(&self, shape: RuntimeShape) -> usize {
        4 * (4 * Layout(shape).len() + self.grads + self.workspace + self.squares + self.losses + 1)
    }
}
