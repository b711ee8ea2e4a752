//! The section "Unified Addressing".

use std::ffi::{c_int, c_uint};

use super::abi::exports;
use crate::driver::codes::{self, Code};
use crate::driver::objects::{DevicePtr, Kind};
use crate::driver::pointer::Pointer;
use crate::driver::state::DriverState;

exports! {
    Initialised: cuPointerGetAttribute => (value: Pointer<u8>, attribute: c_int, address: DevicePtr) |state| {
        let size = size_of(attribute)?;
        value.set_all(&attribute_of(state, attribute, address)?.to_le_bytes()[..size])
    };
    Initialised: cuPointerGetAttributes => (
        count: c_uint, attributes: Pointer<c_int>, values: Pointer<Pointer<u8>>, address: DevicePtr
    ) |state| {
        let attributes = attributes.slice(count as usize)?.iter().zip(values.slice(count as usize)?);
        for (attribute, value) in attributes {
            // An address outside of every allocation has zeros for attributes.
            let found = attribute_of(state, *attribute, address).unwrap_or(0);
            value.set_all(&found.to_le_bytes()[..size_of(*attribute)?])?;
        }
        Ok(())
    };
    Initialised: cuPointerSetAttribute => (_value: Pointer<u8>, attribute: c_int, address: DevicePtr) |state| {
        state.allocation(address).ok_or(codes::INVALID_VALUE)?;
        if attribute == SYNC_MEMOPS { Ok(()) } else { Err(codes::INVALID_VALUE) }
    };
}

/// The numbers of the `CUpointer_attribute`s, without the prefix `CU_POINTER_ATTRIBUTE_`.
const CONTEXT: c_int = 1;
const MEMORY_TYPE: c_int = 2;
const DEVICE_POINTER: c_int = 3;
const HOST_POINTER: c_int = 4;
const SYNC_MEMOPS: c_int = 6;
const BUFFER_ID: c_int = 7;
const IS_MANAGED: c_int = 8;
const DEVICE_ORDINAL: c_int = 9;
const IS_LEGACY_CUDA_IPC_CAPABLE: c_int = 10;
const RANGE_START_ADDR: c_int = 11;
const RANGE_SIZE: c_int = 12;
const MAPPED: c_int = 13;
const ALLOWED_HANDLE_TYPES: c_int = 14;
const IS_GPU_DIRECT_RDMA_CAPABLE: c_int = 15;
const ACCESS_FLAGS: c_int = 16;
const MEMPOOL_HANDLE: c_int = 17;
const MAPPING_SIZE: c_int = 18;
const MAPPING_BASE_ADDR: c_int = 19;
const MEMORY_BLOCK_ID: c_int = 20;
const IS_HW_DECOMPRESS_CAPABLE: c_int = 21;

/// Returns the size in bytes of the value of a `CUpointer_attribute`.
fn size_of(attribute: c_int) -> Result<usize, Code> {
    match attribute {
        IS_MANAGED | IS_LEGACY_CUDA_IPC_CAPABLE | MAPPED | IS_GPU_DIRECT_RDMA_CAPABLE | IS_HW_DECOMPRESS_CAPABLE => {
            Ok(1)
        }
        MEMORY_TYPE | SYNC_MEMOPS | DEVICE_ORDINAL | ACCESS_FLAGS => Ok(4),
        CONTEXT..=IS_HW_DECOMPRESS_CAPABLE if attribute != 5 => Ok(8),
        _ => Err(codes::INVALID_VALUE),
    }
}

/// Returns the value of a `CUpointer_attribute`.
fn attribute_of(state: &DriverState, attribute: c_int, address: DevicePtr) -> Result<u64, Code> {
    let (start, found) = state.allocation(address).ok_or(codes::INVALID_VALUE)?;
    Ok(match attribute {
        CONTEXT => found.context as u64,
        // CU_MEMORYTYPE_HOST is 1, and CU_MEMORYTYPE_DEVICE is 2.
        MEMORY_TYPE if found.kind.is_pinned() => 1,
        MEMORY_TYPE => 2,
        DEVICE_POINTER => address,
        HOST_POINTER if found.kind.is_host() => address,
        BUFFER_ID | MEMORY_BLOCK_ID => found.id,
        IS_MANAGED => (found.kind == Kind::Managed).into(),
        DEVICE_ORDINAL => found.device as u64,
        RANGE_START_ADDR | MAPPING_BASE_ADDR => start,
        RANGE_SIZE | MAPPING_SIZE => found.size as u64,
        MAPPED => 1,
        // CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE is 3.
        ACCESS_FLAGS => 3,
        MEMPOOL_HANDLE => {
            if let Kind::Pool(pool) = found.kind {
                pool as u64
            } else {
                0
            }
        }
        SYNC_MEMOPS
        | ALLOWED_HANDLE_TYPES
        | IS_LEGACY_CUDA_IPC_CAPABLE
        | IS_GPU_DIRECT_RDMA_CAPABLE
        | IS_HW_DECOMPRESS_CAPABLE => 0,
        _ => return Err(codes::INVALID_VALUE),
    })
}
