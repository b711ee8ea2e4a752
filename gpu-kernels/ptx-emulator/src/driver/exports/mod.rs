//! The functions that programs call, by their names in libcuda: here those of devices, errors and contexts.

mod memory;
mod modules;
mod streams;

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use super::codes::{self, Code};
use super::launch::{MAX_THREADS, SHARED_PER_BLOCK};
use super::state::{Handle, Needs, State, call, current, pop, push, set_current};

type DevicePtr = u64;
type Device = c_int;

/// Writes a result through a pointer of the caller's.
fn give<T>(to: *mut T, value: T) -> Result<(), Code> {
    if to.is_null() {
        return Err(codes::INVALID_VALUE);
    }
    // SAFETY: the API asks for a pointer to a `T` that may be written, and this one is not null.
    unsafe { to.write_unaligned(value) };
    Ok(())
}

/// The text of a pointer of the caller's.
fn text<'a>(from: *const c_char) -> Result<&'a str, Code> {
    if from.is_null() {
        return Err(codes::INVALID_VALUE);
    }
    // SAFETY: the API asks for a string that ends in a null and lives during the call.
    unsafe { CStr::from_ptr(from) }.to_str().map_err(|_| codes::INVALID_VALUE)
}

/// Bytes of the caller's.
fn bytes<'a>(from: *const c_void, len: usize) -> Result<&'a [u8], Code> {
    if from.is_null() && len > 0 {
        return Err(codes::INVALID_VALUE);
    }
    // SAFETY: the API asks for `len` bytes that may be read during the call.
    Ok(if len == 0 { &[] } else { unsafe { std::slice::from_raw_parts(from.cast(), len) } })
}

/// Exports functions of the driver: each logs its call, may be made to fail, and has what it needs checked.
macro_rules! export {
    ($($needs:ident fn $name:ident($($argument:ident: $type:ty),* $(,)?) |$state:ident| $body:block)*) => {$(
        /// As the CUDA Driver API says.
        #[unsafe(no_mangle)]
        #[allow(clippy::too_many_arguments)] // The API's.
        pub extern "C" fn $name($($argument: $type),*) -> Code {
            let arguments = || {
                let all: &[String] = &[$(format!("{}={:?}", stringify!($argument), $argument)),*];
                all.join(", ")
            };
            call(stringify!($name), Needs::$needs, &arguments, |$state: &mut State| $body)
        }
    )*};
}

use export;

// Initialisation, version, errors, devices: sections 6.1 to 6.5.
export! {
    Nothing fn cuInit(flags: c_uint) |state| { if flags == 0 { state.initialise() } else { Err(codes::INVALID_VALUE) } }
    Nothing fn cuDriverGetVersion(version: *mut c_int) |state| {
        let (major, minor) = state.config.driver;
        give(version, (1000 * major + 10 * minor) as c_int)
    }
    Initialised fn cuDeviceGetCount(count: *mut c_int) |_state| { give(count, 1) }
    Initialised fn cuDeviceGet(device: *mut Device, ordinal: c_int) |_state| { one(ordinal).and_then(|()| give(device, 0)) }
    Initialised fn cuDeviceGetName(name: *mut c_char, len: c_int, device: Device) |state| {
        one(device)?;
        let (major, minor) = state.device.capability;
        let full = format!("Emulated GPU {major}.{minor}");
        for (i, byte) in full.bytes().take((len.max(1) - 1) as usize).chain([0]).enumerate() {
            give(name.wrapping_add(i), byte as c_char)?;
        }
        Ok(())
    }
    Initialised fn cuDeviceTotalMem_v2(total: *mut usize, device: Device) |state| {
        one(device).and_then(|()| give(total, state.device.memory as usize))
    }
    Initialised fn cuDeviceGetAttribute(value: *mut c_int, attribute: c_int, device: Device) |state| {
        one(device)?;
        give(value, attribute_of(&state.device, attribute)? as c_int)
    }
}

fn one(device: Device) -> Result<(), Code> {
    if device == 0 { Ok(()) } else { Err(codes::INVALID_DEVICE) }
}

/// `CUdevice_attribute` by its number.
fn attribute_of(device: &crate::simulator::Device, attribute: c_int) -> Result<u32, Code> {
    Ok(match attribute {
        1..=3 => MAX_THREADS,
        4 => 64,
        5 => i32::MAX as u32,
        6 | 7 => 0xffff,
        8 => SHARED_PER_BLOCK,
        10 => 32,
        9 | 12 | 82 => 1 << 16,
        13 => 1_500_000,
        16 => device.sms,
        39 => device.threads_per_sm(),
        // Concurrent kernels, unified addresses, managed memory, cooperative launches.
        31 | 41 | 83 | 95 => 1,
        75 => device.capability.0,
        76 => device.capability.1,
        81 => device.shared_per_sm(),
        97 => device.shared_per_block_optin(),
        106 => device.blocks_per_sm(),
        111 => device.shared_reserved(),
        other => {
            eprintln!("emulator: device attribute {other} is not known to it");
            return Err(codes::INVALID_VALUE);
        }
    })
}

/// Of an error's texts the one that `pick` picks.
fn error_text(code: Code, to: *mut *const c_char, pick: fn((&'static str, &'static str)) -> &'static str) -> Code {
    let found = codes::text(code).map(pick);
    let pointer = found.map_or(std::ptr::null(), |text| text.as_ptr().cast());
    give(to, pointer).and(found.map(|_| ()).ok_or(codes::INVALID_VALUE)).err().unwrap_or(0)
}

/// As the CUDA Driver API says.
#[unsafe(no_mangle)]
pub extern "C" fn cuGetErrorName(code: Code, to: *mut *const c_char) -> Code {
    error_text(code, to, |(name, _)| name)
}

/// As the CUDA Driver API says.
#[unsafe(no_mangle)]
pub extern "C" fn cuGetErrorString(code: Code, to: *mut *const c_char) -> Code {
    error_text(code, to, |(_, text)| text)
}

// Contexts: sections 6.7 and 6.8. All of them share the device's memory.
export! {
    Initialised fn cuDevicePrimaryCtxRetain(context: *mut Handle, device: Device) |state| {
        one(device)?;
        if state.primary.1 == 0 {
            let handle = state.handle();
            state.contexts.insert(handle);
            state.primary = (handle, 0);
        }
        state.primary.1 += 1;
        give(context, state.primary.0)
    }
    Initialised fn cuDevicePrimaryCtxRelease_v2(device: Device) |state| {
        one(device)?;
        state.primary.1 = state.primary.1.checked_sub(1).ok_or(codes::INVALID_CONTEXT)?;
        if state.primary.1 == 0 {
            state.contexts.remove(&state.primary.0);
            state.reset();
        }
        Ok(())
    }
    Initialised fn cuDevicePrimaryCtxReset_v2(device: Device) |state| { one(device).map(|()| state.reset()) }
    Initialised fn cuDevicePrimaryCtxSetFlags_v2(device: Device, _flags: c_uint) |_state| { one(device) }
    Initialised fn cuCtxCreate_v2(context: *mut Handle, _flags: c_uint, device: Device) |state| {
        one(device)?;
        let handle = state.handle();
        state.contexts.insert(handle);
        push(handle);
        give(context, handle)
    }
    Initialised fn cuCtxDestroy_v2(context: Handle) |state| {
        if !state.contexts.remove(&context) {
            return Err(codes::INVALID_CONTEXT);
        }
        if current() == context {
            pop();
        }
        if state.contexts.is_empty() {
            state.reset();
        }
        Ok(())
    }
    Initialised fn cuCtxSetCurrent(context: Handle) |state| {
        if context != 0 && !state.contexts.contains(&context) {
            return Err(codes::INVALID_CONTEXT);
        }
        set_current(context);
        Ok(())
    }
    Initialised fn cuCtxGetCurrent(context: *mut Handle) |_state| { give(context, current()) }
    Initialised fn cuCtxPushCurrent_v2(context: Handle) |state| {
        if !state.contexts.contains(&context) {
            return Err(codes::INVALID_CONTEXT);
        }
        push(context);
        Ok(())
    }
    Initialised fn cuCtxPopCurrent_v2(context: *mut Handle) |_state| {
        let top = pop();
        if context.is_null() { Ok(()) } else { give(context, top) }
    }
    Context fn cuCtxGetDevice(device: *mut Device) |_state| { give(device, 0) }
    Context fn cuCtxSynchronize() |_state| { Ok(()) }
}
