//! Arrays in a GPU's memory, and the sizes of those that a model's training needs.

use std::ops::Range;

use cust::memory::bytemuck::Zeroable;
use cust::memory::{CopyDestination, DeviceBuffer, DeviceCopy, mem_get_info};
use gpu_kernels::layout::Layout;
use gpu_kernels::part::BatchLaunchArgs;
use gpu_kernels::shape::RuntimeShape;
use gpu_kernels::tiled::step::StepArgs;
use gpu_kernels::train::TrainModelsArgs;
use gpu_kernels::train::batch::{shards, squares_len};
use simt::HALF_WARP;

use super::super::memory::Demand;
use super::super::tiled_rows;
use super::super::types::Executor;
use super::error::failed;
use super::kernels::CudaKernels;
use crate::error::{Error, Result};

/// Rejects a demand for more memory than the device has free, before any of it is allocated.
pub(super) fn ensure_free(needed: u64) -> Result<()> {
    let (free, total) = free_and_total()?;
    if needed <= free as u64 { Ok(()) } else { Err(Error::GpuMemory { needed, free, total }) }
}

fn free_and_total() -> Result<(usize, usize)> {
    mem_get_info().map_err(failed("ask for the GPU's free memory"))
}

/// Returns `blocks`, or fewer if their workspaces of `workspace` elements each would take more than a quarter of the
/// free memory. If blocks have workspaces, the result is at least 1.
pub(super) fn affordable_blocks(blocks: usize, workspace: usize) -> Result<usize> {
    if workspace == 0 { Ok(blocks) } else { Ok(blocks.min(free_and_total()?.0 / 4 / (4 * workspace)).max(1)) }
}

/// Allocates `len` zeros.
pub(super) fn zeros<T: DeviceCopy + Zeroable>(len: usize) -> Result<DeviceBuffer<T>> {
    DeviceBuffer::zeroed(len).map_err(failed("allocate the GPU's memory"))
}

/// Allocates `len` values that a kernel is to write. An emulated driver reports a value that the kernel leaves out.
pub(super) fn uninitialized<T: DeviceCopy + Zeroable>(len: usize) -> Result<DeviceBuffer<T>> {
    // SAFETY: `T` is always an integer or a float, for which every bit pattern is valid.
    unsafe { DeviceBuffer::uninitialized(len) }.map_err(failed("allocate the GPU's memory"))
}

/// Allocates a copy of `values`.
pub(super) fn upload<T: DeviceCopy>(values: &[T]) -> Result<DeviceBuffer<T>> {
    DeviceBuffer::from_slice(values).map_err(failed("copy to the GPU"))
}

/// Overwrites the first values of an array.
///
/// # Panics
/// If the array has fewer values.
pub(super) fn overwrite<T: DeviceCopy>(array: &mut DeviceBuffer<T>, values: &[T]) -> Result<()> {
    array.index(0..values.len()).copy_from(values).map_err(failed("copy to the GPU"))
}

/// Copies a range of an array to the host.
pub(super) fn download<T: DeviceCopy + Default>(array: &DeviceBuffer<T>, range: Range<usize>) -> Result<Vec<T>> {
    let mut values = vec![T::default(); range.len()];
    array.index(range).copy_to(&mut values[..]).map_err(failed("copy from the GPU"))?;
    Ok(values)
}

/// Returns the address of an array for a kernel that accesses its first `len` elements.
///
/// # Panics
/// If the array is shorter, since the kernel would access memory beyond it.
pub(super) fn pointer<T: DeviceCopy>(array: &DeviceBuffer<T>, len: usize) -> *mut T {
    assert!(array.len() >= len, "an array of {} elements for a kernel that takes {len}", array.len());
    array.as_device_ptr().as_raw() as *mut T
}

/// The grid of a model's training, and the number of elements of each of its arrays.
pub(super) struct Plan {
    /// The number of blocks of the grid.
    pub(super) blocks: usize,
    pub(super) grads: usize,
    pub(super) workspace: usize,
    pub(super) squares: usize,
    pub(super) losses: usize,
}

impl Plan {
    pub(super) fn new(kernels: &CudaKernels, shape: RuntimeShape, batch: usize) -> Result<Self> {
        let len = Layout(shape).len();
        if Executor::of_training(shape, batch) == Executor::Tiled {
            // Ranks that share a step need room for the gradients of a part of it.
            let grads = StepArgs::part_len(shape);
            return Ok(Self { blocks: 0, grads, workspace: 0, squares: 0, losses: 0 });
        }
        if batch == 1 {
            let workspace = kernels.choose::<TrainModelsArgs>()?.workspace;
            return Ok(Self { blocks: 1, grads: len, workspace, squares: 0, losses: 0 });
        }
        let kernel = kernels.choose::<BatchLaunchArgs>()?;
        let blocks = affordable_blocks(kernels.resident_blocks(&kernel)?.min(shards(batch)), kernel.workspace)?;
        Ok(Self {
            blocks,
            // The gradients of a step have an array beside those of the shards.
            grads: (shards(batch) + 1) * len,
            workspace: blocks * kernel.workspace,
            squares: squares_len(shape),
            losses: batch.next_multiple_of(HALF_WARP),
        })
    }

    /// Returns the bytes of the model's arrays.
    ///
    /// # Errors
    /// If a step has more rows than the tiled executor can index.
    pub(super) fn demand(&self, shape: RuntimeShape, batch: usize) -> Result<Demand> {
        let len = Layout(shape).len() as u128;
        let tiled = match Executor::of_training(shape, batch) {
            Executor::Tiled => tiled_rows::memory_len(shape, batch, true)?,
            Executor::Fused => 0,
        };
        let activations = (self.workspace + self.squares + self.losses + 1) as u128 + tiled;
        Ok(Demand::of_floats(2 * len, self.grads as u128 + 2 * len, activations))
    }
}
