//! The sections "Error Handling", "Initialization", "Version Management" and "Device Management", and the queries of
//! "Peer Context Memory Access".

use std::ffi::{c_char, c_int, c_uint};

use super::abi::{Export, check, exports, value_of};
use crate::driver::codes::{self, Code};
use crate::driver::objects::Ordinal;
use crate::driver::pointer::Pointer;
use crate::driver::preload::preload;
use crate::driver::state::DriverState;

/// The first PCI bus of the devices. Each device has a bus of its own.
pub const FIRST_BUS: i32 = 1;

exports! {
    Nothing: cuInit => (flags: c_uint) |state| initialise(state, flags);
    Nothing: cuDriverGetVersion => (version: Pointer<c_int>) |state| version.set(state.config.driver_version());
    Initialised: cuDeviceGetCount => (count: Pointer<c_int>) |state| count.set(state.config.devices as c_int);
    Initialised: cuDeviceGet => (device: Pointer<Ordinal>, ordinal: c_int)
        |state| state.check_device(ordinal).and_then(|_| device.set(ordinal));
    Initialised: cuDeviceGetName => (name: Pointer<c_char>, len: c_int, device: Ordinal) |state| {
        state.check_device(device)?;
        let (major, minor) = state.config.device.capability;
        name.set_text(&format!("Emulated GPU {major}.{minor}"), len.max(0) as usize)
    };
    Initialised: cuDeviceGetUuid, cuDeviceGetUuid_v2 => (uuid: Pointer<[u8; 16]>, device: Ordinal) |state| {
        state.check_device(device)?;
        let mut bytes = *b"emulated GPU \0\0\0";
        bytes[15] = device as u8;
        uuid.set(bytes)
    };
    Initialised: cuDeviceGetPCIBusId => (text: Pointer<c_char>, len: c_int, device: Ordinal) |state| {
        state.check_device(device)?;
        text.set_text(&bus_id(device), len.max(0) as usize)
    };
    Initialised: cuDeviceGetByPCIBusId => (device: Pointer<Ordinal>, text: Pointer<c_char>) |state| {
        let wanted = text.text()?.to_ascii_lowercase();
        // The domain, or the function, may be left out.
        let named = |device: &Ordinal| {
            let whole = bus_id(*device);
            let short = whole.trim_end_matches(".0");
            [&whole, short].into_iter().any(|id| id == wanted || id.strip_prefix("0000:") == Some(&wanted))
        };
        let found = (0..state.config.devices as i32).find(named);
        device.set(found.ok_or(codes::INVALID_DEVICE)?)
    };
    Initialised: cuDeviceTotalMem_v2 => (total: Pointer<usize>, device: Ordinal)
        |state| state.check_device(device).and_then(|_| total.set(state.config.device.memory as usize));
    Initialised: cuDeviceComputeCapability => (major: Pointer<c_int>, minor: Pointer<c_int>, device: Ordinal) |state| {
        state.check_device(device)?;
        major.set(state.config.device.capability.0 as c_int)?;
        minor.set(state.config.device.capability.1 as c_int)
    };
    Initialised: cuDeviceGetExecAffinitySupport => (supported: Pointer<c_int>, _kind: c_int, device: Ordinal)
        |state| state.check_device(device).and_then(|_| supported.set(0));
    Initialised: cuDeviceGetTexture1DLinearMaxWidth => (
        width: Pointer<usize>, _format: c_int, _channels: c_uint, device: Ordinal
    ) |state| state.check_device(device).and_then(|_| width.set(1 << 28));
    Initialised: cuDeviceCanAccessPeer => (can: Pointer<c_int>, device: Ordinal, peer: Ordinal) |state| {
        state.check_device(device).and_then(|_| state.check_device(peer))?;
        can.set((device != peer).into())
    };
    Initialised: cuDeviceGetP2PAttribute => (
        value: Pointer<c_int>, attribute: c_int, device: Ordinal, peer: Ordinal
    ) |state| {
        state.check_device(device).and_then(|_| state.check_device(peer))?;
        check(device != peer)?;
        let attributes = [
            ("PERFORMANCE_RANK", 1, 0),
            ("ACCESS_SUPPORTED", 2, 1),
            ("NATIVE_ATOMIC_SUPPORTED", 3, 1),
            ("CUDA_ARRAY_ACCESS_SUPPORTED", 4, 1),
            ("ONLY_PARTIAL_NATIVE_ATOMIC_SUPPORTED", 5, 0),
        ];
        value.set(value_of(&attributes, attribute)?)
    };
}

/// Returns the PCI address of a device.
fn bus_id(device: Ordinal) -> String {
    format!("0000:{:02x}:00.0", FIRST_BUS + device)
}

/// Writes the text of an error for `cuGetErrorName` and `cuGetErrorString`, which work even without a valid state.
fn describe(text: Option<&'static str>, to: Pointer<*const c_char>) -> Code {
    let pointer = text.map_or(std::ptr::null(), |text| text.as_ptr().cast());
    to.set(pointer).and(text.map(|_| ()).ok_or(codes::INVALID_VALUE)).err().unwrap_or(0)
}

/// The functions of this file that need no state.
pub const STATELESS: &[&[Export]] =
    &[&[("cuGetErrorName", cuGetErrorName as *const ()), ("cuGetErrorString", cuGetErrorString as *const ())]];

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
            if !state.initialised {
                preload();
            }
            state.initialised = true;
            Ok(())
        }
        _ => Err(codes::INVALID_VALUE),
    }
}
