//! Copies of a GPU's arrays in page-locked memory of the host, for messages between ranks.

use std::ops::Range;

use cust::memory::{CopyDestination, DeviceBuffer, LockedBuffer};

use super::error::failed;
use crate::device::division::Additions;
use crate::device::values::Values;
use crate::error::Result;

/// The copies of a model's arrays.
pub(super) struct HostCopies {
    /// The number of values of a sum.
    sum_len: usize,
    /// The sums over the subtrees.
    sums: Vec<LockedBuffer<f32>>,
    /// The slices of all subtrees' sums.
    slices: LockedBuffer<f32>,
    /// The array that was fetched last.
    array: LockedBuffer<f32>,
}

fn locked(len: usize) -> Result<LockedBuffer<f32>> {
    LockedBuffer::new(&0.0, len).map_err(failed("allocate page-locked memory"))
}

fn copied(slice: &mut [f32], from: &DeviceBuffer<f32>, range: Range<usize>) -> Result<()> {
    from.index(range).copy_to(slice).map_err(failed("copy from the GPU"))
}

/// Returns the values of page-locked memory.
fn values(slice: &mut [f32]) -> Values {
    // SAFETY: the rank uses the memory for nothing else until the message has passed.
    unsafe { Values::new(slice.as_mut_ptr(), slice.len()) }
}

impl HostCopies {
    /// Returns copies of sums of `sum_len` values, and of arrays of up to `array_len` values.
    pub(super) fn new(sum_len: usize, array_len: usize) -> Result<Self> {
        Ok(Self { sum_len, sums: Vec::new(), slices: locked(0)?, array: locked(array_len)? })
    }

    /// Makes room for so many sums, and for so many values of slices.
    pub(super) fn reserve(&mut self, sums: usize, slices_len: usize) -> Result<()> {
        while self.sums.len() < sums {
            self.sums.push(locked(self.sum_len)?);
        }
        if self.slices.len() < slices_len {
            self.slices = locked(slices_len)?;
        }
        Ok(())
    }

    /// Copies the sum over subtree `i` from this range of an array.
    pub(super) fn copy_sum(&mut self, i: usize, from: &DeviceBuffer<f32>, range: Range<usize>) -> Result<()> {
        copied(&mut self.sums[i], from, range)
    }

    /// Returns the sum over subtree `i`.
    pub(super) fn sum(&mut self, i: usize) -> Values {
        values(&mut self.sums[i])
    }

    /// Returns the place for slices.
    pub(super) fn slices(&mut self) -> Values {
        values(&mut self.slices)
    }

    /// Adds up the slices, and copies the total to this range of the gradients.
    pub(super) fn add_slices(
        &mut self,
        additions: &Additions,
        grads: &DeviceBuffer<f32>,
        total: Range<usize>,
    ) -> Result<()> {
        additions.run(&mut self.slices, &mut self.array[total.clone()]);
        self.upload(grads, total)
    }

    /// Returns the copy of the array that was fetched last, of `len` values at most.
    pub(super) fn array(&mut self, len: usize) -> Values {
        let len = len.min(self.array.len());
        values(&mut self.array[..len])
    }

    /// Copies a range of an array from the GPU.
    pub(super) fn fetch(&mut self, array: &DeviceBuffer<f32>, range: Range<usize>) -> Result<()> {
        copied(&mut self.array[range.clone()], array, range)
    }

    /// Copies an array to the GPU, but for its range `own`.
    pub(super) fn store(&self, array: &DeviceBuffer<f32>, own: Range<usize>) -> Result<()> {
        let len = array.len().min(self.array.len());
        self.upload(array, 0..own.start)?;
        self.upload(array, own.end..len)
    }

    fn upload(&self, array: &DeviceBuffer<f32>, range: Range<usize>) -> Result<()> {
        array.index(range.clone()).copy_from(&self.array[range]).map_err(failed("copy to the GPU"))
    }
}
