//! The sections "Stream Management" and "Event Management", and the synchronous launches of "Execution Control".

use std::ffi::{c_int, c_uint};
use std::time::Instant;

use super::abi::{Pointer, exports};
use crate::driver::codes::{self, Code};
use crate::driver::state::{DriverState, Handle};
use crate::simulator::Dims;

/// The last of the default streams, which are 0, `CU_STREAM_LEGACY` and `CU_STREAM_PER_THREAD`.
const DEFAULT_STREAMS: Handle = 2;

exports! {
    Context: cuStreamCreate, cuStreamCreateWithPriority[_priority: c_int] => (stream: Pointer<Handle>, _flags: c_uint)
        |state| stream.set(state.register(|state, handle| state.streams.insert(handle)));
    Context: cuStreamDestroy_v2 => (stream: Handle)
        |state| if state.streams.remove(&stream) { Ok(()) } else { Err(codes::INVALID_HANDLE) };
    Context: cuStreamSynchronize, cuStreamQuery => (stream: Handle) |state| check(state, stream);
    Context: cuStreamWaitEvent => (stream: Handle, event: Handle, _flags: c_uint)
        |state| check(state, stream).and_then(|()| recorded(state, event).map(|_| ()));
    Context: cuEventCreate => (event: Pointer<Handle>, _flags: c_uint)
        |state| event.set(state.register(|state, handle| state.events.insert(handle, None)));
    Context: cuEventDestroy_v2 => (event: Handle)
        |state| state.events.remove(&event).map(|_| ()).ok_or(codes::INVALID_HANDLE);
    Context: cuEventRecord => (event: Handle, stream: Handle) |state| {
        check(state, stream)?;
        recorded(state, event)?;
        state.events.insert(event, Some(Instant::now()));
        Ok(())
    };
    Context: cuEventSynchronize, cuEventQuery => (event: Handle) |state| recorded(state, event).map(|_| ());
    Context: cuEventElapsedTime => (milliseconds: Pointer<f32>, start: Handle, end: Handle) |state| {
        let time = |event| recorded(state, event)?.ok_or(codes::INVALID_HANDLE);
        milliseconds.set(time(end)?.saturating_duration_since(time(start)?).as_secs_f32() * 1e3)
    };
    Context: cuLaunchKernel => (
        function: Handle, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint, block_x: c_uint, block_y: c_uint,
        block_z: c_uint, shared: c_uint, stream: Handle, arguments: Pointer<Pointer<u8>>, extra: Pointer<u8>
    ) |state| {
        check(state, stream)?;
        if !extra.is_null() {
            return Err(codes::NOT_SUPPORTED);
        }
        let dims = Dims { grid: [grid_x, grid_y, grid_z], block: [block_x, block_y, block_z], shared: shared as usize, cluster: [1; 3] };
        state.launch(function, dims, false, |i, len| argument(arguments, i, len))
    };
    Context: cuLaunchCooperativeKernel => (
        function: Handle, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint, block_x: c_uint, block_y: c_uint,
        block_z: c_uint, shared: c_uint, stream: Handle, arguments: Pointer<Pointer<u8>>
    ) |state| {
        check(state, stream)?;
        let dims = Dims { grid: [grid_x, grid_y, grid_z], block: [block_x, block_y, block_z], shared: shared as usize, cluster: [1; 3] };
        state.launch(function, dims, true, |i, len| argument(arguments, i, len))
    };
}

/// Returns the `len` bytes of argument `i` of a launch.
fn argument(arguments: Pointer<Pointer<u8>>, i: usize, len: usize) -> Result<Vec<u8>, Code> {
    Ok(arguments.slice(i + 1)?[i].slice(len)?.to_vec())
}

/// Returns the time at which an event was recorded, or `None` before the first record.
fn recorded(state: &DriverState, event: Handle) -> Result<Option<Instant>, Code> {
    state.events.get(&event).copied().ok_or(codes::INVALID_HANDLE)
}

fn check(state: &DriverState, stream: Handle) -> Result<(), Code> {
    if stream <= DEFAULT_STREAMS || state.streams.contains(&stream) { Ok(()) } else { Err(codes::INVALID_HANDLE) }
}
