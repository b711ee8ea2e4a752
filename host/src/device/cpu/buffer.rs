//! Arrays in the host's memory for the kernels.

use std::alloc::{Layout, alloc_zeroed};
use std::ptr;

use crate::error::OutOfMemory;

/// The alignment of the widest vectors, in floats.
const LINE: usize = 16;

/// An array of floats at the alignment of the widest vectors.
pub(super) struct Buffer {
    floats: Vec<f32>,
    /// The index of the first float that is aligned.
    start: usize,
    len: usize,
}

impl Buffer {
    /// Returns `len` zeros, rounded up to whole vectors.
    ///
    /// The system fills a page with zeros when the page is first used, so the part of a workspace that stays unused
    /// takes neither time nor memory. Rust's allocator asks for such pages only at the alignment of a float.
    pub(super) fn zeros(len: usize) -> Result<Self, OutOfMemory> {
        let len = len.next_multiple_of(LINE);
        let layout = Layout::array::<f32>(len + LINE).map_err(|_| OutOfMemory(usize::MAX))?;
        // SAFETY: the layout has a size.
        let floats: *mut f32 = unsafe { alloc_zeroed(layout) }.cast();
        if floats.is_null() {
            return Err(OutOfMemory(layout.size()));
        }
        ask_for_huge_pages(floats.cast(), layout.size());
        let start = floats.align_offset(LINE * size_of::<f32>());
        // SAFETY: the global allocator, which is that of `Box`, has allocated this slice. Zeros are valid floats.
        let floats = unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(floats, len + LINE)) };
        Ok(Self { floats: floats.into_vec(), start, len })
    }

    /// Grows the array to `len` elements. The elements of an array that grows become zeros.
    pub(super) fn grow(&mut self, len: usize) -> Result<(), OutOfMemory> {
        if self.len < len {
            // The old array is freed first.
            *self = Self { floats: Vec::new(), start: 0, len: 0 };
            *self = Self::zeros(len)?;
        }
        Ok(())
    }

    pub(super) fn as_slice(&self) -> &[f32] {
        &self.floats[self.start..][..self.len]
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.floats[self.start..][..self.len]
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut f32 {
        self.as_mut_slice().as_mut_ptr()
    }
}

/// Asks the system to take huge pages for an array that spans several. The kernels walk through many rows at once, whose
/// pages the processor would look up one by one.
#[cfg(all(feature = "program", target_os = "linux"))]
fn ask_for_huge_pages(start: *mut u8, bytes: usize) {
    /// The size of a huge page. Arrays of a few are not worth the call.
    const HUGE: usize = 1 << 21;
    let skipped = start.align_offset(HUGE);
    if bytes >= 4 * HUGE {
        // SAFETY: the range is part of the allocation. The advice changes no contents. A system that refuses it keeps small
        // pages.
        unsafe {
            libc::madvise(start.wrapping_add(skipped).cast(), (bytes - skipped) / HUGE * HUGE, libc::MADV_HUGEPAGE)
        };
    }
}

#[cfg(not(all(feature = "program", target_os = "linux")))]
fn ask_for_huge_pages(_: *mut u8, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_zeros_that_can_be_written() {
        for len in [0, 1, 16, 17, 1000] {
            let mut buffer = Buffer::zeros(len).unwrap();
            assert!(
                buffer.as_slice().len() == len.next_multiple_of(16) && buffer.as_mut_ptr().addr().is_multiple_of(64)
            );
            assert!(buffer.as_slice().iter().all(|value| value.to_bits() == 0));
            buffer.as_mut_slice().fill(1.5);
            assert!(buffer.as_slice().iter().all(|value| value.to_bits() == 1.5f32.to_bits()));
        }
        assert!(Buffer::zeros(1 << 60).is_err());
    }
}
