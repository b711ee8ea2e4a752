//! The section "Unified Addressing".

use std::ffi::{c_int, c_uint};

use super::abi::exports;
use crate::driver::codes::{self, Code};
use crate::driver::objects::{DevicePtr, Kind};
use crate::driver::pointer::Pointer;
use crate::driver::state::DriverState;

exports! {
    Initialised: cuPointerGetAttribute => (value: Pointer<u8>, attribute: c_int, address: DevicePtr)
        |state| attribute_of(state, value, attribute, address);
    Initialised: cuPointerGetAttributes => (
        count: c_uint, attributes: Pointer<c_int>, values: Pointer<Pointer<u8>>, address: DevicePtr
    ) |state| {
        let attributes = attributes.slice(count as usize)?.iter().zip(values.slice(count as usize)?);
        for (attribute, value) in attributes {
            if attribute_of(state, *value, *attribute, address).is_err() {
                // An address outside of every allocation has zeros for attributes.
                value.set_all(&[0; 4])?;
            }
        }
        Ok(())
    };
    Initialised: cuPointerSetAttribute => (_value: Pointer<u8>, attribute: c_int, address: DevicePtr) |state| {
        state.allocation(address).ok_or(codes::INVALID_VALUE)?;
        if attribute == SYNC_MEMOPS { Ok(()) } else { Err(codes::INVALID_VALUE) }
    };
}

/// The attribute `CU_POINTER_ATTRIBUTE_SYNC_MEMOPS`.
const SYNC_MEMOPS: c_int = 6;

/// Writes the value of a `CUpointer_attribute`.
fn attribute_of(state: &DriverState, value: Pointer<u8>, attribute: c_int, address: DevicePtr) -> Result<(), Code> {
    let (start, found) = state.allocation(address).ok_or(codes::INVALID_VALUE)?;
    let pinned = matches!(found.kind, Kind::Pinned(_) | Kind::Registered(_));
    match attribute {
        // CU_POINTER_ATTRIBUTE_CONTEXT
        1 => value.cast().set(found.context),
        // CU_POINTER_ATTRIBUTE_MEMORY_TYPE: CU_MEMORYTYPE_HOST is 1, and CU_MEMORYTYPE_DEVICE is 2.
        2 => value.cast().set(if pinned { 1 } else { 2 }),
        // CU_POINTER_ATTRIBUTE_DEVICE_POINTER
        3 => value.cast().set(address),
        // CU_POINTER_ATTRIBUTE_HOST_POINTER
        4 if found.kind.is_host() => value.cast().set(address),
        // CU_POINTER_ATTRIBUTE_SYNC_MEMOPS
        SYNC_MEMOPS => value.cast().set(0),
        // CU_POINTER_ATTRIBUTE_BUFFER_ID and CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID
        7 | 20 => value.cast().set(found.id),
        // CU_POINTER_ATTRIBUTE_IS_MANAGED
        8 => value.set((found.kind == Kind::Managed).into()),
        // CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
        9 => value.cast().set(found.device),
        // CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE and
        // CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE
        10 | 15 | 21 => value.set(0),
        // CU_POINTER_ATTRIBUTE_RANGE_START_ADDR and CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR
        11 | 19 => value.cast().set(start),
        // CU_POINTER_ATTRIBUTE_RANGE_SIZE and CU_POINTER_ATTRIBUTE_MAPPING_SIZE
        12 | 18 => value.cast().set(found.size),
        // CU_POINTER_ATTRIBUTE_MAPPED
        13 => value.set(1),
        // CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES
        14 => value.cast().set(0u64),
        // CU_POINTER_ATTRIBUTE_ACCESS_FLAGS: CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE is 3.
        16 => value.cast().set(3),
        // CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE
        17 => value.cast().set(if let Kind::Pool(pool) = found.kind { pool } else { 0 }),
        _ => Err(codes::INVALID_VALUE),
    }
}
