//! Two kernels in two parts.
#![no_std]
#![feature(abi_ptx)]

/// Doubles each thread's value.
///
/// # Safety
/// `values` has a value for each thread of a block.
#[cfg(not(part = "second"))]
#[unsafe(no_mangle)]
pub unsafe extern "ptx-kernel" fn double(values: *mut f32) {
    // SAFETY: by the contract of the kernel, `values` has a value for this thread.
    unsafe { *values.add(device::thread_index()) *= 2.0 }
}

/// Copies each thread's value to shared memory.
///
/// # Safety
/// `values` and shared memory have a value for each thread of a block.
#[cfg(not(part = "first"))]
#[unsafe(no_mangle)]
pub unsafe extern "ptx-kernel" fn share(values: *const f32) {
    // SAFETY: by the contract of the kernel, `values` and shared memory have a value for this thread.
    unsafe { device::store_shared(*values.add(device::thread_index())) }
}
