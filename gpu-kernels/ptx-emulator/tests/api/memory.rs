//! Managed and pinned memory, copies of two and three dimensions, pools, and several devices.

use crate::driver::Driver;
use crate::{add_and_words, rerun};

#[test]
fn kernels_and_the_host_share_managed_and_pinned_and_registered_memory() {
    let driver = Driver::emulated();
    let (add, _) = add_and_words(&driver);
    let (mut managed, mut pinned, mut own) = (0u64, 0u64, vec![5u64; 32]);
    assert_eq!(call!(driver, "cuMemAllocManaged", &raw mut managed => *mut u64, 256 => usize, 1 => u32), 0);
    assert_eq!(call!(driver, "cuMemHostAlloc", &raw mut pinned => *mut u64, 256 => usize, 2 => u32), 0);
    let registered = own.as_mut_ptr().expose_provenance() as u64;
    assert_eq!(call!(driver, "cuMemHostRegister_v2", registered => u64, 256 => usize, 0 => u32), 0);
    for (address, first) in [(managed, 3), (pinned, 4), (registered, 5)] {
        let words: *mut u64 = std::ptr::with_exposed_provenance_mut(address as usize);
        // SAFETY: the driver has allocated 32 words that the host can access, or the test owns them.
        unsafe { words.write(first) };
        assert_eq!(driver.launch(add, 1, 32, 0, &mut [address, 10]), 0);
        assert_eq!(driver.synchronize(), 0);
        // SAFETY: as above.
        assert_eq!(unsafe { words.read() }, first + 10);
    }
    let kind = |address: u64| {
        let mut kind = 0u32;
        assert_eq!(call!(driver, "cuPointerGetAttribute", &raw mut kind => *mut u32, 2 => i32, address => u64), 0);
        kind
    };
    assert_eq!((kind(managed), kind(pinned + 8), kind(registered)), (2, 1, 1));
    assert_eq!(call!(driver, "cuMemHostUnregister", registered => u64), 0);
    assert_eq!(call!(driver, "cuMemHostUnregister", registered => u64), 713);
    assert_eq!((call!(driver, "cuMemFreeHost", pinned => u64), driver.free(managed)), (0, 0));
}

/// A `CUDA_MEMCPY2D`.
#[repr(C)]
struct Copy2 {
    from: [u64; 7],
    to: [u64; 7],
    width: usize,
    height: usize,
}

#[test]
fn a_copy_of_two_dimensions_takes_a_part_of_each_row() {
    let driver = Driver::emulated();
    let (mut pitched, mut pitch) = (0u64, 0usize);
    let allocated = call!(
        driver, "cuMemAllocPitch_v2", &raw mut pitched => *mut u64, &raw mut pitch => *mut usize, 40 => usize, 3 => usize,
        4 => u32
    );
    assert_eq!((allocated, pitch), (0, 512));
    let host: Vec<u8> = (0..60).collect();
    let address = host.as_ptr().expose_provenance() as u64;
    // The source is 3 rows of 20 bytes, of which the copy takes 7 bytes from byte 5 of the last 2 rows.
    let from = [5, 1, 1, address, 0, 0, 20];
    let copy = Copy2 { from, to: [2, 0, 2, 0, pitched, 0, pitch as u64], width: 7, height: 2 };
    assert_eq!(call!(driver, "cuMemcpy2D_v2", &raw const copy => *const Copy2), 0);
    let row = |i: u64| {
        let mut bytes = [0u8; 7];
        let at = pitched + i * pitch as u64 + 2;
        assert_eq!(call!(driver, "cuMemcpyDtoH_v2", bytes.as_mut_ptr() => *mut u8, at => u64, 7 => usize), 0);
        bytes
    };
    assert_eq!([row(0), row(1)], [[25, 26, 27, 28, 29, 30, 31], [45, 46, 47, 48, 49, 50, 51]]);
    assert_eq!(
        call!(driver, "cuMemsetD2D16_v2", pitched + 2 => u64, pitch => usize, 0x0201 => u16, 3 => usize, 2 => usize),
        0
    );
    assert_eq!(row(1), [1, 2, 1, 2, 1, 2, 51]);
    let beyond = Copy2 { to: [2, 2, 2, 0, pitched, 0, pitch as u64], ..copy };
    assert_eq!(call!(driver, "cuMemcpy2D_v2", &raw const beyond => *const Copy2), 1);
    assert_eq!(driver.free(pitched), 0);
}

#[test]
fn an_array_keeps_its_rows() {
    let driver = Driver::emulated();
    // A `CUDA_ARRAY3D_DESCRIPTOR` of 3 x 2 x 2 texels with one channel of `CU_AD_FORMAT_UNSIGNED_INT16`.
    let (descriptor, mut array) = ([3u64, 2, 2, 2 | (1 << 32), 0], 0usize);
    assert_eq!(call!(driver, "cuArray3DCreate_v2", &raw mut array => *mut usize, descriptor.as_ptr() => *const u64), 0);
    let (host, mut back) = ((0..12).collect::<Vec<u16>>(), [0u16; 4]);
    // A `CUDA_MEMCPY3D` has 11 words for each end, and the extent.
    let mut copy = [0u64; 25];
    (copy[4], copy[5]) = (1, host.as_ptr().expose_provenance() as u64);
    (copy[15], copy[18]) = (3, array as u64);
    copy[22..].copy_from_slice(&[6, 2, 2]);
    assert_eq!(call!(driver, "cuMemcpy3D_v2", copy.as_ptr() => *const u64), 0);
    let mut part = [0u64; 25];
    (part[0], part[1], part[2], part[4], part[7]) = (2, 0, 1, 3, array as u64);
    (part[15], part[16]) = (1, back.as_mut_ptr().expose_provenance() as u64);
    part[22..].copy_from_slice(&[4, 2, 1]);
    assert_eq!(call!(driver, "cuMemcpy3D_v2", part.as_ptr() => *const u64), 0);
    assert_eq!(back, [7, 8, 10, 11]);
    assert_eq!(call!(driver, "cuArrayDestroy", array => usize), 0);
}

#[test]
fn a_pool_counts_its_memory() {
    let driver = Driver::emulated();
    // The first members of a `CUmemPoolProps` for device 0.
    let (properties, mut pool, mut address) = ([1u32, 0, 1, 0, 0, 0, 0, 0], 0usize, 0u64);
    assert_eq!(call!(driver, "cuMemPoolCreate", &raw mut pool => *mut usize, properties.as_ptr() => *const u32), 0);
    let used = || {
        let mut used = 0u64;
        assert_eq!(call!(driver, "cuMemPoolGetAttribute", pool => usize, 7 => i32, &raw mut used => *mut u64), 0);
        used
    };
    let allocated = call!(
        driver, "cuMemAllocFromPoolAsync", &raw mut address => *mut u64, 100 => usize, pool => usize, 0 => usize
    );
    assert_eq!((allocated, used()), (0, 100));
    assert_eq!((call!(driver, "cuMemFreeAsync", address => u64, 0 => usize), used()), (0, 0));
    // A `CUmemLocation` of device 0.
    let (location, mut current, mut default) = ([1i32, 0], 0usize, 0usize);
    let pool_of = |name: &str, to: &mut usize| {
        // SAFETY: both functions have this type.
        let get = unsafe { driver.0.get::<extern "C" fn(*mut usize, *const i32, i32) -> i32>(name).unwrap() };
        assert_eq!(get(to, location.as_ptr(), 1), 0);
    };
    assert_eq!(call!(driver, "cuDeviceSetMemPool", 0 => i32, pool => usize), 0);
    pool_of("cuMemGetMemPool", &mut current);
    pool_of("cuMemGetDefaultMemPool", &mut default);
    assert!(current == pool && default != pool);
    assert_eq!(call!(driver, "cuMemPoolDestroy", pool => usize), 0);
}

#[test]
fn several_devices_have_memory_of_their_own() {
    rerun("memory::two_devices", "devices=2,memory=1M");
}

#[test]
#[ignore = "runs with two devices in `several_devices_have_memory_of_their_own`"]
fn two_devices() {
    let driver = Driver::emulated();
    let (mut count, mut can, mut second) = (0, 0, 0usize);
    assert_eq!(call!(driver, "cuDeviceGetCount", &raw mut count => *mut i32), 0);
    assert_eq!(call!(driver, "cuDeviceCanAccessPeer", &raw mut can => *mut i32, 0 => i32, 1 => i32), 0);
    assert_eq!((count, can), (2, 1));
    let here = driver.allocate(1 << 19).unwrap();
    assert_eq!(driver.allocate(1 << 20), Err(2));
    assert_eq!(call!(driver, "cuDevicePrimaryCtxRetain", &raw mut second => *mut usize, 1 => i32), 0);
    assert_eq!(call!(driver, "cuCtxSetCurrent", second => usize), 0);
    let there = driver.allocate(1 << 20).unwrap();
    assert_eq!(driver.write(here, &[7]), 0);
    assert_eq!(call!(driver, "cuMemcpyPeer", there => u64, second => usize, here => u64, 0 => usize, 8 => usize), 0);
    assert_eq!(driver.read(there, 1), Ok(vec![7]));
    assert_eq!(call!(driver, "cuDevicePrimaryCtxRelease_v2", 1 => i32), 0);
}

#[test]
fn a_kernel_fetches_from_a_texture_of_the_driver() {
    let driver = Driver::emulated();
    let (_, words) = add_and_words(&driver);
    assert_eq!(driver.write(words, &[5 | (6 << 32), 7 | (8 << 32)]), 0);
    let kernel = ".version 7.0\n.target sm_75\n.address_size 64\n.visible .entry fetch(.param .u64 t, .param .u64 to)\n{\n\
        .reg .b32 %r<6>; .reg .b64 %rd<4>;\nld.param.u64 %rd1, [t]; ld.param.u64 %rd2, [to]; mov.u32 %r1, %tid.x;\n\
        tex.1d.v4.u32.s32 {%r2, %r3, %r4, %r5}, [%rd1, {%r1}]; mul.wide.u32 %rd3, %r1, 8; add.u64 %rd2, %rd2, %rd3;\n\
        st.global.u32 [%rd2], %r2;\nret;\n}\n";
    let fetch = driver.function(driver.load(kernel).unwrap(), "fetch").unwrap();
    // A `CUDA_RESOURCE_DESC` of linear memory with four texels of one `CU_AD_FORMAT_UNSIGNED_INT32`, and a
    // `CUDA_TEXTURE_DESC` that reads integers.
    let (mut resource, mut sampling, mut texture) = ([0u64; 18], [0u64; 13], 0u64);
    resource[..4].copy_from_slice(&[2, words, 3 | (1 << 32), 16]);
    sampling[2] = 1;
    let created = call!(
        driver, "cuTexObjectCreate", &raw mut texture => *mut u64, resource.as_ptr() => *const u64,
        sampling.as_ptr() => *const u64, std::ptr::null() => *const u64
    );
    assert_eq!(created, 0);
    assert_eq!(driver.launch(fetch, 1, 6, 0, &mut [texture, words + 64]), 0);
    // A fetch beyond the end reads zero.
    assert_eq!(driver.read(words + 64, 6), Ok(vec![5, 6, 7, 8, 0, 0]));
    assert_eq!(call!(driver, "cuTexObjectDestroy", texture => u64), 0);
    assert_eq!(call!(driver, "cuTexObjectDestroy", texture => u64), 400);
}
