//! The kernels for the page: a [`session::Session`] behind two functions that a worker calls.
//!
//! The worker asks for a buffer with [`buffer`], writes a request into it, calls [`call`], and reads the reply from the
//! same place.

use std::cell::RefCell;

use session::Session;

pub mod session;

thread_local! {
    static SESSION: RefCell<Session> = RefCell::default();
    static BUFFER: RefCell<Vec<u8>> = RefCell::default();
}

/// Makes the buffer `len` bytes long and says where it is.
#[unsafe(no_mangle)]
pub extern "C" fn buffer(len: usize) -> *mut u8 {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(len, 0);
        buffer.as_mut_ptr()
    })
}

/// Answers the request in the buffer: the reply replaces it. Returns the reply's length; [`buffer`] of that length says
/// where it is.
#[unsafe(no_mangle)]
pub extern "C" fn call() -> usize {
    BUFFER.with_borrow_mut(|buffer| {
        *buffer = SESSION.with_borrow_mut(|session| session.answer(buffer));
        buffer.len()
    })
}
