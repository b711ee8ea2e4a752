//! A library that takes the place of some system calls, and makes those on chosen files fail or fall short. The test
//! compiles it, and the program loads it by `LD_PRELOAD`.
//!
//! `FAULT_CALL` is the call: `read`, `write`, `fsync` or `rename`. `FAULT_FILE` is a part of the file's path.
//! `FAULT_ERROR` is the error's number, or 0 for calls that transfer seven bytes at most. `FAULT_AFTER` is the number of
//! calls that succeed before.

use std::env;
use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::fs;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn __errno_location() -> *mut c_int;
}

/// The numbers of the calls on x86-64.
const READ: c_long = 0;
const WRITE: c_long = 1;
const FSYNC: c_long = 74;
const RENAME: c_long = 82;

/// The fault that the environment states.
struct Fault {
    call: String,
    file: String,
    error: c_int,
    after: usize,
}

static FAULT: LazyLock<Fault> = LazyLock::new(|| {
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let number = |name: &str| variable(name).parse().unwrap_or(0);
    let (error, after) = (number("FAULT_ERROR"), number("FAULT_AFTER"));
    Fault { call: variable("FAULT_CALL"), file: variable("FAULT_FILE"), error: error as c_int, after }
});

static CALLS: AtomicUsize = AtomicUsize::new(0);

/// Returns the error of this call, 0 for one that falls short, or `None` for one without a fault.
fn fault(call: &str, path: impl Fn() -> String) -> Option<c_int> {
    let hits = FAULT.call == call && path().contains(&FAULT.file);
    (hits && CALLS.fetch_add(1, Relaxed) >= FAULT.after).then_some(FAULT.error)
}

fn path_of(descriptor: c_int) -> String {
    let path = fs::read_link(format!("/proc/self/fd/{descriptor}"));
    path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
}

fn fail(error: c_int) -> c_long {
    // SAFETY: the C library returns the address of this thread's error number.
    unsafe { *__errno_location() = error };
    -1
}

/// Transfers bytes by the call `number`, unless it fails.
fn transfer(name: &str, number: c_long, descriptor: c_int, buffer: *const c_void, count: usize) -> isize {
    let count = match fault(name, || path_of(descriptor)) {
        None => count,
        Some(0) => count.min(7),
        Some(error) => return fail(error) as isize,
    };
    // SAFETY: the caller's buffer has at least this number of bytes.
    unsafe { syscall(number, descriptor as c_long, buffer, count) as isize }
}

#[unsafe(no_mangle)]
extern "C" fn read(descriptor: c_int, buffer: *mut c_void, count: usize) -> isize {
    transfer("read", READ, descriptor, buffer, count)
}

#[unsafe(no_mangle)]
extern "C" fn write(descriptor: c_int, buffer: *const c_void, count: usize) -> isize {
    transfer("write", WRITE, descriptor, buffer, count)
}

#[unsafe(no_mangle)]
extern "C" fn fsync(descriptor: c_int) -> c_int {
    match fault("fsync", || path_of(descriptor)) {
        Some(error) => fail(error) as c_int,
        // SAFETY: the call takes any descriptor.
        None => unsafe { syscall(FSYNC, descriptor as c_long) as c_int },
    }
}

/// # Safety
/// Both paths are strings of C.
#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller passes strings of C.
    match fault("rename", || unsafe { CStr::from_ptr(to) }.to_string_lossy().into_owned()) {
        Some(error) => fail(error) as c_int,
        // SAFETY: the caller passes strings of C.
        None => unsafe { syscall(RENAME, from, to) as c_int },
    }
}
