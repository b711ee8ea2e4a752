//! The sections "Stream Management" and "Stream Memory Operations".

use std::ffi::{c_int, c_uint};

use super::abi::{check, exports};
use super::contexts::PRIORITIES;
use crate::driver::codes::{self, Code};
use crate::driver::objects::{DevicePtr, Handle, Ordinal};
use crate::driver::operation::{HostCall, HostFunction, Operation, StreamValue};
use crate::driver::pointer::Pointer;
use crate::driver::state::{DriverState, current};

/// The size in bytes of a `CUstreamAttrValue`.
const ATTRIBUTE_SIZE: usize = 64;

exports! {
    Context: cuStreamCreate => (stream: Pointer<Handle>, flags: c_uint)
        |state| stream.set(state.add_stream(current(), flags, 0));
    Context: cuStreamCreateWithPriority => (stream: Pointer<Handle>, flags: c_uint, priority: c_int)
        |state| stream.set(state.add_stream(current(), flags, priority.clamp(PRIORITIES.1, PRIORITIES.0)));
    Context: cuStreamDestroy_v2 => (stream: Handle) |state| {
        check(stream > 2).map_err(|_| codes::INVALID_HANDLE)?;
        let stream = state.stream(stream)?;
        state.finish(state.end(stream))?;
        state.streams.remove(&stream);
        Ok(())
    };
    Context: cuStreamSynchronize + "_ptsz" => (stream: Handle) |state| {
        let stream = state.stream(stream)?;
        state.refuse_capture(stream)?;
        state.wait(state.end(stream))
    };
    Context: cuStreamQuery + "_ptsz" => (stream: Handle) |state| {
        let stream = state.stream(stream)?;
        state.refuse_capture(stream)?;
        ready(state.wait(state.end(stream)))
    };
    Context: cuStreamWaitEvent + "_ptsz" => (stream: Handle, event: Handle, _flags: c_uint)
        |state| state.wait_event(stream, event);
    Context: cuStreamGetPriority + "_ptsz" => (stream: Handle, priority: Pointer<c_int>)
        |state| state.stream(stream).and_then(|stream| priority.set(state.streams[&stream].priority));
    Context: cuStreamGetFlags + "_ptsz" => (stream: Handle, flags: Pointer<c_uint>)
        |state| state.stream(stream).and_then(|stream| flags.set(state.streams[&stream].flags));
    Context: cuStreamGetId + "_ptsz" => (stream: Handle, id: Pointer<u64>)
        |state| state.stream(stream).and_then(|stream| id.set(stream as u64));
    Context: cuStreamGetCtx + "_ptsz" => (stream: Handle, context: Pointer<Handle>)
        |state| state.stream(stream).and_then(|stream| context.set(state.streams[&stream].context));
    Context: cuStreamGetCtx_v2 + "_ptsz" => (stream: Handle, context: Pointer<Handle>, green: Pointer<Handle>) |state| {
        let stream = state.stream(stream)?;
        green.set_if_wanted(0);
        context.set(state.streams[&stream].context)
    };
    Context: cuStreamGetDevice + "_ptsz" => (stream: Handle, device: Pointer<Ordinal>) |state| {
        let stream = state.stream(stream)?;
        device.set(state.contexts.get(&state.streams[&stream].context).ok_or(codes::INVALID_CONTEXT)?.device)
    };
    // The attributes of streams are hints for caches and schedulers.
    Context: cuStreamGetAttribute + "_ptsz" => (stream: Handle, _attribute: c_int, value: Pointer<u8>)
        |state| state.stream(stream).and_then(|_| value.set_all(&[0; ATTRIBUTE_SIZE]));
    Context: cuStreamSetAttribute + "_ptsz" => (stream: Handle, _attribute: c_int, _value: Pointer<u8>)
        |state| state.stream(stream).map(|_| ());
    Context: cuStreamCopyAttributes + "_ptsz" => (to: Handle, from: Handle)
        |state| state.stream(to).and_then(|_| state.stream(from)).map(|_| ());
    Context: cuStreamAddCallback + "_ptsz" => (
        stream: Handle, function: Option<extern "C" fn(usize, c_int, usize)>, argument: usize, flags: c_uint
    ) |state| {
        check(flags == 0)?;
        let function = HostFunction::Callback(function.ok_or(codes::INVALID_VALUE)?, stream);
        state.submit(stream, Operation::Host(HostCall { function, argument }))
    };
    Context: cuLaunchHostFunc + "_ptsz" => (stream: Handle, function: Option<extern "C" fn(usize)>, argument: usize)
        |state| launch_host(state, stream, function, argument);
    Context: cuLaunchHostFunc_v2 + "_ptsz" => (
        stream: Handle, function: Option<extern "C" fn(usize)>, argument: usize, _mode: c_uint
    ) |state| launch_host(state, stream, function, argument);
    Context: cuStreamWriteValue32_v2 + "_ptsz" => (stream: Handle, address: DevicePtr, value: u32, flags: c_uint)
        |state| submit_value(state, stream, Operation::WriteValue(at(address, value.into(), 4, flags)));
    Context: cuStreamWriteValue64_v2 + "_ptsz" => (stream: Handle, address: DevicePtr, value: u64, flags: c_uint)
        |state| submit_value(state, stream, Operation::WriteValue(at(address, value, 8, flags)));
    Context: cuStreamWaitValue32_v2 + "_ptsz" => (stream: Handle, address: DevicePtr, value: u32, flags: c_uint)
        |state| submit_value(state, stream, Operation::WaitValue(at(address, value.into(), 4, flags)));
    Context: cuStreamWaitValue64_v2 + "_ptsz" => (stream: Handle, address: DevicePtr, value: u64, flags: c_uint)
        |state| submit_value(state, stream, Operation::WaitValue(at(address, value, 8, flags)));
}

/// Returns the result of a question that does not wait for the host.
pub fn ready(result: Result<(), Code>) -> Result<(), Code> {
    result.map_err(|code| if code == codes::BLOCKED { codes::NOT_READY } else { code })
}

fn at(address: DevicePtr, value: u64, size: usize, flags: c_uint) -> StreamValue {
    StreamValue { address, value, size, flags }
}

/// Submits a write of a value or a wait for one, whose address must be that of an allocation.
pub fn submit_value(state: &mut DriverState, stream: Handle, operation: Operation) -> Result<(), Code> {
    if let Operation::WriteValue(value) | Operation::WaitValue(value) = &operation {
        check(state.gpu.contains(value.address, value.size))?;
    }
    state.submit(stream, operation)
}

fn launch_host(
    state: &mut DriverState,
    stream: Handle,
    function: Option<extern "C" fn(usize)>,
    argument: usize,
) -> Result<(), Code> {
    let function = HostFunction::Plain(function.ok_or(codes::INVALID_VALUE)?);
    state.submit(stream, Operation::Host(HostCall { function, argument }))
}
