//! Values in the memory of a device, which messages between ranks carry.

use std::ffi::c_void;
use std::ptr;

use mpi::Count;
use mpi::datatype::{AsDatatype, Buffer, BufferMut, Collection, Equivalence, Pointer, PointerMut};

/// An array of values that the MPI library reads or writes, in the memory of the host or of a GPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values {
    start: *mut f32,
    len: usize,
}

impl Values {
    /// Returns the `len` values from `start` on.
    ///
    /// # Safety
    /// The MPI library can access so many floats there until the device is used again. Until then nothing else does.
    pub(super) unsafe fn new(start: *mut f32, len: usize) -> Self {
        Self { start, len }
    }

    /// Returns no values.
    pub(crate) fn none() -> Self {
        Self { start: ptr::dangling_mut(), len: 0 }
    }

    /// Returns the number of values.
    pub(crate) fn len(self) -> usize {
        self.len
    }

    /// Returns the values from this index on.
    ///
    /// # Panics
    /// If there are fewer.
    pub(crate) fn after(self, index: usize) -> Self {
        assert!(index <= self.len, "index {index} of {} values", self.len);
        Self { start: self.start.wrapping_add(index), len: self.len - index }
    }
}

// SAFETY: the values are floats.
unsafe impl AsDatatype for Values {
    type Out = <f32 as Equivalence>::Out;

    fn as_datatype(&self) -> Self::Out {
        f32::equivalent_datatype()
    }
}

// SAFETY: the constructor's caller vouches for the values. MPI counts no more of them than a message can have.
unsafe impl Collection for Values {
    fn count(&self) -> Count {
        Count::try_from(self.len).unwrap_or(Count::MAX)
    }
}

// SAFETY: as for the count.
unsafe impl Pointer for Values {
    fn pointer(&self) -> *const c_void {
        self.start.cast_const().cast()
    }
}

// SAFETY: as for the count.
unsafe impl PointerMut for Values {
    fn pointer_mut(&mut self) -> *mut c_void {
        self.start.cast()
    }
}

// SAFETY: address, count and type are those of the same values.
unsafe impl Buffer for Values {}
// SAFETY: as for a buffer that is read.
unsafe impl BufferMut for Values {}
