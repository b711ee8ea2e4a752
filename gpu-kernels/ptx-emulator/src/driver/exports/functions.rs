//! The attributes of functions and kernels in "Execution Control" and "Library Management", and the section "Occupancy".

use std::ffi::{c_int, c_uint};

use super::abi::{check, exports, value_of};
use super::launches::LaunchConfig;
use crate::driver::call::ask;
use crate::driver::codes::{self, Code};
use crate::driver::loading::bytes;
use crate::driver::objects::{Handle, Ordinal};
use crate::driver::pointer::Pointer;
use crate::driver::state::DriverState;
use crate::simulator::MAX_THREADS;

/// A function that gives the dynamic shared memory of a block for its number of threads (`CUoccupancyB2DSize`).
type SharedOfThreads = Option<extern "C" fn(c_int) -> usize>;

exports! {
    Context: cuFuncGetAttribute => (value: Pointer<c_int>, attribute: c_int, function: Handle)
        |state| value.set(attribute_of(state, function, attribute)?);
    Context: cuKernelGetAttribute => (value: Pointer<c_int>, attribute: c_int, function: Handle, _device: Ordinal)
        |state| value.set(attribute_of(state, function, attribute)?);
    Context: cuFuncSetAttribute => (function: Handle, attribute: c_int, value: c_int)
        |state| set_attribute(state, function, attribute, value);
    Context: cuKernelSetAttribute => (attribute: c_int, value: c_int, function: Handle, _device: Ordinal)
        |state| set_attribute(state, function, attribute, value);
    Context: cuFuncSetCacheConfig, cuFuncSetSharedMemConfig, cuKernelSetCacheConfig[_device: Ordinal]
        => (function: Handle, _config: c_int) |state| state.function(function).map(|_| ());
    Context: cuFuncGetModule => (module: Pointer<Handle>, function: Handle)
        |state| module.set(state.function(function)?.0.module);
    Initialised: cuKernelGetLibrary => (library: Pointer<Handle>, function: Handle)
        |state| library.set(state.function(function)?.0.module);
    Initialised: cuKernelGetFunction => (to: Pointer<Handle>, function: Handle)
        |state| state.function(function).and_then(|_| to.set(function));
    Initialised: cuFuncGetName, cuKernelGetName => (name: Pointer<usize>, function: Handle) |state| {
        let (function, _) = state.function(function)?;
        let known = state.modules[&function.module].names.get(&function.name).ok_or(codes::INVALID_HANDLE)?;
        name.set(known.as_ptr().expose_provenance())
    };
    Initialised: cuFuncGetParamInfo, cuKernelGetParamInfo => (
        function: Handle, index: usize, offset: Pointer<usize>, size: Pointer<usize>
    ) |state| {
        let (at, len) = *state.function(function)?.1.params.get(index).ok_or(codes::INVALID_VALUE)?;
        size.set_if_wanted(len);
        offset.set(at)
    };
    Initialised: cuFuncGetParamCount, cuKernelGetParamCount => (function: Handle, count: Pointer<usize>)
        |state| count.set(state.function(function)?.1.params.len());
    Initialised: cuFuncLoad => (function: Handle) |state| state.function(function).map(|_| ());
    Initialised: cuFuncIsLoaded => (loaded: Pointer<c_int>, function: Handle)
        |state| state.function(function).and_then(|_| loaded.set(1));
    Context: cuOccupancyMaxActiveBlocksPerMultiprocessor,
             cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags[_flags: c_uint]
        => (blocks: Pointer<c_int>, function: Handle, threads: c_int, shared: usize) |state| {
        let threads = u32::try_from(threads).ok().filter(|n| (1..=MAX_THREADS).contains(n));
        blocks.set(resident_blocks(state, function, threads.ok_or(codes::INVALID_VALUE)?, shared)? as c_int)
    };
    Context: cuOccupancyMaxPotentialBlockSize, cuOccupancyMaxPotentialBlockSizeWithFlags[_flags: c_uint] => (
        blocks: Pointer<c_int>, threads: Pointer<c_int>, function: Handle, shared_of: SharedOfThreads, shared: usize,
        limit: c_int; let sizes = block_sizes(function, limit, &|threads| shared_of.map_or(shared, |of| of(threads)))
    ) |state| {
        let mut best = (0, 0, 0);
        for (count, shared) in &sizes {
            let resident = resident_blocks(state, function, *count, *shared)?;
            best = best.max((resident * count, *count, resident));
        }
        state.function(function)?;
        blocks.set((best.2 * state.config.device.sms) as c_int).and_then(|()| threads.set(best.1 as c_int))
    };
    Context: cuOccupancyAvailableDynamicSMemPerBlock => (
        size: Pointer<usize>, function: Handle, blocks: c_int, threads: c_int
    ) |state| {
        check(blocks > 0 && threads > 0)?;
        let declared = state.function(function)?.1.shared_size;
        let device = &state.config.device;
        let share = device.limits().shared / blocks as u32;
        let block = share.saturating_sub(device.shared_reserved()).min(device.shared_per_block_optin()) as usize;
        size.set(block.saturating_sub(declared))
    };
    Context: cuOccupancyMaxPotentialClusterSize => (size: Pointer<c_int>, function: Handle, _config: Pointer<LaunchConfig>)
        |state| state.function(function).and_then(|_| size.set(PORTABLE_CLUSTER));
    Context: cuOccupancyMaxActiveClusters => (count: Pointer<c_int>, function: Handle, config: Pointer<LaunchConfig>) |state| {
        let dims = config.get()?.dims()?;
        let threads = dims.threads().filter(|n| (1..=MAX_THREADS).contains(n)).ok_or(codes::INVALID_VALUE)?;
        let resident = resident_blocks(state, function, threads, dims.shared)?;
        let cluster: u32 = dims.cluster.iter().product();
        count.set((resident * state.config.device.sms).checked_div(cluster).ok_or(codes::INVALID_VALUE)? as c_int)
    };
}

/// Returns the sizes of blocks that a kernel may have, each with its dynamic shared memory. The function that gives the shared
/// memory may call the driver, so the state must not be locked.
fn block_sizes(function: Handle, limit: c_int, shared_of: &dyn Fn(c_int) -> usize) -> Vec<(u32, usize)> {
    let most =
        ask(|state| state.function(function).ok().map(|(_, program)| program.max_threads.unwrap_or(MAX_THREADS)));
    let most = most.unwrap_or(0).min(if limit > 0 { limit as u32 } else { MAX_THREADS }).min(MAX_THREADS);
    let counts = (1..=most / 32).rev().map(|warps| 32 * warps).chain([most]);
    counts.map(|count| (count, shared_of(count as c_int))).collect()
}

/// The largest number of blocks of a cluster on every device with clusters.
const PORTABLE_CLUSTER: c_int = 8;

/// The numbers of the `CUfunction_attribute`s that a program can set, without the prefix `CU_FUNC_ATTRIBUTE_`.
const MAX_DYNAMIC_SHARED_SIZE_BYTES: c_int = 8;
const PREFERRED_SHARED_MEMORY_CARVEOUT: c_int = 9;
const NON_PORTABLE_CLUSTER_SIZE_ALLOWED: c_int = 14;
const CLUSTER_SCHEDULING_POLICY_PREFERENCE: c_int = 15;

/// Returns the value of a `CUfunction_attribute` (section "Data types used by CUDA driver"). The table leaves out the
/// prefix `CU_FUNC_ATTRIBUTE_` of the names.
fn attribute_of(state: &DriverState, function: Handle, attribute: c_int) -> Result<c_int, Code> {
    let (function, program) = state.function(function)?;
    let device = &state.config.device;
    let size = |bytes_of| bytes(bytes_of) as c_int;
    let cluster = program.cluster.unwrap_or_default();
    let attributes = [
        ("MAX_THREADS_PER_BLOCK", 0, program.max_threads.unwrap_or(MAX_THREADS).min(MAX_THREADS) as c_int),
        ("SHARED_SIZE_BYTES", 1, size(program.shared_size)),
        ("CONST_SIZE_BYTES", 2, 0),
        ("LOCAL_SIZE_BYTES", 3, size(program.local_size)),
        ("NUM_REGS", 4, device.registers as c_int),
        ("PTX_VERSION", 5, device.architecture() as c_int),
        ("BINARY_VERSION", 6, device.architecture() as c_int),
        ("CACHE_MODE_CA", 7, 0),
        ("MAX_DYNAMIC_SHARED_SIZE_BYTES", MAX_DYNAMIC_SHARED_SIZE_BYTES, function.max_dynamic_shared as c_int),
        ("PREFERRED_SHARED_MEMORY_CARVEOUT", PREFERRED_SHARED_MEMORY_CARVEOUT, function.carveout),
        ("CLUSTER_SIZE_MUST_BE_SET", 10, 0),
        ("REQUIRED_CLUSTER_WIDTH", 11, cluster[0] as c_int),
        ("REQUIRED_CLUSTER_HEIGHT", 12, cluster[1] as c_int),
        ("REQUIRED_CLUSTER_DEPTH", 13, cluster[2] as c_int),
        ("NON_PORTABLE_CLUSTER_SIZE_ALLOWED", NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 0),
        ("CLUSTER_SCHEDULING_POLICY_PREFERENCE", CLUSTER_SCHEDULING_POLICY_PREFERENCE, 0),
    ];
    value_of(&attributes, attribute)
}

fn set_attribute(state: &mut DriverState, handle: Handle, attribute: c_int, value: c_int) -> Result<(), Code> {
    let declared = bytes(state.function(handle)?.1.shared_size);
    let most = state.config.device.shared_per_block_optin().saturating_sub(declared);
    let function = state.functions.get_mut(&handle).expect("the function was just looked up");
    match (attribute, u32::try_from(value)) {
        (MAX_DYNAMIC_SHARED_SIZE_BYTES, Ok(value)) if value <= most => function.max_dynamic_shared = value,
        (PREFERRED_SHARED_MEMORY_CARVEOUT, _) if (-1..=100).contains(&value) => function.carveout = value,
        // A driver may ignore these hints.
        (NON_PORTABLE_CLUSTER_SIZE_ALLOWED | CLUSTER_SCHEDULING_POLICY_PREFERENCE, _) => {}
        _ => return Err(codes::INVALID_VALUE),
    }
    Ok(())
}

fn resident_blocks(state: &DriverState, function: Handle, threads: u32, shared: usize) -> Result<u32, Code> {
    let (_, program) = state.function(function)?;
    let (device, shared) = (&state.config.device, program.shared_size.saturating_add(shared));
    if shared > device.shared_per_block_optin() as usize || threads > program.max_threads.unwrap_or(MAX_THREADS) {
        return Ok(0);
    }
    Ok(device.resident_blocks(threads, shared))
}
