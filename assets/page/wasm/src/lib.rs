//! The kernels for the page, a [`Session`] behind a few functions that a worker calls.
//!
//! The worker writes a request into a buffer from [`buffer`] and calls [`call`]. Then it reads the reply from the
//! buffer. `multiply_add` has the functions for the choice between the two forms of the module.
#![cfg_attr(any(target_arch = "wasm32", test), feature(portable_simd))]

use std::cell::RefCell;

use session::Session;

#[cfg(any(target_arch = "wasm32", test))]
mod multiply_add;
pub mod session;

thread_local! {
    static SESSION: RefCell<Session> = RefCell::default();
    static BUFFER: RefCell<Vec<u8>> = RefCell::default();
}

/// Resizes the buffer to `len` bytes and returns its address.
// SAFETY: no other linked function has the name `buffer`.
#[unsafe(no_mangle)]
pub extern "C" fn buffer(len: usize) -> *mut u8 {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(len, 0);
        buffer.as_mut_ptr()
    })
}

/// Replaces the request in the buffer by its reply, and returns the reply's length. A call of [`buffer`] with that
/// length returns the reply's address.
// SAFETY: no other linked function has the name `call`.
#[unsafe(no_mangle)]
pub extern "C" fn call() -> usize {
    BUFFER.with_borrow_mut(|buffer| {
        *buffer = SESSION.with_borrow_mut(|session| session.answer(buffer));
        buffer.len()
    })
}

/// Takes the bytes in the buffer as the user's corpus, and replaces them by a reply, of which it returns the length.
// SAFETY: no other linked function has the name `corpus`.
#[unsafe(no_mangle)]
pub extern "C" fn corpus() -> usize {
    BUFFER.with_borrow_mut(|buffer| {
        let bytes = std::mem::take(buffer);
        *buffer = SESSION.with_borrow_mut(|session| session.set_corpus(bytes));
        buffer.len()
    })
}

/// Takes the bytes in the buffer as a trained model, see [`Session::set_trained`].
// SAFETY: no other linked function has the name `trained`.
#[unsafe(no_mangle)]
pub extern "C" fn trained() {
    let bytes = BUFFER.take();
    SESSION.with_borrow_mut(|session| session.set_trained(&bytes));
}

/// Returns the address of the values that belong to the last reply, see [`Session::values`].
// SAFETY: no other linked function has the name `values`.
#[unsafe(no_mangle)]
pub extern "C" fn values() -> *const f32 {
    SESSION.with_borrow(|session| session.values().as_ptr())
}
