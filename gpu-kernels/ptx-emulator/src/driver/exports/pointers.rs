//! Pointers that the caller of the API passes.
//!
//! The API requires that a pointer is null or points to as many values as the function's description says, valid until
//! the call returns. Values of [`In`] and [`Out`] come from the caller alone, so this requirement is the invariant of
//! both types.

use std::ffi::{CStr, c_char};

use crate::driver::codes::{self, Code};

/// A pointer to values that the call reads, or null.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct In<T>(*const T);

/// A pointer to values that the call writes, or null.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Out<T>(*mut T);

impl<T> In<T> {
    /// Returns whether the pointer is null.
    pub fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// Returns `len` values.
    ///
    /// # Errors
    /// Returns `INVALID_VALUE` if the pointer is null and `len` is not 0.
    pub fn slice(&self, len: usize) -> Result<&[T], Code> {
        match len {
            0 => Ok(&[]),
            _ if self.0.is_null() => Err(codes::INVALID_VALUE),
            // SAFETY: by the invariant of `In`, the pointer points to `len` values that are valid during the call.
            _ => Ok(unsafe { std::slice::from_raw_parts(self.0, len) }),
        }
    }
}

impl In<c_char> {
    /// Returns the string.
    ///
    /// # Errors
    /// Returns `INVALID_VALUE` if the pointer is null or the string is not UTF-8.
    pub fn text(&self) -> Result<&str, Code> {
        if self.is_null() {
            return Err(codes::INVALID_VALUE);
        }
        // SAFETY: by the invariant of `In`, the pointer points to a string with a terminating null, valid during the
        // call.
        unsafe { CStr::from_ptr(self.0) }.to_str().map_err(|_| codes::INVALID_VALUE)
    }
}

impl<T: Copy> Out<T> {
    /// Returns whether the pointer is null.
    pub fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// Returns the pointer to value `i`.
    pub fn at(self, i: usize) -> Self {
        Self(self.0.wrapping_add(i))
    }

    /// Reads the value.
    ///
    /// # Errors
    /// Returns `INVALID_VALUE` if the pointer is null.
    pub fn get(self) -> Result<T, Code> {
        if self.is_null() {
            return Err(codes::INVALID_VALUE);
        }
        // SAFETY: by the invariant of `Out`, the pointer points to a valid value.
        Ok(unsafe { self.0.read_unaligned() })
    }

    /// Writes the value.
    ///
    /// # Errors
    /// Returns `INVALID_VALUE` if the pointer is null.
    pub fn set(self, value: T) -> Result<(), Code> {
        self.set_all(&[value])
    }

    /// Writes values.
    ///
    /// # Errors
    /// Returns `INVALID_VALUE` if the pointer is null and there are values.
    pub fn set_all(self, values: &[T]) -> Result<(), Code> {
        if self.is_null() && !values.is_empty() {
            return Err(codes::INVALID_VALUE);
        }
        // SAFETY: by the invariant of `Out`, the pointer points to as many bytes as the values take. Bytes need no
        // alignment.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr().cast::<u8>(), self.0.cast(), size_of_val(values)) };
        Ok(())
    }
}

impl<T> Out<Out<T>> {
    /// Returns the same pointer for values that are integers, because JIT options pass integers as pointers.
    pub fn as_integer(&self) -> Out<usize> {
        Out(self.0.cast())
    }
}
