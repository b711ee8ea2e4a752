//! The launches of the section "Execution Control".

use std::ffi::{c_int, c_uint};

use super::abi::exports;
use crate::driver::codes::{self, Code};
use crate::driver::objects::Handle;
use crate::driver::operation::{KernelLaunch, Operation};
use crate::driver::pointer::Pointer;
use crate::driver::state::DriverState;
use crate::simulator::Dims;

/// A `CUlaunchConfig`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct LaunchConfig {
    grid: [c_uint; 3],
    block: [c_uint; 3],
    shared: c_uint,
    stream: Handle,
    attributes: Pointer<LaunchAttribute>,
    count: c_uint,
}

/// A `CUlaunchAttribute`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct LaunchAttribute {
    id: c_int,
    padding: c_int,
    /// The first words of the value.
    value: [c_uint; 16],
}

/// The `CUlaunchAttributeID`s that change a launch. The others are hints.
const COOPERATIVE: c_int = 2;
const CLUSTER_DIMENSION: c_int = 4;

impl LaunchConfig {
    /// Returns the shape of the launch.
    pub fn dims(&self) -> Result<Dims, Code> {
        let cluster = self.value(CLUSTER_DIMENSION)?.map_or([1; 3], |[x, y, z, ..]| [x, y, z]);
        Ok(Dims { cluster, ..dims(self.grid, self.block, self.shared) })
    }

    /// Returns the value of an attribute.
    fn value(&self, id: c_int) -> Result<Option<[c_uint; 16]>, Code> {
        let attributes = self.attributes.slice(self.count as usize)?;
        Ok(attributes.iter().rev().find(|attribute| attribute.id == id).map(|attribute| attribute.value))
    }
}

/// Returns the shape of a launch without clusters.
pub fn dims(grid: [c_uint; 3], block: [c_uint; 3], shared: c_uint) -> Dims {
    Dims { grid, block, shared: shared as usize, cluster: [1; 3] }
}

/// The arguments of a launch, one by one or in one buffer.
#[derive(Clone, Copy, Debug)]
pub struct Arguments {
    pub each: Pointer<Pointer<u8>>,
    pub extra: Pointer<usize>,
}

exports! {
    Context: cuLaunchKernel + "_ptsz" => (
        function: Handle, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint, block_x: c_uint, block_y: c_uint,
        block_z: c_uint, shared: c_uint, stream: Handle, each: Pointer<Pointer<u8>>, extra: Pointer<usize>
    ) |state| {
        let dims = dims([grid_x, grid_y, grid_z], [block_x, block_y, block_z], shared);
        let launch = prepared(state, function, dims, false, Arguments { each, extra })?;
        state.submit(stream, Operation::Kernel(launch))
    };
    Context: cuLaunchCooperativeKernel + "_ptsz" => (
        function: Handle, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint, block_x: c_uint, block_y: c_uint,
        block_z: c_uint, shared: c_uint, stream: Handle, each: Pointer<Pointer<u8>>
    ) |state| {
        let dims = dims([grid_x, grid_y, grid_z], [block_x, block_y, block_z], shared);
        let launch = prepared(state, function, dims, true, Arguments { each, extra: Pointer::from_address(0) })?;
        state.submit(stream, Operation::Kernel(launch))
    };
    Context: cuLaunchKernelEx + "_ptsz" => (
        config: Pointer<LaunchConfig>, function: Handle, each: Pointer<Pointer<u8>>, extra: Pointer<usize>
    ) |state| {
        let config = config.get()?;
        let cooperative = config.value(COOPERATIVE)?.is_some_and(|[on, ..]| on != 0);
        let launch = prepared(state, function, config.dims()?, cooperative, Arguments { each, extra })?;
        state.submit(config.stream, Operation::Kernel(launch))
    };
}

/// Checks a launch and copies its arguments.
pub fn prepared(
    state: &mut DriverState,
    function: Handle,
    dims: Dims,
    cooperative: bool,
    arguments: Arguments,
) -> Result<KernelLaunch, Code> {
    let buffer = buffer(arguments.extra)?;
    state.prepare(function, dims, cooperative, &|i, offset, len| match buffer {
        Some((bytes, size)) if offset + len <= size => Ok(bytes.at::<u8>(offset).slice(len)?.to_vec()),
        Some(_) => Err(codes::INVALID_VALUE),
        None => Ok(arguments.each.slice(i + 1)?[i].slice(len)?.to_vec()),
    })
}

/// Returns the buffer of all arguments and its size from the argument `extra`, a list of keys and values. The key 1 gives the
/// buffer (`CU_LAUNCH_PARAM_BUFFER_POINTER`), 2 the address of its size, and 0 ends the list.
fn buffer(extra: Pointer<usize>) -> Result<Option<(Pointer<u8>, usize)>, Code> {
    if extra.is_null() {
        return Ok(None);
    }
    let (mut bytes, mut size) = (None, None);
    for i in [0, 2] {
        match extra.at::<usize>(i).get()? {
            1 => bytes = Some(Pointer::from_address(extra.at::<u64>(i + 1).get()?)),
            2 => size = Some(Pointer::<usize>::from_address(extra.at::<u64>(i + 1).get()?).get()?),
            0 => break,
            _ => return Err(codes::INVALID_VALUE),
        }
    }
    bytes.zip(size).map(Some).ok_or(codes::INVALID_VALUE)
}
