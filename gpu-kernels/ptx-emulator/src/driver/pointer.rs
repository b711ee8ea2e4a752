//! The pointers that callers pass.

use std::ffi::{CStr, c_char};

use super::codes::{self, Code};

/// A pointer that the caller passes.
///
/// The API requires that the pointer is null or points to as many values as the function's description says, valid
/// until the call returns, or until the stream has completed the operation of an asynchronous call. Every `Pointer` comes
/// from the caller, so this requirement is the invariant of the type. All methods return `INVALID_VALUE` for a null
/// pointer to at least one value.
#[derive(Debug)]
#[repr(transparent)]
pub struct Pointer<T>(*mut T);

// A derived implementation would require that the values can be copied too.
impl<T> Clone for Pointer<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Pointer<T> {}

impl<T> Pointer<T> {
    /// Returns the pointer to an address that the caller passed as a number.
    pub fn from_address(address: u64) -> Self {
        Self(std::ptr::with_exposed_provenance_mut(address as usize))
    }

    /// Returns whether the pointer is null.
    pub fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// Returns the same pointer to values of another type.
    pub fn cast<U>(&self) -> Pointer<U> {
        Pointer(self.0.cast())
    }

    /// Returns the pointer to value `i`, cast to another type of the same size. A null pointer stays null.
    pub fn at<U>(&self, i: usize) -> Pointer<U> {
        let start = if self.is_null() { self.0 } else { self.0.wrapping_add(i) };
        Pointer(start.cast())
    }
}

impl<T: Copy> Pointer<T> {
    /// Returns `len` values.
    pub fn slice(&self, len: usize) -> Result<&[T], Code> {
        match len {
            0 => Ok(&[]),
            _ if self.is_null() || len > isize::MAX as usize / size_of::<T>() => Err(codes::INVALID_VALUE),
            // SAFETY: by the invariant of `Pointer`, `self` points to `len` values that are valid during the call.
            _ => Ok(unsafe { std::slice::from_raw_parts(self.0, len) }),
        }
    }

    /// Returns the value.
    pub fn get(self) -> Result<T, Code> {
        self.slice(1).map(|values| values[0])
    }

    /// Writes a value.
    pub fn set(self, value: T) -> Result<(), Code> {
        self.set_all(&[value])
    }

    /// Writes a value, unless the pointer is null because the caller has no use for the value.
    pub fn set_if_wanted(self, value: T) {
        // The only error is a null pointer.
        let _ = self.set(value);
    }

    /// Writes values.
    pub fn set_all(&self, values: &[T]) -> Result<(), Code> {
        if self.is_null() && !values.is_empty() {
            return Err(codes::INVALID_VALUE);
        }
        // SAFETY: by the invariant of `Pointer`, `self` points to the values' bytes, which need no alignment. They may
        // overlap the values if the caller copies memory within the host.
        unsafe { std::ptr::copy(values.as_ptr().cast::<u8>(), self.0.cast(), size_of_val(values)) };
        Ok(())
    }
}

impl Pointer<c_char> {
    /// Returns the null-terminated string, which must be UTF-8.
    pub fn text(&self) -> Result<&str, Code> {
        std::str::from_utf8(self.bytes()?).map_err(|_| codes::INVALID_VALUE)
    }

    /// Returns the bytes up to the null byte.
    pub fn bytes(&self) -> Result<&[u8], Code> {
        if self.is_null() {
            return Err(codes::INVALID_VALUE);
        }
        // SAFETY: by the invariant of `Pointer`, `self` points to a null-terminated string that is valid during the
        // call.
        Ok(unsafe { CStr::from_ptr(self.0) }.to_bytes())
    }

    /// Writes a text that is cut to `capacity` bytes, the terminating null byte included.
    pub fn set_text(self, text: &str, capacity: usize) -> Result<(), Code> {
        let cut = text.bytes().take(capacity.saturating_sub(1)).chain([0]).take(capacity);
        self.set_all(&cut.map(|byte| byte as c_char).collect::<Vec<_>>())
    }
}
