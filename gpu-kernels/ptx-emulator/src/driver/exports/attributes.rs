//! The attributes of devices in the section "Device Management".

use std::ffi::c_int;

use super::abi::{exports, value_of};
use super::devices::FIRST_BUS;
use crate::driver::codes::{self, Code};
use crate::driver::config::Config;
use crate::driver::launch::{MAX_BLOCK_DIM_Z, MAX_GRID_DIM_YZ};
use crate::driver::loading::SHARED_PER_BLOCK;
use crate::driver::objects::Ordinal;
use crate::driver::pointer::Pointer;
use crate::driver::report::report;
use crate::simulator::{MAX_THREADS, REGISTERS};

exports! {
    Initialised: cuDeviceGetAttribute => (value: Pointer<c_int>, attribute: c_int, device: Ordinal) |state| {
        state.check_device(device)?;
        value.set(attribute_of(&state.config, attribute, device)? as c_int)
    };
}

/// The sizes of textures and surfaces, which are those of compute capability 9.0 (CUDA C++ Programming Guide, "Technical
/// Specifications per Compute Capability"). The names leave out the prefix `CU_DEVICE_ATTRIBUTE_MAXIMUM_`.
const SIZES: [(&str, c_int, u32); 43] = [
    ("TEXTURE1D_WIDTH", 21, 131_072),
    ("TEXTURE2D_WIDTH", 22, 131_072),
    ("TEXTURE2D_HEIGHT", 23, 65_536),
    ("TEXTURE3D_WIDTH", 24, 16_384),
    ("TEXTURE3D_HEIGHT", 25, 16_384),
    ("TEXTURE3D_DEPTH", 26, 16_384),
    ("TEXTURE2D_LAYERED_WIDTH", 27, 32_768),
    ("TEXTURE2D_LAYERED_HEIGHT", 28, 32_768),
    ("TEXTURE2D_LAYERED_LAYERS", 29, 2_048),
    ("TEXTURE1D_LAYERED_WIDTH", 42, 32_768),
    ("TEXTURE1D_LAYERED_LAYERS", 43, 2_048),
    ("TEXTURE2D_GATHER_WIDTH", 45, 32_768),
    ("TEXTURE2D_GATHER_HEIGHT", 46, 32_768),
    ("TEXTURE3D_WIDTH_ALTERNATE", 47, 8_192),
    ("TEXTURE3D_HEIGHT_ALTERNATE", 48, 8_192),
    ("TEXTURE3D_DEPTH_ALTERNATE", 49, 32_768),
    ("TEXTURECUBEMAP_WIDTH", 52, 32_768),
    ("TEXTURECUBEMAP_LAYERED_WIDTH", 53, 32_768),
    ("TEXTURECUBEMAP_LAYERED_LAYERS", 54, 2_046),
    ("SURFACE1D_WIDTH", 55, 32_768),
    ("SURFACE2D_WIDTH", 56, 131_072),
    ("SURFACE2D_HEIGHT", 57, 65_536),
    ("SURFACE3D_WIDTH", 58, 16_384),
    ("SURFACE3D_HEIGHT", 59, 16_384),
    ("SURFACE3D_DEPTH", 60, 16_384),
    ("SURFACE1D_LAYERED_WIDTH", 61, 32_768),
    ("SURFACE1D_LAYERED_LAYERS", 62, 2_048),
    ("SURFACE2D_LAYERED_WIDTH", 63, 32_768),
    ("SURFACE2D_LAYERED_HEIGHT", 64, 32_768),
    ("SURFACE2D_LAYERED_LAYERS", 65, 2_048),
    ("SURFACECUBEMAP_WIDTH", 66, 32_768),
    ("SURFACECUBEMAP_LAYERED_WIDTH", 67, 32_768),
    ("SURFACECUBEMAP_LAYERED_LAYERS", 68, 2_046),
    ("TEXTURE1D_LINEAR_WIDTH", 69, 1 << 28),
    ("TEXTURE2D_LINEAR_WIDTH", 70, 131_072),
    ("TEXTURE2D_LINEAR_HEIGHT", 71, 65_000),
    ("TEXTURE2D_LINEAR_PITCH", 72, 2_097_120),
    ("TEXTURE2D_MIPMAPPED_WIDTH", 73, 32_768),
    ("TEXTURE2D_MIPMAPPED_HEIGHT", 74, 32_768),
    ("TEXTURE1D_MIPMAPPED_WIDTH", 77, 32_768),
    ("TEXTURE_ALIGNMENT", 14, 512),
    ("SURFACE_ALIGNMENT", 30, 512),
    ("TEXTURE_PITCH_ALIGNMENT", 51, 32),
];

/// The attributes that do not depend on the settings. All other attributes up to [`LAST`] are 0, which says that the device
/// lacks a feature.
const FIXED: [(&str, c_int, u32); 36] = [
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
    ("MAX_PITCH", 11, i32::MAX as u32),
    ("MAX_REGISTERS_PER_BLOCK", 12, REGISTERS),
    ("CLOCK_RATE", 13, 1_500_000),
    ("GPU_OVERLAP", 15, 1),
    ("CAN_MAP_HOST_MEMORY", 19, 1),
    ("CONCURRENT_KERNELS", 31, 1),
    ("MEMORY_CLOCK_RATE", 36, 1_500_000),
    ("GLOBAL_MEMORY_BUS_WIDTH", 37, 5_120),
    ("L2_CACHE_SIZE", 38, 50 << 20),
    ("ASYNC_ENGINE_COUNT", 40, 2),
    ("UNIFIED_ADDRESSING", 41, 1),
    ("STREAM_PRIORITIES_SUPPORTED", 78, 1),
    ("GLOBAL_L1_CACHE_SUPPORTED", 79, 1),
    ("LOCAL_L1_CACHE_SUPPORTED", 80, 1),
    ("MAX_REGISTERS_PER_MULTIPROCESSOR", 82, REGISTERS),
    ("MANAGED_MEMORY", 83, 1),
    ("SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO", 87, 2),
    ("CONCURRENT_MANAGED_ACCESS", 89, 1),
    ("COMPUTE_PREEMPTION_SUPPORTED", 90, 1),
    ("CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM", 91, 1),
    ("CAN_USE_64_BIT_STREAM_MEM_OPS_V1", 93, 1),
    ("COOPERATIVE_LAUNCH", 95, 1),
    ("HOST_REGISTER_SUPPORTED", 99, 1),
    ("MEMORY_POOLS_SUPPORTED", 115, 1),
    ("CAN_USE_64_BIT_STREAM_MEM_OPS", 122, 1),
    ("CAN_USE_STREAM_WAIT_VALUE_NOR", 123, 1),
];

/// The last attribute of CUDA 13.
const LAST: c_int = 148;

/// Returns the value of a `CUdevice_attribute` (section "Data types used by CUDA driver"). The tables leave out the
/// prefix `CU_DEVICE_ATTRIBUTE_` of the names.
fn attribute_of(config: &Config, attribute: c_int, ordinal: Ordinal) -> Result<u32, Code> {
    let (device, limits) = (&config.device, config.device.limits());
    let variable = [
        ("MULTIPROCESSOR_COUNT", 16, device.sms),
        ("KERNEL_EXEC_TIMEOUT", 17, config.timeout.into()),
        ("PCI_BUS_ID", 33, (FIRST_BUS + ordinal) as u32),
        ("MAX_THREADS_PER_MULTIPROCESSOR", 39, limits.threads),
        ("COMPUTE_CAPABILITY_MAJOR", 75, device.capability.0),
        ("COMPUTE_CAPABILITY_MINOR", 76, device.capability.1),
        ("MAX_SHARED_MEMORY_PER_MULTIPROCESSOR", 81, limits.shared),
        ("MAX_SHARED_MEMORY_PER_BLOCK_OPTIN", 97, device.shared_per_block_optin()),
        ("MAX_BLOCKS_PER_MULTIPROCESSOR", 106, limits.blocks),
        ("RESERVED_SHARED_MEMORY_PER_BLOCK", 111, device.shared_reserved()),
        ("CLUSTER_LAUNCH", 120, (device.capability.0 >= 9).into()),
    ];
    let found = [&variable[..], &FIXED, &SIZES].into_iter().find_map(|table| value_of(table, attribute).ok());
    match found {
        Some(value) => Ok(value),
        None if (1..=LAST).contains(&attribute) => Ok(0),
        None => {
            report(format_args!("device attribute {attribute} is unknown"));
            Err(codes::INVALID_VALUE)
        }
    }
}
