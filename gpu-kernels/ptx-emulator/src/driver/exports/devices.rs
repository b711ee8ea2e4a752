//! Initialisation, version and devices (sections 6.3 to 6.5).

use std::ffi::{c_char, c_int, c_uint};

use super::pointers::Out;
use super::table::exports;
use crate::driver::codes::{self, Code};
use crate::driver::launch::{MAX_THREADS, SHARED_PER_BLOCK};
use crate::driver::state::{State, report};
use crate::simulator::Device;

/// A `CUdevice`: the ordinal of a device.
pub type Ordinal = c_int;

exports! {
    Nothing: cuInit => (flags: c_uint) |state| initialise(state, flags);
    Nothing: cuDriverGetVersion => (version: Out<c_int>) |state| {
        let (major, minor) = state.config.driver;
        version.set((1000 * major + 10 * minor) as c_int)
    };
    Initialised: cuDeviceGetCount => (count: Out<c_int>) |_state| count.set(1);
    Initialised: cuDeviceGet => (device: Out<Ordinal>, ordinal: c_int) |_state| {
        check(ordinal).and_then(|()| device.set(0))
    };
    Initialised: cuDeviceGetName => (name: Out<c_char>, len: c_int, device: Ordinal) |state| {
        check(device)?;
        let (major, minor) = state.config.device.capability;
        let full = format!("Emulated GPU {major}.{minor}");
        let cut = full.bytes().take((len.max(1) - 1) as usize).chain([0]).map(|byte| byte as c_char);
        name.set_all(&cut.collect::<Vec<_>>())
    };
    Initialised: cuDeviceTotalMem_v2 => (total: Out<usize>, device: Ordinal) |state| {
        check(device).and_then(|()| total.set(state.config.device.memory as usize))
    };
    Initialised: cuDeviceGetAttribute => (value: Out<c_int>, attribute: c_int, device: Ordinal) |state| {
        check(device)?;
        value.set(attribute_of(&state.config.device, attribute)? as c_int)
    };
}

fn initialise(state: &mut State, flags: c_uint) -> Result<(), Code> {
    if flags != 0 {
        return Err(codes::INVALID_VALUE);
    }
    if state.config.devices == 0 {
        return Err(codes::NO_DEVICE);
    }
    state.initialised = true;
    Ok(())
}

/// Checks that a device exists.
pub fn check(device: Ordinal) -> Result<(), Code> {
    if device == 0 { Ok(()) } else { Err(codes::INVALID_DEVICE) }
}

/// Returns a `CUdevice_attribute` (section 6.1).
fn attribute_of(device: &Device, attribute: c_int) -> Result<u32, Code> {
    Ok(match attribute {
        // MAX_THREADS_PER_BLOCK, MAX_BLOCK_DIM_X, MAX_BLOCK_DIM_Y
        1..=3 => MAX_THREADS,
        // MAX_BLOCK_DIM_Z
        4 => 64,
        // MAX_GRID_DIM_X
        5 => i32::MAX as u32,
        // MAX_GRID_DIM_Y, MAX_GRID_DIM_Z
        6 | 7 => 0xffff,
        // MAX_SHARED_MEMORY_PER_BLOCK
        8 => SHARED_PER_BLOCK,
        // WARP_SIZE
        10 => 32,
        // TOTAL_CONSTANT_MEMORY, MAX_REGISTERS_PER_BLOCK, MAX_REGISTERS_PER_MULTIPROCESSOR
        9 | 12 | 82 => 1 << 16,
        // CLOCK_RATE
        13 => 1_500_000,
        // MULTIPROCESSOR_COUNT
        16 => device.sms,
        // MAX_THREADS_PER_MULTIPROCESSOR
        39 => device.threads_per_sm(),
        // CONCURRENT_KERNELS, UNIFIED_ADDRESSING, MANAGED_MEMORY, COOPERATIVE_LAUNCH
        31 | 41 | 83 | 95 => 1,
        // COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR
        75 => device.capability.0,
        76 => device.capability.1,
        // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
        81 => device.shared_per_sm(),
        // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
        97 => device.shared_per_block_optin(),
        // MAX_BLOCKS_PER_MULTIPROCESSOR
        106 => device.blocks_per_sm(),
        // RESERVED_SHARED_MEMORY_PER_BLOCK
        111 => device.shared_reserved(),
        other => {
            report(&format_args!("device attribute {other} is not implemented"));
            return Err(codes::INVALID_VALUE);
        }
    })
}
