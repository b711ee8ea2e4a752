//! Streams, events and launches: sections 6.18, 6.19 and 6.22. A launch runs to its end at once, in the order of the calls.

use std::ffi::{c_int, c_uint, c_void};
use std::time::Instant;

use super::super::codes::{self, Code};
use super::super::state::{Handle, Needs, State, call};
use super::{bytes, export, give};
use crate::simulator::Dims;

export! {
    Context fn cuStreamCreate(stream: *mut Handle, _flags: c_uint) |state| { new_stream(state, stream) }
    Context fn cuStreamCreateWithPriority(stream: *mut Handle, _flags: c_uint, _priority: c_int) |state| {
        new_stream(state, stream)
    }
    Context fn cuStreamDestroy_v2(stream: Handle) |state| {
        if state.streams.remove(&stream) { Ok(()) } else { Err(codes::INVALID_HANDLE) }
    }
    Context fn cuStreamSynchronize(stream: Handle) |state| { known(state, stream) }
    Context fn cuStreamQuery(stream: Handle) |state| { known(state, stream) }
    Context fn cuStreamWaitEvent(stream: Handle, event: Handle, _flags: c_uint) |state| {
        known(state, stream)?;
        state.events.get(&event).map(|_| ()).ok_or(codes::INVALID_HANDLE)
    }
    Context fn cuEventCreate(event: *mut Handle, _flags: c_uint) |state| {
        let handle = state.handle();
        state.events.insert(handle, None);
        give(event, handle)
    }
    Context fn cuEventDestroy_v2(event: Handle) |state| {
        state.events.remove(&event).map(|_| ()).ok_or(codes::INVALID_HANDLE)
    }
    Context fn cuEventRecord(event: Handle, stream: Handle) |state| {
        known(state, stream)?;
        *state.events.get_mut(&event).ok_or(codes::INVALID_HANDLE)? = Some(Instant::now());
        Ok(())
    }
    Context fn cuEventSynchronize(event: Handle) |state| {
        state.events.get(&event).map(|_| ()).ok_or(codes::INVALID_HANDLE)
    }
    Context fn cuEventQuery(event: Handle) |state| {
        state.events.get(&event).map(|_| ()).ok_or(codes::INVALID_HANDLE)
    }
    Context fn cuEventElapsedTime(milliseconds: *mut f32, start: Handle, end: Handle) |state| {
        let time = |event| state.events.get(&event).copied().flatten().ok_or(codes::INVALID_HANDLE);
        // The emulation's own time.
        give(milliseconds, time(end)?.saturating_duration_since(time(start)?).as_secs_f32() * 1e3)
    }
    Context fn cuLaunchKernel(
        function: Handle,
        grid_x: c_uint,
        grid_y: c_uint,
        grid_z: c_uint,
        block_x: c_uint,
        block_y: c_uint,
        block_z: c_uint,
        shared: c_uint,
        stream: Handle,
        arguments: *mut *mut c_void,
        extra: *mut *mut c_void,
    ) |state| {
        if !extra.is_null() {
            return Err(codes::NOT_SUPPORTED);
        }
        known(state, stream)?;
        let dims = Dims { grid: [grid_x, grid_y, grid_z], block: [block_x, block_y, block_z], shared: shared as usize };
        state.launch(function, dims, false, |i, len| argument(arguments, i, len))
    }
    Context fn cuLaunchCooperativeKernel(
        function: Handle,
        grid_x: c_uint,
        grid_y: c_uint,
        grid_z: c_uint,
        block_x: c_uint,
        block_y: c_uint,
        block_z: c_uint,
        shared: c_uint,
        stream: Handle,
        arguments: *mut *mut c_void,
    ) |state| {
        known(state, stream)?;
        let dims = Dims { grid: [grid_x, grid_y, grid_z], block: [block_x, block_y, block_z], shared: shared as usize };
        state.launch(function, dims, true, |i, len| argument(arguments, i, len))
    }
}

fn new_stream(state: &mut State, stream: *mut Handle) -> Result<(), Code> {
    let handle = state.handle();
    state.streams.insert(handle);
    give(stream, handle)
}

/// The default streams are 0, 1 and 2.
fn known(state: &State, stream: Handle) -> Result<(), Code> {
    if stream <= 2 || state.streams.contains(&stream) { Ok(()) } else { Err(codes::INVALID_HANDLE) }
}

/// The bytes of argument `i` of a launch.
fn argument(arguments: *mut *mut c_void, i: usize, len: usize) -> Option<Vec<u8>> {
    if arguments.is_null() {
        return None;
    }
    // SAFETY: the API asks for as many pointers as the kernel has parameters.
    let argument = unsafe { *arguments.add(i) };
    bytes(argument, len).ok().map(<[u8]>::to_vec)
}
