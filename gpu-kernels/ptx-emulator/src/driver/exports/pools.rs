//! The section "Stream Ordered Memory Allocator".

use std::ffi::c_int;

use super::abi::{check, exports};
use super::memory::{self, Location};
use crate::driver::codes::{self, Code};
use crate::driver::objects::{DevicePtr, Handle, Kind, Ordinal, Pool};
use crate::driver::operation::Operation;
use crate::driver::pointer::Pointer;
use crate::driver::state::DriverState;

/// The kind of a location on a device (`CU_MEM_LOCATION_TYPE_DEVICE`).
const DEVICE: c_int = 1;

/// The first members of a `CUmemPoolProps`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct PoolProperties {
    allocation: c_int,
    handles: c_int,
    location: Location,
}

exports! {
    Context: cuMemAllocAsync + "_ptsz" => (address: Pointer<DevicePtr>, size: usize, stream: Handle) |state| {
        let stream = state.stream(stream)?;
        let device = state.contexts[&state.streams[&stream].context].device as usize;
        let pool = state.device_pools[device].1;
        allocate(state, address, size, pool, stream)
    };
    Context: cuMemAllocFromPoolAsync + "_ptsz" => (
        address: Pointer<DevicePtr>, size: usize, pool: Handle, stream: Handle
    ) |state| state.stream(stream).and_then(|stream| allocate(state, address, size, pool, stream));
    Context: cuMemFreeAsync + "_ptsz" => (address: DevicePtr, stream: Handle) |state| {
        if address == 0 {
            return Ok(());
        }
        check(state.allocations.get(&address).is_some_and(|found| !found.kind.is_pinned()))?;
        state.submit(stream, Operation::Free(address))
    };
    Initialised: cuDeviceGetDefaultMemPool => (pool: Pointer<Handle>, device: Ordinal)
        |state| state.check_device(device).and_then(|device| pool.set(state.device_pools[device].0));
    Initialised: cuDeviceGetMemPool => (pool: Pointer<Handle>, device: Ordinal)
        |state| state.check_device(device).and_then(|device| pool.set(state.device_pools[device].1));
    Initialised: cuDeviceSetMemPool => (device: Ordinal, pool: Handle) |state| {
        let device = state.check_device(device)?;
        check(known(state, pool)?.device == device as Ordinal)?;
        state.device_pools[device].1 = pool;
        Ok(())
    };
    Initialised: cuMemGetDefaultMemPool => (pool: Pointer<Handle>, location: Pointer<Location>, _kind: c_int)
        |state| pool.set(pools_at(state, location)?.0);
    Initialised: cuMemGetMemPool => (pool: Pointer<Handle>, location: Pointer<Location>, _kind: c_int)
        |state| pool.set(pools_at(state, location)?.1);
    Initialised: cuMemPoolCreate => (pool: Pointer<Handle>, properties: Pointer<PoolProperties>) |state| {
        let location = properties.get()?.location;
        if location.kind != DEVICE {
            return Err(codes::NOT_SUPPORTED);
        }
        state.check_device(location.id)?;
        let new = Pool { device: location.id, ..Pool::default() };
        pool.set(state.register(|state, handle| state.pools.insert(handle, new)))
    };
    Initialised: cuMemPoolDestroy => (pool: Handle) |state| {
        known(state, pool)?;
        check(state.device_pools.iter().all(|(default, _)| *default != pool))?;
        for (default, current) in &mut state.device_pools {
            if *current == pool {
                *current = *default;
            }
        }
        state.pools.remove(&pool);
        Ok(())
    };
    // Freed memory returns to the device at once, so there is nothing to trim.
    Initialised: cuMemPoolTrimTo => (pool: Handle, _keep: usize) |state| known(state, pool).map(|_| ());
    Initialised: cuMemPoolGetAttribute => (pool: Handle, attribute: c_int, value: Pointer<u8>) |state| {
        let pool = known(state, pool)?;
        let set = pool.attributes.get(&attribute).copied();
        match attribute {
            REUSE_FIRST..=REUSE_LAST => value.cast().set(set.unwrap_or(1) as c_int),
            RELEASE_THRESHOLD => value.cast().set(set.unwrap_or(0)),
            RESERVED | USED => value.cast().set(pool.used),
            RESERVED_MOST | USED_MOST => value.cast().set(pool.most_used),
            _ => Err(codes::INVALID_VALUE),
        }
    };
    Initialised: cuMemPoolSetAttribute => (pool: Handle, attribute: c_int, value: Pointer<u8>) |state| {
        known(state, pool)?;
        let pool = state.pools.get_mut(&pool).expect("the pool was just looked up");
        let wanted = match attribute {
            REUSE_FIRST..=REUSE_LAST => value.cast::<c_int>().get()? as u64,
            RELEASE_THRESHOLD => value.cast().get()?,
            RESERVED_MOST | USED_MOST => {
                check(value.cast::<u64>().get()? == 0)?;
                pool.most_used = pool.used;
                return Ok(());
            }
            _ => return Err(codes::INVALID_VALUE),
        };
        pool.attributes.insert(attribute, wanted);
        Ok(())
    };
    // All devices can access all pools.
    Initialised: cuMemPoolSetAccess => (pool: Handle, _access: Pointer<u8>, _count: usize)
        |state| known(state, pool).map(|_| ());
    Initialised: cuMemPoolGetAccess => (flags: Pointer<c_int>, pool: Handle, _location: Pointer<Location>)
        |state| known(state, pool).and_then(|_| flags.set(READ_WRITE));
    Initialised: cuDeviceGraphMemTrim => (device: Ordinal) |state| state.check_device(device).map(|_| ());
}

/// The numbers of the `CUmemPool_attribute`s, without the prefix `CU_MEMPOOL_ATTR_`.
const REUSE_FIRST: c_int = 1;
const REUSE_LAST: c_int = 3;
const RELEASE_THRESHOLD: c_int = 4;
const RESERVED: c_int = 5;
const RESERVED_MOST: c_int = 6;
const USED: c_int = 7;
const USED_MOST: c_int = 8;

/// The access to memory for reads and writes (`CU_MEM_ACCESS_FLAGS_PROT_READWRITE`).
const READ_WRITE: c_int = 3;

/// Returns the default pool and the current pool of a location, which must be a device.
fn pools_at(state: &DriverState, location: Pointer<Location>) -> Result<(Handle, Handle), Code> {
    let location = location.get()?;
    check(location.kind == DEVICE)?;
    state.check_device(location.id).map(|device| state.device_pools[device])
}

fn known(state: &DriverState, pool: Handle) -> Result<&Pool, Code> {
    state.pools.get(&pool).ok_or(codes::INVALID_HANDLE)
}

/// Allocates memory for a stream. A captured stream allocates it once, for all launches of the graph.
fn allocate(
    state: &mut DriverState,
    address: Pointer<DevicePtr>,
    size: usize,
    pool: Handle,
    stream: Handle,
) -> Result<(), Code> {
    let captured = state.streams[&stream].capture != 0;
    memory::allocate(state, address, size, if captured { Kind::Graph } else { Kind::Pool(pool) })?;
    if captured {
        state.submit(stream, Operation::Allocate(address.get()?, size))?;
    }
    Ok(())
}
