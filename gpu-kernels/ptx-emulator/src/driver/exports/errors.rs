//! Descriptions of errors (section 6.2). They need no state, so that they work after any other call.

use std::ffi::c_char;

use super::pointers::Out;
use crate::driver::codes::{self, Code};

fn give(text: Option<&'static str>, to: Out<*const c_char>) -> Code {
    let pointer = text.map_or(std::ptr::null(), |text| text.as_ptr().cast());
    to.set(pointer).and(text.map(|_| ()).ok_or(codes::INVALID_VALUE)).err().unwrap_or(0)
}

/// Implements the function of this name of the CUDA Driver API.
// SAFETY: see `exports`.
#[unsafe(no_mangle)]
pub extern "C" fn cuGetErrorName(code: Code, to: Out<*const c_char>) -> Code {
    give(codes::text(code).map(|(name, _)| name), to)
}

/// Implements the function of this name of the CUDA Driver API.
// SAFETY: see `exports`.
#[unsafe(no_mangle)]
pub extern "C" fn cuGetErrorString(code: Code, to: Out<*const c_char>) -> Code {
    give(codes::text(code).map(|(_, text)| text), to)
}
