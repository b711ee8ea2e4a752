//! The section "Event Management".

use std::ffi::c_uint;

use super::abi::exports;
use super::streams::ready;
use crate::driver::codes::{self, Code};
use crate::driver::objects::{Event, Handle};
use crate::driver::pointer::Pointer;
use crate::driver::state::{DriverState, current};

/// The flag of an event without a time (`CU_EVENT_DISABLE_TIMING`).
const DISABLE_TIMING: c_uint = 2;

exports! {
    Context: cuEventCreate => (event: Pointer<Handle>, flags: c_uint) |state| {
        let new = Event { context: current(), flags, ..Event::default() };
        event.set(state.register(|state, handle| state.events.insert(handle, new)))
    };
    Context: cuEventDestroy_v2 => (event: Handle)
        |state| state.events.remove(&event).map(|_| ()).ok_or(codes::INVALID_HANDLE);
    Context: cuEventRecord + "_ptsz" => (event: Handle, stream: Handle) |state| state.record(event, stream);
    Context: cuEventRecordWithFlags + "_ptsz" => (event: Handle, stream: Handle, _flags: c_uint)
        |state| state.record(event, stream);
    Context: cuEventSynchronize => (event: Handle) |state| complete(state, event);
    Context: cuEventQuery => (event: Handle) |state| ready(complete(state, event));
    Context: cuEventElapsedTime, cuEventElapsedTime_v2 => (milliseconds: Pointer<f32>, start: Handle, end: Handle) |state| {
        let mut times = Vec::new();
        for event in [start, end] {
            let found = state.events.get(&event).ok_or(codes::INVALID_HANDLE)?;
            let point = found.recorded.filter(|_| found.flags & DISABLE_TIMING == 0).ok_or(codes::INVALID_HANDLE)?;
            if !state.is_complete(point) {
                return Err(codes::NOT_READY);
            }
            times.push(found.time.ok_or(codes::INVALID_HANDLE)?);
        }
        let signed = times[1].saturating_duration_since(times[0]).as_secs_f32()
            - times[0].saturating_duration_since(times[1]).as_secs_f32();
        milliseconds.set(signed * 1e3)
    };
}

/// Completes the operations before the last record of an event.
fn complete(state: &mut DriverState, event: Handle) -> Result<(), Code> {
    let event = state.events.get(&event).ok_or(codes::INVALID_HANDLE)?;
    if event.capture.0 != 0 {
        return Err(codes::CAPTURED_EVENT);
    }
    event.recorded.map_or(Ok(()), |point| state.wait(point))
}
