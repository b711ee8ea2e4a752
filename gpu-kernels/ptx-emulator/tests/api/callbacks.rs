//! Functions of the program that the driver calls.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::add_and_words;
use crate::driver::Driver;

/// The function `cuFuncGetAttribute`, and the kernel to ask about.
static ATTRIBUTE: OnceLock<(extern "C" fn(*mut i32, i32, usize) -> i32, usize)> = OnceLock::new();

/// Returns the shared memory of a block, after a question to the driver.
extern "C" fn shared_of(threads: i32) -> usize {
    let (attribute, function) = ATTRIBUTE.get().unwrap();
    let mut most = 0;
    assert_eq!(attribute(&raw mut most, 0, *function), 0);
    if threads > most / 2 { 1 << 20 } else { 0 }
}

#[test]
fn the_shared_memory_of_a_block_size_can_depend_on_the_driver() {
    let driver = Driver::emulated();
    let (add, _) = add_and_words(&driver);
    // SAFETY: `cuFuncGetAttribute` has this type, and the library stays open.
    let attribute = unsafe { *driver.0.get("cuFuncGetAttribute").unwrap() };
    ATTRIBUTE.set((attribute, add)).unwrap();
    let (mut grid, mut block) = (0, 0);
    let best = call!(
        driver, "cuOccupancyMaxPotentialBlockSize", &raw mut grid => *mut i32, &raw mut block => *mut i32, add => usize,
        shared_of => extern "C" fn(i32) -> usize, 0 => usize, 0 => i32
    );
    assert_eq!((best, grid, block), (0, 264, 512));
}

static STATUS: AtomicI32 = AtomicI32::new(-1);

extern "C" fn note_status(_stream: usize, status: i32, _argument: usize) {
    STATUS.store(status, Ordering::SeqCst);
}

#[test]
fn a_callback_learns_the_fault_of_an_earlier_kernel() {
    let driver = Driver::emulated();
    let (add, words) = add_and_words(&driver);
    let (mut stream, mut context) = (0usize, 0usize);
    assert_eq!(call!(driver, "cuCtxCreate_v2", &raw mut context => *mut usize, 0 => u32, 0 => i32), 0);
    assert_eq!(call!(driver, "cuStreamCreate", &raw mut stream => *mut usize, 1 => u32), 0);
    assert_eq!(call!(driver, "cuStreamWaitValue32_v2", stream => usize, words => u64, 1 => u32, 1 => u32), 0);
    let (mut nowhere, mut n) = (8u64, 1u64);
    let mut params = [&raw mut nowhere, &raw mut n];
    let launched = call!(
        driver, "cuLaunchKernel", add => usize, 1 => u32, 1 => u32, 1 => u32, 32 => u32, 1 => u32, 1 => u32, 0 => u32,
        stream => usize, params.as_mut_ptr() => *mut *mut u64, std::ptr::null_mut() => *mut *mut u8
    );
    let added = call!(
        driver, "cuStreamAddCallback", stream => usize, note_status => extern "C" fn(usize, i32, usize), 0 => usize,
        0 => u32
    );
    assert_eq!((launched, added, STATUS.load(Ordering::SeqCst)), (0, 0, -1));
    assert_eq!(driver.write(words, &[1]), 0);
    assert_eq!(call!(driver, "cuStreamSynchronize", stream => usize), 700);
    assert_eq!(STATUS.load(Ordering::SeqCst), 700);
    assert_eq!(call!(driver, "cuCtxDestroy_v2", context => usize), 0);
}

/// The function `cuStreamSynchronize`, and the stream that waits for the function of the host.
static SYNCHRONISE: OnceLock<(extern "C" fn(usize) -> i32, usize)> = OnceLock::new();

static CODE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn wait_for_itself(_argument: usize) {
    let (synchronise, stream) = SYNCHRONISE.get().unwrap();
    CODE.store(synchronise(*stream), Ordering::SeqCst);
}

#[test]
fn a_function_of_the_host_cannot_wait_for_its_own_stream() {
    let driver = Driver::emulated();
    let mut stream = 0usize;
    assert_eq!(call!(driver, "cuStreamCreate", &raw mut stream => *mut usize, 1 => u32), 0);
    // SAFETY: `cuStreamSynchronize` has this type, and the library stays open.
    SYNCHRONISE.set((unsafe { *driver.0.get("cuStreamSynchronize").unwrap() }, stream)).unwrap();
    let launched = call!(
        driver, "cuLaunchHostFunc", stream => usize, wait_for_itself => extern "C" fn(usize), 0 => usize
    );
    assert_eq!((launched, call!(driver, "cuStreamSynchronize", stream => usize)), (0, 0));
    assert_eq!(CODE.load(Ordering::SeqCst), 800);
    assert_eq!(call!(driver, "cuStreamDestroy_v2", stream => usize), 0);
}
