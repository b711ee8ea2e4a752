//! The section "Memory Management". An asynchronous function has completed when it returns.

use super::abi::{Pointer, exports};
use crate::driver::codes::{self, Code};
use crate::driver::state::{DriverState, Handle};

/// A `CUdeviceptr`.
pub type DevicePtr = u64;

exports! {
    Context: cuMemGetInfo_v2 => (free: Pointer<usize>, total: Pointer<usize>)
        |state| free.set(state.gpu.free_memory()).and_then(|()| total.set(state.config.device.memory as usize));
    Context: cuMemAlloc_v2, cuMemAllocAsync[_stream: Handle] => (address: Pointer<DevicePtr>, size: usize)
        |state| allocate(state, size).and_then(|found| address.set(found));
    Context: cuMemFree_v2, cuMemFreeAsync[_stream: Handle] => (address: DevicePtr)
        |state| check(address == 0 || state.gpu.free(address));
    Context: cuMemcpyHtoD_v2, cuMemcpyHtoDAsync_v2[_stream: Handle] => (to: DevicePtr, from: Pointer<u8>, size: usize)
        |state| check_range(state, to, size).and_then(|()| write(state, to, from.slice(size)?));
    Context: cuMemcpyDtoH_v2, cuMemcpyDtoHAsync_v2[_stream: Handle] => (to: Pointer<u8>, from: DevicePtr, size: usize)
        |state| to.set_all(&read(state, from, size)?);
    Context: cuMemcpyDtoD_v2, cuMemcpyDtoDAsync_v2[_stream: Handle] => (to: DevicePtr, from: DevicePtr, size: usize)
        |state| read(state, from, size).and_then(|bytes| write(state, to, &bytes));
    Context: cuMemsetD8_v2, cuMemsetD8Async[_stream: Handle] => (to: DevicePtr, value: u8, count: usize)
        |state| fill(state, to, &[value], count);
    Context: cuMemsetD32_v2, cuMemsetD32Async[_stream: Handle] => (to: DevicePtr, value: u32, count: usize)
        |state| fill(state, to, &value.to_le_bytes(), count);
}

fn check(valid: bool) -> Result<(), Code> {
    if valid { Ok(()) } else { Err(codes::INVALID_VALUE) }
}

fn allocate(state: &mut DriverState, size: usize) -> Result<DevicePtr, Code> {
    check(size > 0).and_then(|()| state.gpu.allocate(size).ok_or(codes::OUT_OF_MEMORY))
}

/// Checks that an allocation contains `size` bytes, before a buffer of this size is made or read.
fn check_range(state: &mut DriverState, address: DevicePtr, size: usize) -> Result<(), Code> {
    check(size == 0 || state.gpu.contains(address, size))
}

/// Writes `count` copies of a value.
fn fill(state: &mut DriverState, to: DevicePtr, value: &[u8], count: usize) -> Result<(), Code> {
    let size = count.checked_mul(value.len()).ok_or(codes::INVALID_VALUE)?;
    check_range(state, to, size)?;
    write(state, to, &value.repeat(count))
}

fn write(state: &mut DriverState, to: DevicePtr, bytes: &[u8]) -> Result<(), Code> {
    check(bytes.is_empty() || state.gpu.write(to, bytes))
}

fn read(state: &mut DriverState, from: DevicePtr, size: usize) -> Result<Vec<u8>, Code> {
    if size == 0 { Ok(Vec::new()) } else { state.gpu.read(from, size).ok_or(codes::INVALID_VALUE) }
}
