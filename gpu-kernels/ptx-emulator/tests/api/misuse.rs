//! Calls that programs get wrong, and values that no program passes on purpose. Each must end in an error code.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_void};
use std::process::{Command, Stdio};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::add_and_words;
use crate::driver::Driver;

unsafe extern "C" {
    fn mmap(address: *mut c_void, len: usize, protection: i32, flags: i32, file: i32, offset: i64) -> *mut c_void;
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn the_host_can_have_memory_wherever_the_system_places_it() {
    let driver = Driver::emulated();
    let (_, words) = add_and_words(&driver);
    // With 32 random bits in the addresses of mappings, as in Ubuntu 24.04, Linux places them from here to the stack.
    for place in [0x7000_0000_0000usize, 0x7080_0000_0000, 0x7400_0000_0000] {
        // SAFETY: the new pages (PROT_READ and PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS and MAP_FIXED_NOREPLACE) replace none.
        let page: *mut u64 =
            unsafe { mmap(std::ptr::with_exposed_provenance_mut(place), 4096, 3, 0x10_0022, -1, 0) }.cast();
        assert_eq!(page.expose_provenance(), place);
        // SAFETY: the page is mapped and no other thread knows it.
        unsafe { page.write(7) };
        assert_eq!(driver.write(words, &[0]), 0);
        assert_eq!(call!(driver, "cuMemcpyHtoD_v2", words => u64, page.cast() => *const c_void, 8 => usize), 0);
        assert_eq!(driver.read(words, 1), Ok(vec![7]), "a page at {place:#x}");
    }
}

/// A value of a thread, which frees memory when the thread ends and stores the code.
struct FreedAtTheEnd {
    free: extern "C" fn(u64) -> i32,
    address: u64,
}

static CODE: AtomicI32 = AtomicI32::new(-1);

impl Drop for FreedAtTheEnd {
    fn drop(&mut self) {
        CODE.store((self.free)(self.address), Ordering::SeqCst);
    }
}

thread_local! {
    static LAST: RefCell<Option<FreedAtTheEnd>> = const { RefCell::new(None) };
}

#[test]
fn the_destructors_of_a_thread_can_free_memory() {
    let run = || {
        // The destructors run in reverse order, so that of `LAST` after those of the driver's own values.
        LAST.with_borrow(|_| ());
        let driver = Driver::emulated();
        // SAFETY: `cuMemFree_v2` has this type, and the library stays open.
        let free = unsafe { *driver.0.get::<extern "C" fn(u64) -> i32>("cuMemFree_v2").unwrap() };
        LAST.set(Some(FreedAtTheEnd { free, address: driver.allocate(8).unwrap() }));
        std::mem::forget(driver);
    };
    std::thread::spawn(run).join().unwrap();
    assert_eq!(CODE.load(Ordering::SeqCst), 0);
}

#[test]
fn an_image_with_a_wrong_size_or_address_is_refused() {
    let driver = Driver::emulated();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("truncated.fatbin");
    let name = CString::new(path.to_str().unwrap()).unwrap();
    let mut module = 0usize;
    // The header of a fat binary promises 1 GiB, and that of a wrapper gives an address, which means nothing in a file.
    let fat = [&[0x50u8, 0xed, 0x55, 0xba, 1, 0, 16, 0], &(1u64 << 29).to_le_bytes()[..]].concat();
    let wrapper = [&[0xb1u8, 0x43, 0x62, 0x46, 1, 0, 0, 0], &8u64.to_le_bytes()[..]].concat();
    for image in [fat, wrapper] {
        std::fs::write(&path, image).unwrap();
        let loaded = call!(driver, "cuModuleLoad", &raw mut module => *mut usize, name.as_ptr() => *const c_char);
        assert_eq!(loaded, 200);
    }
    let mut itself = [0x1_4662_43b1u64, 0];
    itself[1] = itself.as_ptr().expose_provenance() as u64;
    assert_eq!(call!(driver, "cuModuleLoadData", &raw mut module => *mut usize, itself.as_ptr() => *const u64), 200);
}

#[test]
fn an_address_that_the_driver_does_not_know_is_no_device_memory() {
    let driver = Driver::emulated();
    let (_, words) = add_and_words(&driver);
    let mut host = [7u64; 2];
    let there = host.as_mut_ptr().expose_provenance() as u64;
    // The destination and the source are swapped, or the address means nothing.
    for (to, from) in [(there, words), (8, there)] {
        assert_eq!(call!(driver, "cuMemcpyHtoD_v2", to => u64, from => u64, 8 => usize), 1);
    }
    for (to, from) in [(words, there), (there, 8)] {
        assert_eq!(call!(driver, "cuMemcpyDtoH_v2", to => u64, from => u64, 8 => usize), 1);
    }
    assert_eq!(call!(driver, "cuMemcpyDtoD_v2", words => u64, there => u64, 8 => usize), 1);
    assert_eq!(call!(driver, "cuMemcpy", words => u64, there => u64, 8 => usize), 0);
    assert_eq!((driver.read(words, 1), host), (Ok(vec![7]), [7, 7]));
}

#[test]
fn pitches_and_offsets_that_wrap_around_are_refused() {
    let driver = Driver::emulated();
    let (_, words) = add_and_words(&driver);
    let host = [0u8; 64];
    let there = host.as_ptr().expose_provenance() as u64;
    // Row 0 and row 2 are the same bytes of the allocation, and row 1 is nowhere.
    let half = 1u64 << 63;
    let copy = [0, 0, 1, there, 0, 0, 8, 0, 0, 2, 0, words, 0, half, 8, 3];
    assert_eq!(call!(driver, "cuMemcpy2D_v2", copy.as_ptr() => *const u64), 1);
    let row = [0, 0, 1, there, 0, 0, 8, 0, half + 1, 2, 0, words, 0, 2, 8, 1];
    assert_eq!(call!(driver, "cuMemcpy2D_v2", row.as_ptr() => *const u64), 1);
    let filled = call!(
        driver, "cuMemsetD2D8_v2", words => u64, half as usize => usize, 1 => u8, 8 => usize, 3 => usize
    );
    assert_eq!(filled, 1);
    // A `CUDA_ARRAY_DESCRIPTOR` of 16 texels with one channel of `CU_AD_FORMAT_UNSIGNED_INT8`.
    let (descriptor, mut array) = ([16u64, 0, 1 | (1 << 32)], 0usize);
    assert_eq!(call!(driver, "cuArrayCreate_v2", &raw mut array => *mut usize, descriptor.as_ptr() => *const u64), 0);
    for (offset, code) in [(8, 0), (9, 1), (usize::MAX, 1)] {
        let copied = call!(
            driver, "cuMemcpyHtoA_v2", array => usize, offset => usize, host.as_ptr() => *const u8, 8 => usize
        );
        assert_eq!(copied, code, "offset {offset}");
    }
    assert_eq!(driver.read(words, 1), Ok(vec![0]));
}

#[test]
fn null_pointers_and_sizes_beyond_memory_are_refused() {
    let driver = Driver::emulated();
    let host = [0u64; 2];
    let there = host.as_ptr().expose_provenance() as u64;
    for size in [usize::MAX, isize::MAX as usize + 1] {
        assert_eq!(call!(driver, "cuMemHostRegister_v2", there => u64, size => usize, 0 => u32), 1);
        assert_eq!(call!(driver, "cuMemcpy", there => u64, there => u64, size => usize), 1);
        assert_eq!(driver.allocate(size), Err(2));
    }
    let (mut module, options) = (0usize, [5i32, 6]);
    let loaded = call!(
        driver, "cuModuleLoadDataEx", &raw mut module => *mut usize, c"x".as_ptr() => *const c_char, 2 => u32,
        options.as_ptr() => *const i32, null_mut() => *mut *mut c_void
    );
    assert_eq!(loaded, 1);
    let (mut before, mut after, mut total) = (0usize, 0usize, 0usize);
    assert_eq!(call!(driver, "cuMemGetInfo_v2", &raw mut before => *mut usize, &raw mut total => *mut usize), 0);
    assert_eq!(call!(driver, "cuMemAlloc_v2", null_mut() => *mut u64, total / 2 => usize), 1);
    assert_eq!(call!(driver, "cuMemAllocAsync", null_mut() => *mut u64, total / 2 => usize, 0 => usize), 1);
    assert_eq!(call!(driver, "cuMemGetInfo_v2", &raw mut after => *mut usize, &raw mut total => *mut usize), 0);
    assert!(after > total / 2, "{after} of {total} bytes are free, before {before}");
}

#[test]
fn a_capture_follows_only_nodes_of_its_graph() {
    let driver = Driver::emulated();
    let (mut stream, mut graph) = (0usize, 0usize);
    assert_eq!(call!(driver, "cuStreamCreate", &raw mut stream => *mut usize, 1 => u32), 0);
    assert_eq!(call!(driver, "cuGraphCreate", &raw mut graph => *mut usize, 0 => u32), 0);
    let nodes = [77usize];
    let begun = call!(
        driver, "cuStreamBeginCaptureToGraph", stream => usize, graph => usize, nodes.as_ptr() => *const usize,
        null_mut() => *mut u8, 1 => usize, 0 => i32
    );
    assert_eq!(begun, 1);
    assert_eq!(call!(driver, "cuStreamBeginCapture_v2", stream => usize, 0 => i32), 0);
    let updated = call!(
        driver, "cuStreamUpdateCaptureDependencies", stream => usize, nodes.as_ptr() => *const usize, 1 => usize,
        0 => u32
    );
    assert_eq!(updated, 1);
    let (mut status, mut id, mut captured) = (0, 0u64, 0usize);
    let info = call!(
        driver, "cuStreamGetCaptureInfo_v2", stream => usize, &raw mut status => *mut i32, &raw mut id => *mut u64,
        &raw mut captured => *mut usize, null_mut() => *mut usize, null_mut() => *mut usize
    );
    assert_eq!((info, status), (0, 1));
    assert_eq!(call!(driver, "cuGraphDestroy", captured => usize), 1, "a stream still fills the graph");
    assert_eq!(call!(driver, "cuStreamEndCapture", stream => usize, &raw mut graph => *mut usize), 0);
    assert_eq!(call!(driver, "cuGraphDestroy", graph => usize), 0);
}

#[test]
fn pinned_memory_is_not_freed_as_memory_of_the_device() {
    let driver = Driver::emulated();
    let mut pinned = 0u64;
    assert_eq!(call!(driver, "cuMemHostAlloc", &raw mut pinned => *mut u64, 64 => usize, 0 => u32), 0);
    assert_eq!((driver.free(pinned), call!(driver, "cuMemFreeAsync", pinned => u64, 0 => usize)), (1, 1));
    assert_eq!(call!(driver, "cuMemFreeHost", pinned => u64), 0);
    assert_eq!(call!(driver, "cuMemFreeHost", pinned => u64), 1);
}

#[test]
fn an_address_without_an_allocation_has_zeros_for_attributes() {
    let driver = Driver::emulated();
    // `CU_POINTER_ATTRIBUTE_CONTEXT`, which has eight bytes, `MEMORY_TYPE`, which has four, and `IS_MANAGED`, a boolean.
    let (attributes, mut found) = ([1i32, 2, 8], [u64::MAX; 3]);
    let places: Vec<_> = found.iter_mut().map(|place| &raw mut *place).collect();
    let code = call!(
        driver, "cuPointerGetAttributes", 3 => u32, attributes.as_ptr() => *const i32, places.as_ptr() => *const *mut u64,
        8 => u64
    );
    assert_eq!((code, found), (0, [0, u64::MAX << 32, u64::MAX << 8]));
}

#[test]
fn an_array_ends_with_its_context() {
    let driver = Driver::emulated();
    let (mut context, mut array) = (0usize, 0usize);
    assert_eq!(call!(driver, "cuCtxCreate_v2", &raw mut context => *mut usize, 0 => u32, 0 => i32), 0);
    // A `CUDA_ARRAY_DESCRIPTOR` of 16 texels with one channel of `CU_AD_FORMAT_UNSIGNED_INT8`.
    let descriptor = [16u64, 0, 1 | (1 << 32)];
    assert_eq!(call!(driver, "cuArrayCreate_v2", &raw mut array => *mut usize, descriptor.as_ptr() => *const u64), 0);
    assert_eq!(call!(driver, "cuCtxDestroy_v2", context => usize), 0);
    assert_eq!(call!(driver, "cuArrayDestroy", array => usize), 400);
}

#[test]
fn a_device_is_found_by_its_whole_address_alone() {
    let driver = Driver::emulated();
    let find = |text: &CStr| {
        let mut device = -1;
        call!(driver, "cuDeviceGetByPCIBusId", &raw mut device => *mut i32, text.as_ptr() => *const c_char)
    };
    assert_eq!([find(c"0000:01:00.0"), find(c"0000:01:00"), find(c"01:00.0"), find(c"0000:01:00.0x")], [0, 0, 0, 101]);
    assert_eq!([find(c""), find(c"0")], [101, 101]);
}

#[test]
fn a_thread_can_close_the_driver_before_it_ends() {
    let run = || {
        let driver = Driver::emulated();
        // The default stream of the thread is a value of the thread.
        assert_eq!(call!(driver, "cuStreamSynchronize", 2 => usize), 0);
    };
    std::thread::spawn(run).join().unwrap();
}

/// Returns a command that runs an ignored test of this executable alone.
fn child(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", test]).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

#[test]
fn an_error_in_a_module_is_printed_unless_the_caller_has_a_log() {
    let output = child("misuse::without_a_log").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("emulator: ptx input, line 1: expected a directive"), "{text}");
}

#[test]
fn a_closed_stderr_does_not_change_the_result_of_a_call() {
    let mut child = child("misuse::without_a_log").spawn().unwrap();
    drop(child.stderr.take());
    assert!(child.wait().unwrap().success());
}

#[test]
#[ignore = "runs in a process of its own in two tests"]
fn without_a_log() {
    let driver = Driver::emulated();
    let mut module = 0usize;
    // The parent has time to close its end.
    std::thread::sleep(std::time::Duration::from_millis(200));
    for _ in 0..2 {
        let loaded = call!(
            driver, "cuModuleLoadDataEx", &raw mut module => *mut usize, c"x".as_ptr() => *const c_char, 0 => u32,
            null_mut() => *mut i32, null_mut() => *mut *mut c_void
        );
        assert_eq!(loaded, 218);
        assert_eq!(call!(driver, "cuMulticastCreate", null_mut() => *mut u64, null_mut() => *mut u8), 801);
    }
}

#[test]
fn a_wait_without_an_end_names_its_call() {
    let output = child("misuse::waits_forever").env("PTX_EMULATOR", "seconds=0").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("emulator: cuStreamSynchronize has waited 0 s"), "{text}");
}

#[test]
#[ignore = "runs with a short watchdog in `a_wait_without_an_end_names_its_call`"]
fn waits_forever() {
    let driver = Driver::emulated();
    let words = driver.allocate(8).unwrap();
    assert_eq!(call!(driver, "cuStreamWaitValue32_v2", 2 => usize, words => u64, 1 => u32, 1 => u32), 0);
    assert_eq!(call!(driver, "cuStreamSynchronize", 2 => usize), 702);
}
