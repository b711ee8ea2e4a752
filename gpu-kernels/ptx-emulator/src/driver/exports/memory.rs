//! Memory: section 6.13.

use std::ffi::c_void;

use super::super::codes::{self, Code};
use super::super::state::{Handle, Needs, State, call};
use super::{DevicePtr, bytes, export, give};

export! {
    Context fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) |state| {
        give(free, state.gpu.free_memory() as usize).and_then(|()| give(total, state.device.memory as usize))
    }
    Context fn cuMemAlloc_v2(address: *mut DevicePtr, size: usize) |state| {
        if size == 0 {
            return Err(codes::INVALID_VALUE);
        }
        let found = state.gpu.allocate(size).ok_or(codes::OUT_OF_MEMORY)?;
        give(address, found)
    }
    Context fn cuMemFree_v2(address: DevicePtr) |state| { free(state, address) }
    Context fn cuMemAllocAsync(address: *mut DevicePtr, size: usize, _stream: Handle) |state| {
        let found = state.gpu.allocate(size).ok_or(codes::OUT_OF_MEMORY)?;
        give(address, found)
    }
    Context fn cuMemFreeAsync(address: DevicePtr, _stream: Handle) |state| { free(state, address) }
    Context fn cuMemcpyHtoD_v2(to: DevicePtr, from: *const c_void, size: usize) |state| { upload(state, to, from, size) }
    Context fn cuMemcpyHtoDAsync_v2(to: DevicePtr, from: *const c_void, size: usize, _stream: Handle) |state| {
        upload(state, to, from, size)
    }
    Context fn cuMemcpyDtoH_v2(to: *mut c_void, from: DevicePtr, size: usize) |state| { download(state, to, from, size) }
    Context fn cuMemcpyDtoHAsync_v2(to: *mut c_void, from: DevicePtr, size: usize, _stream: Handle) |state| {
        download(state, to, from, size)
    }
    Context fn cuMemcpyDtoD_v2(to: DevicePtr, from: DevicePtr, size: usize) |state| { copy(state, to, from, size) }
    Context fn cuMemcpyDtoDAsync_v2(to: DevicePtr, from: DevicePtr, size: usize, _stream: Handle) |state| {
        copy(state, to, from, size)
    }
    Context fn cuMemsetD8_v2(to: DevicePtr, value: u8, count: usize) |state| { put(state, to, &[value].repeat(count)) }
    Context fn cuMemsetD8Async(to: DevicePtr, value: u8, count: usize, _stream: Handle) |state| {
        put(state, to, &[value].repeat(count))
    }
    Context fn cuMemsetD32_v2(to: DevicePtr, value: u32, count: usize) |state| {
        put(state, to, &value.to_le_bytes().repeat(count))
    }
    Context fn cuMemsetD32Async(to: DevicePtr, value: u32, count: usize, _stream: Handle) |state| {
        put(state, to, &value.to_le_bytes().repeat(count))
    }
}

fn free(state: &mut State, address: DevicePtr) -> Result<(), Code> {
    if address == 0 || state.gpu.free(address) { Ok(()) } else { Err(codes::INVALID_VALUE) }
}

fn put(state: &mut State, to: DevicePtr, bytes: &[u8]) -> Result<(), Code> {
    if bytes.is_empty() || state.gpu.write(to, bytes) { Ok(()) } else { Err(codes::INVALID_VALUE) }
}

fn upload(state: &mut State, to: DevicePtr, from: *const c_void, size: usize) -> Result<(), Code> {
    put(state, to, bytes(from, size)?)
}

fn download(state: &mut State, to: *mut c_void, from: DevicePtr, size: usize) -> Result<(), Code> {
    if size == 0 {
        return Ok(());
    }
    let found = state.gpu.read(from, size).filter(|_| !to.is_null()).ok_or(codes::INVALID_VALUE)?;
    // SAFETY: the API asks for `size` bytes that may be written, and `found` has as many.
    unsafe { std::ptr::copy_nonoverlapping(found.as_ptr(), to.cast(), size) };
    Ok(())
}

fn copy(state: &mut State, to: DevicePtr, from: DevicePtr, size: usize) -> Result<(), Code> {
    let found = state.gpu.read(from, size).ok_or(codes::INVALID_VALUE)?;
    put(state, to, &found)
}
