//! The order of operations within and between streams.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::driver::Driver;
use crate::{add_and_words, rerun};

/// Returns a new stream that does not wait for the default stream.
fn stream(driver: &Driver) -> usize {
    let mut stream = 0usize;
    assert_eq!(call!(driver, "cuStreamCreate", &raw mut stream => *mut usize, 1 => u32), 0);
    stream
}

fn event(driver: &Driver) -> usize {
    let mut event = 0usize;
    assert_eq!(call!(driver, "cuEventCreate", &raw mut event => *mut usize, 0 => u32), 0);
    event
}

static CALLS: AtomicU64 = AtomicU64::new(0);

extern "C" fn count_call(amount: usize) {
    CALLS.fetch_add(amount as u64, Ordering::SeqCst);
}

#[test]
fn a_stream_waits_for_a_value_and_another_one_for_its_event() {
    let driver = Driver::emulated();
    let (_, words) = add_and_words(&driver);
    let (first, second, event) = (stream(&driver), stream(&driver), event(&driver));
    assert_eq!(call!(driver, "cuStreamWaitValue32_v2", first => usize, words => u64, 3 => u32, 1 => u32), 0);
    assert_eq!(call!(driver, "cuLaunchHostFunc", first => usize, count_call => extern "C" fn(usize), 5 => usize), 0);
    assert_eq!(call!(driver, "cuEventRecord", event => usize, first => usize), 0);
    assert_eq!(call!(driver, "cuStreamWaitEvent", second => usize, event => usize, 0 => u32), 0);
    assert_eq!(call!(driver, "cuMemsetD8Async", words + 8 => u64, 1 => u8, 8 => usize, second => usize), 0);
    assert_eq!(call!(driver, "cuStreamQuery", second => usize), 600);
    assert_eq!((driver.read(words + 8, 1), CALLS.load(Ordering::SeqCst)), (Ok(vec![0]), 0));
    assert_eq!(driver.write(words, &[3]), 0);
    assert_eq!(call!(driver, "cuStreamSynchronize", second => usize), 0);
    assert_eq!((driver.read(words + 8, 1), CALLS.load(Ordering::SeqCst)), (Ok(vec![0x0101_0101_0101_0101]), 5));
    let mut time = -1f32;
    assert_eq!(call!(driver, "cuEventElapsedTime", &raw mut time => *mut f32, event => usize, event => usize), 0);
    assert!(time.abs() < f32::EPSILON, "an event is at no distance from itself, got {time}");
    for stream in [first, second] {
        assert_eq!(call!(driver, "cuStreamDestroy_v2", stream => usize), 0);
    }
}

#[test]
fn late_streams_show_a_missing_wait() {
    rerun("streams::late", "streams=late,seconds=5");
}

#[test]
#[ignore = "runs with late streams in `late_streams_show_a_missing_wait`"]
fn late() {
    let driver = Driver::emulated();
    let (add, words) = add_and_words(&driver);
    let other = stream(&driver);
    assert_eq!(driver.launch(add, 1, 32, 0, &mut [words, 2]), 0);
    assert_eq!(call!(driver, "cuMemsetD8Async", words => u64, 0xff => u8, 8 => usize, other => usize), 0);
    // A copy follows the default stream, but not the other one.
    assert_eq!(driver.read(words, 1), Ok(vec![2]));
    assert_eq!(driver.synchronize(), 0);
    assert_eq!(driver.read(words, 1), Ok(vec![u64::MAX]));
    // A stream can wait for a value that another stream writes, although the program waits for the first one alone.
    assert_eq!(call!(driver, "cuStreamWaitValue32_v2", other => usize, words => u64, 5 => u32, 1 => u32), 0);
    let writer = stream(&driver);
    assert_eq!(call!(driver, "cuStreamWriteValue32_v2", writer => usize, words => u64, 5 => u32, 0 => u32), 0);
    assert_eq!(call!(driver, "cuStreamSynchronize", other => usize), 0);
    // A fault appears when the program waits for the launch, or asks whether it has ended.
    let launched = event(&driver);
    assert_eq!(driver.launch(add, 1, 32, 0, &mut [1 << 20, 2]), 0);
    assert_eq!(call!(driver, "cuEventRecord", launched => usize, 0 => usize), 0);
    assert_eq!(call!(driver, "cuEventQuery", launched => usize), 700);
    assert_eq!(driver.read(words, 1), Err(700));
}
