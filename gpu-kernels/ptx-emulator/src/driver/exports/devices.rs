//! The sections "Error Handling", "Initialization", "Version Management", "Device Management", "Primary Context
//! Management" and "Context Management". All contexts share the memory of the device.

use std::ffi::{c_char, c_int, c_uint};

use super::abi::{Pointer, exports, value_of};
use crate::driver::codes::{self, Code};
use crate::driver::config::Config;
use crate::driver::state::{
    DriverState, Handle, MAX_BLOCK_DIM_Z, MAX_GRID_DIM_YZ, SHARED_PER_BLOCK, current, pop, push,
};
use crate::simulator::{MAX_THREADS, REGISTERS};

/// A `CUdevice`, the ordinal of a device.
pub type Ordinal = c_int;

exports! {
    Nothing: cuInit => (flags: c_uint) |state| initialise(state, flags);
    Nothing: cuDriverGetVersion => (version: Pointer<c_int>) |state| {
        let (major, minor) = state.config.driver;
        version.set((1000 * major + 10 * minor) as c_int)
    };
    Initialised: cuDeviceGetCount => (count: Pointer<c_int>) |_state| count.set(1);
    Initialised: cuDeviceGet => (device: Pointer<Ordinal>, ordinal: c_int)
        |_state| check(ordinal).and_then(|()| device.set(0));
    Initialised: cuDeviceGetName => (name: Pointer<c_char>, len: c_int, device: Ordinal) |state| {
        check(device)?;
        let (major, minor) = state.config.device.capability;
        let full = format!("Emulated GPU {major}.{minor}");
        let cut = full.bytes().take((len.max(1) - 1) as usize).chain([0]).map(|byte| byte as c_char);
        name.set_all(&cut.collect::<Vec<_>>())
    };
    Initialised: cuDeviceTotalMem_v2 => (total: Pointer<usize>, device: Ordinal)
        |state| check(device).and_then(|()| total.set(state.config.device.memory as usize));
    Initialised: cuDeviceGetAttribute => (value: Pointer<c_int>, attribute: c_int, device: Ordinal) |state| {
        check(device)?;
        value.set(attribute_of(&state.config, attribute)? as c_int)
    };
    Initialised: cuDevicePrimaryCtxRetain => (context: Pointer<Handle>, device: Ordinal) |state| {
        check(device)?;
        if state.primary_retained == 0 {
            state.primary = new_context(state);
        }
        state.primary_retained += 1;
        context.set(state.primary)
    };
    Initialised: cuDevicePrimaryCtxRelease_v2 => (device: Ordinal) |state| {
        check(device)?;
        state.primary_retained = state.primary_retained.checked_sub(1).ok_or(codes::INVALID_CONTEXT)?;
        if state.primary_retained == 0 {
            state.contexts.remove(&state.primary);
            state.reset();
        }
        Ok(())
    };
    Initialised: cuDevicePrimaryCtxReset_v2 => (device: Ordinal) |state| check(device).map(|()| state.reset());
    Initialised: cuDevicePrimaryCtxSetFlags_v2 => (device: Ordinal, _flags: c_uint) |_state| check(device);
    Initialised: cuCtxCreate_v2 => (context: Pointer<Handle>, _flags: c_uint, device: Ordinal) |state| {
        check(device)?;
        let handle = new_context(state);
        push(handle);
        context.set(handle)
    };
    Initialised: cuCtxDestroy_v2 => (context: Handle) |state| {
        known(state, context)?;
        state.contexts.remove(&context);
        if current() == context {
            pop();
        }
        if state.contexts.is_empty() {
            state.reset();
        }
        Ok(())
    };
    Initialised: cuCtxSetCurrent => (context: Handle) |state| {
        if context != 0 {
            known(state, context)?;
        }
        pop();
        if context != 0 {
            push(context);
        }
        Ok(())
    };
    Initialised: cuCtxGetCurrent => (context: Pointer<Handle>) |_state| context.set(current());
    Initialised: cuCtxPushCurrent_v2 => (context: Handle) |state| known(state, context).map(|()| push(context));
    Initialised: cuCtxPopCurrent_v2 => (context: Pointer<Handle>) |_state| {
        let top = pop();
        if context.is_null() { Ok(()) } else { context.set(top) }
    };
    Context: cuCtxGetDevice => (device: Pointer<Ordinal>) |_state| device.set(0);
    Context: cuCtxSynchronize => () |_state| Ok(());
}

/// Writes the text of an error for `cuGetErrorName` and `cuGetErrorString`, which work even without a valid state.
fn describe(text: Option<&'static str>, to: Pointer<*const c_char>) -> Code {
    let pointer = text.map_or(std::ptr::null(), |text| text.as_ptr().cast());
    to.set(pointer).and(text.map(|_| ()).ok_or(codes::INVALID_VALUE)).err().unwrap_or(0)
}

/// Implements the function of this name of the CUDA Driver API.
// SAFETY: no other library defines the symbol, because this library replaces libcuda.
#[unsafe(no_mangle)]
pub extern "C" fn cuGetErrorName(code: Code, to: Pointer<*const c_char>) -> Code {
    describe(codes::text(code).map(|(name, _)| name), to)
}

/// Implements the function of this name of the CUDA Driver API.
// SAFETY: no other library defines the symbol, because this library replaces libcuda.
#[unsafe(no_mangle)]
pub extern "C" fn cuGetErrorString(code: Code, to: Pointer<*const c_char>) -> Code {
    describe(codes::text(code).map(|(_, text)| text), to)
}

fn initialise(state: &mut DriverState, flags: c_uint) -> Result<(), Code> {
    match (flags, state.config.devices) {
        (0, 0) => Err(codes::NO_DEVICE),
        (0, _) => {
            state.initialised = true;
            Ok(())
        }
        _ => Err(codes::INVALID_VALUE),
    }
}

pub fn check(device: Ordinal) -> Result<(), Code> {
    if device == 0 { Ok(()) } else { Err(codes::INVALID_DEVICE) }
}

/// Returns the value of a `CUdevice_attribute` (section "Data types used by CUDA driver"). The table leaves out the
/// prefix `CU_DEVICE_ATTRIBUTE_` of the names.
fn attribute_of(config: &Config, attribute: c_int) -> Result<u32, Code> {
    let (device, limits) = (&config.device, config.device.limits());
    let attributes = [
        ("MAX_THREADS_PER_BLOCK", 1, MAX_THREADS),
        ("MAX_BLOCK_DIM_X", 2, MAX_THREADS),
        ("MAX_BLOCK_DIM_Y", 3, MAX_THREADS),
        ("MAX_BLOCK_DIM_Z", 4, MAX_BLOCK_DIM_Z),
        ("MAX_GRID_DIM_X", 5, i32::MAX as u32),
        ("MAX_GRID_DIM_Y", 6, MAX_GRID_DIM_YZ),
        ("MAX_GRID_DIM_Z", 7, MAX_GRID_DIM_YZ),
        ("MAX_SHARED_MEMORY_PER_BLOCK", 8, SHARED_PER_BLOCK),
        ("TOTAL_CONSTANT_MEMORY", 9, 1 << 16),
        ("WARP_SIZE", 10, 32),
        ("MAX_REGISTERS_PER_BLOCK", 12, REGISTERS),
        ("CLOCK_RATE", 13, 1_500_000),
        ("MULTIPROCESSOR_COUNT", 16, device.sms),
        ("KERNEL_EXEC_TIMEOUT", 17, config.timeout.into()),
        ("CONCURRENT_KERNELS", 31, 1),
        ("MAX_THREADS_PER_MULTIPROCESSOR", 39, limits.threads),
        ("UNIFIED_ADDRESSING", 41, 1),
        ("COMPUTE_CAPABILITY_MAJOR", 75, device.capability.0),
        ("COMPUTE_CAPABILITY_MINOR", 76, device.capability.1),
        ("MAX_SHARED_MEMORY_PER_MULTIPROCESSOR", 81, limits.shared),
        ("MAX_REGISTERS_PER_MULTIPROCESSOR", 82, REGISTERS),
        ("MANAGED_MEMORY", 83, 1),
        ("COOPERATIVE_LAUNCH", 95, 1),
        ("MAX_SHARED_MEMORY_PER_BLOCK_OPTIN", 97, device.shared_per_block_optin()),
        ("MAX_BLOCKS_PER_MULTIPROCESSOR", 106, limits.blocks),
        ("RESERVED_SHARED_MEMORY_PER_BLOCK", 111, device.shared_reserved()),
    ];
    let value = value_of(&attributes, attribute);
    if value.is_err() {
        eprintln!("emulator: device attribute {attribute} is not implemented");
    }
    value
}

fn new_context(state: &mut DriverState) -> Handle {
    state.register(|state, handle| state.contexts.insert(handle))
}

fn known(state: &DriverState, context: Handle) -> Result<(), Code> {
    if state.contexts.contains(&context) { Ok(()) } else { Err(codes::INVALID_CONTEXT) }
}
