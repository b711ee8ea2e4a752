//! The allocations of the section "Memory Management".

use std::ffi::{c_int, c_uint};

use super::abi::{check, exports};
use crate::driver::codes::{self, Code};
use crate::driver::objects::{DevicePtr, Handle, Kind, Ordinal};
use crate::driver::operation::Operation;
use crate::driver::pointer::Pointer;
use crate::driver::state::DriverState;

/// The alignment in bytes of the rows of `cuMemAllocPitch`.
const PITCH: usize = 512;

/// A `CUmemLocation`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Location {
    /// The kind of the location, 1 for a device.
    pub kind: c_int,
    pub id: c_int,
}

exports! {
    Context: cuMemGetInfo_v2 => (free: Pointer<usize>, total: Pointer<usize>) |state| {
        let device = state.device()? as Ordinal;
        free.set(state.free_memory(device)).and_then(|()| total.set(state.config.device.memory as usize))
    };
    Context: cuMemAlloc_v2 => (address: Pointer<DevicePtr>, size: usize)
        |state| allocate(state, address, size, Kind::Device);
    Context: cuMemAllocPitch_v2 => (
        address: Pointer<DevicePtr>, pitch: Pointer<usize>, width: usize, height: usize, element: c_uint
    ) |state| {
        check([4, 8, 16].contains(&element))?;
        let row = width.checked_next_multiple_of(PITCH).ok_or(codes::INVALID_VALUE)?;
        let size = row.checked_mul(height).ok_or(codes::INVALID_VALUE)?;
        pitch.set(row).and_then(|()| allocate(state, address, size, Kind::Device))
    };
    Context: cuMemFree_v2 => (address: DevicePtr) |state| {
        if address == 0 {
            return Ok(());
        }
        let found = state.allocations.get(&address).ok_or(codes::INVALID_VALUE)?;
        check(!found.kind.is_pinned())?;
        // Memory is freed after all operations that may use it.
        for stream in state.streams.keys().copied().collect::<Vec<_>>() {
            if state.streams[&stream].capture == 0 {
                state.finish(state.end(stream))?;
            }
        }
        state.release(address)
    };
    Context: cuMemAllocManaged => (address: Pointer<DevicePtr>, size: usize, flags: c_uint) |state| {
        check(flags == 1 || flags == 2)?;
        allocate(state, address, size, Kind::Managed)
    };
    Context: cuMemAllocHost_v2 => (address: Pointer<DevicePtr>, size: usize)
        |state| allocate(state, address, size, Kind::Pinned(0));
    Context: cuMemHostAlloc => (address: Pointer<DevicePtr>, size: usize, flags: c_uint)
        |state| allocate(state, address, size, Kind::Pinned(flags));
    Context: cuMemFreeHost => (address: DevicePtr) |state| {
        check(state.allocations.get(&address).is_some_and(|found| matches!(found.kind, Kind::Pinned(_))))?;
        state.run_now(&Operation::Free(address))
    };
    Context: cuMemHostRegister_v2 => (address: DevicePtr, size: usize, flags: c_uint)
        |state| state.register_memory(address, size, flags);
    Context: cuMemHostUnregister => (address: DevicePtr) |state| {
        let found = state.allocations.get(&address).filter(|found| matches!(found.kind, Kind::Registered(_)));
        found.ok_or(codes::HOST_MEMORY_NOT_REGISTERED)?;
        state.run_now(&Operation::Free(address))
    };
    Context: cuMemHostGetDevicePointer_v2 => (to: Pointer<DevicePtr>, address: DevicePtr, _flags: c_uint) |state| {
        host_flags(state, address)?;
        to.set(address)
    };
    Context: cuMemHostGetFlags => (flags: Pointer<c_uint>, address: DevicePtr)
        |state| flags.set(host_flags(state, address)?);
    Context: cuMemGetAddressRange_v2 => (
        start: Pointer<DevicePtr>, size: Pointer<usize>, address: DevicePtr
    ) |state| {
        let (first, found) = state.allocation(address).ok_or(codes::NOT_FOUND)?;
        start.set_if_wanted(first);
        size.set_if_wanted(found.size);
        Ok(())
    };
    // Kernels and the host access managed memory at one place, so hints have no effect.
    Context: cuMemAdvise => (address: DevicePtr, size: usize, _advice: c_int, _device: c_int)
        |state| inside(state, address, size);
    Context: cuMemAdvise_v2 => (address: DevicePtr, size: usize, _advice: c_int, _location: Location)
        |state| inside(state, address, size);
    Context: cuMemPrefetchAsync + "_ptsz" => (address: DevicePtr, size: usize, _device: c_int, stream: Handle)
        |state| state.stream(stream).and_then(|_| inside(state, address, size));
    Context: cuMemPrefetchAsync_v2 + "_ptsz" => (
        address: DevicePtr, size: usize, _location: Location, _flags: c_uint, stream: Handle
    ) |state| state.stream(stream).and_then(|_| inside(state, address, size));
    Context: cuStreamAttachMemAsync + "_ptsz" => (stream: Handle, address: DevicePtr, _size: usize, _flags: c_uint)
        |state| state.stream(stream).and_then(|_| inside(state, address, 0));
}

/// Allocates memory and writes its address, for which there must be a place.
pub fn allocate(state: &mut DriverState, address: Pointer<DevicePtr>, size: usize, kind: Kind) -> Result<(), Code> {
    check(!address.is_null())?;
    address.set(state.allocate(size, kind)?)
}

/// Returns the flags of the host memory that contains an address.
fn host_flags(state: &DriverState, address: DevicePtr) -> Result<c_uint, Code> {
    match state.allocation(address) {
        Some((_, found)) => match found.kind {
            Kind::Pinned(flags) | Kind::Registered(flags) => Ok(flags),
            _ => Err(codes::INVALID_VALUE),
        },
        None => Err(codes::INVALID_VALUE),
    }
}

/// Checks that an allocation contains a range.
fn inside(state: &DriverState, address: DevicePtr, size: usize) -> Result<(), Code> {
    let (start, found) = state.allocation(address).ok_or(codes::INVALID_VALUE)?;
    check((address - start).checked_add(size as u64).is_some_and(|end| end <= found.size as u64))
}
