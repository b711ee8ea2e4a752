//! The interface to C, with the pointers that callers pass and the macro that turns a table of functions into exports.

use std::ffi::{CStr, c_char, c_int};

use crate::driver::codes::{self, Code};

/// A pointer that the caller passes.
///
/// The API requires that the pointer is null or points to as many values as the function's description says, valid
/// until the call returns. Every `Pointer` comes from the caller or from [`Pointer::at`], so this requirement is the
/// invariant of the type. All methods return `INVALID_VALUE` for a null pointer to at least one value.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Pointer<T>(*mut T);

impl<T: Copy> Pointer<T> {
    /// Returns whether the pointer is null.
    pub fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// Returns the pointer to value `i`, cast to another type of the same size.
    pub fn at<U>(&self, i: usize) -> Pointer<U> {
        Pointer(self.0.wrapping_add(i).cast())
    }

    /// Returns `len` values.
    pub fn slice(&self, len: usize) -> Result<&[T], Code> {
        match len {
            0 => Ok(&[]),
            _ if self.is_null() => Err(codes::INVALID_VALUE),
            // SAFETY: by the invariant of `Pointer`, `self` points to `len` values that are valid during the call.
            _ => Ok(unsafe { std::slice::from_raw_parts(self.0, len) }),
        }
    }

    /// Writes a value.
    pub fn set(self, value: T) -> Result<(), Code> {
        self.set_all(&[value])
    }

    /// Writes values.
    pub fn set_all(&self, values: &[T]) -> Result<(), Code> {
        if self.is_null() && !values.is_empty() {
            return Err(codes::INVALID_VALUE);
        }
        // SAFETY: by the invariant of `Pointer`, `self` points to the values' bytes, which need no alignment.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr().cast::<u8>(), self.0.cast(), size_of_val(values)) };
        Ok(())
    }
}

impl Pointer<c_char> {
    /// Returns the null-terminated string, which must be UTF-8.
    pub fn text(&self) -> Result<&str, Code> {
        if self.is_null() {
            return Err(codes::INVALID_VALUE);
        }
        // SAFETY: by the invariant of `Pointer`, `self` points to a null-terminated string that is valid during the
        // call.
        unsafe { CStr::from_ptr(self.0) }.to_str().map_err(|_| codes::INVALID_VALUE)
    }
}

/// Returns the value of an attribute. Each row of `attributes` has a name, a number and a value.
pub fn value_of(attributes: &[(&str, c_int, u32)], attribute: c_int) -> Result<u32, Code> {
    let found = attributes.iter().find(|(_, number, _)| *number == attribute);
    found.map(|(_, _, value)| *value).ok_or(codes::INVALID_VALUE)
}

/// Exports the functions of a table. A row has
///
/// - the state that the call requires ([`Needs`](crate::driver::state::Needs)),
/// - the names of one or more functions, with brackets for the parameters that a function takes after those of the row,
/// - the parameters of the row,
/// - the result of the call, as an expression of the parameters and the
///   [`DriverState`](crate::driver::state::DriverState).
///
/// Each export logs its call, fails if the settings say so, and checks the required state first.
macro_rules! exports {
    ($($needs:ident: $($name:ident $([$($more:tt)*])?),+ => $parameters:tt |$state:ident| $body:expr;)*) => {
        $($(exports! { @export $needs $name $parameters [$($($more)*)?] $state $body })+)*
    };
    (@export $needs:ident $name:ident ($($argument:ident: $type:ty),* $(,)?) [$($more:ident: $more_type:ty),*]
     $state:ident $body:expr) => {
        /// Implements the function of this name of the CUDA Driver API.
        // SAFETY: no other library defines the symbol, because this library replaces libcuda.
        #[unsafe(no_mangle)]
        #[allow(clippy::too_many_arguments, reason = "the API defines the parameters")]
        pub extern "C" fn $name($($argument: $type,)* $($more: $more_type),*) -> $crate::driver::codes::Code {
            let arguments = || {
                let all: &[String] = &[
                    $(format!("{}={:?}", stringify!($argument), $argument),)*
                    $(format!("{}={:?}", stringify!($more), $more)),*
                ];
                all.join(", ")
            };
            $crate::driver::state::call(
                stringify!($name),
                $crate::driver::state::Needs::$needs,
                &arguments,
                |$state: &mut $crate::driver::state::DriverState| $body,
            )
        }
    };
}

pub(super) use exports;
