//! The sections "Primary Context Management" and "Context Management", and the access of "Peer Context Memory Access".

use std::ffi::{c_int, c_uint};

use super::abi::{check, exports};
use crate::driver::codes::{self, Code};
use crate::driver::objects::{Handle, Ordinal};
use crate::driver::pointer::Pointer;
use crate::driver::state::{DriverState, current, pop, push};

/// The values of limits that a program has not set, by `CUlimit`.
const LIMITS: [usize; 8] = [1024, 1 << 20, 8 << 20, 2, 2048, 64, 0, 0];

/// The priorities of streams, from the least to the greatest.
pub const PRIORITIES: (c_int, c_int) = (0, -5);

exports! {
    Initialised: cuDevicePrimaryCtxRetain => (context: Pointer<Handle>, device: Ordinal) |state| {
        let index = state.check_device(device)?;
        context.set(state.primary(index))?;
        state.primaries[index].retained += 1;
        Ok(())
    };
    Initialised: cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2 => (device: Ordinal) |state| {
        let index = state.check_device(device)?;
        let primary = &mut state.primaries[index];
        primary.retained = primary.retained.checked_sub(1).ok_or(codes::INVALID_CONTEXT)?;
        let (context, retained) = (primary.context, primary.retained);
        if retained == 0 {
            state.remove_context(context);
        }
        Ok(())
    };
    Initialised: cuDevicePrimaryCtxReset, cuDevicePrimaryCtxReset_v2 => (device: Ordinal) |state| {
        let index = state.check_device(device)?;
        state.reset_context(state.primaries[index].context);
        Ok(())
    };
    Initialised: cuDevicePrimaryCtxSetFlags, cuDevicePrimaryCtxSetFlags_v2 => (device: Ordinal, flags: c_uint) |state| {
        let index = state.check_device(device)?;
        state.primaries[index].flags = flags;
        Ok(())
    };
    Initialised: cuDevicePrimaryCtxGetState => (device: Ordinal, flags: Pointer<c_uint>, active: Pointer<c_int>) |state| {
        let index = state.check_device(device)?;
        flags.set(state.primaries[index].flags)?;
        active.set((state.primaries[index].retained > 0).into())
    };
    Initialised: cuCtxCreate_v2 => (context: Pointer<Handle>, flags: c_uint, device: Ordinal)
        |state| create(state, context, flags, device);
    Initialised: cuCtxCreate_v3 => (
        context: Pointer<Handle>, _affinities: Pointer<u8>, count: c_int, flags: c_uint, device: Ordinal
    ) |state| check(count == 0).and_then(|()| create(state, context, flags, device));
    Initialised: cuCtxCreate_v4 => (context: Pointer<Handle>, _params: Pointer<u8>, flags: c_uint, device: Ordinal)
        |state| create(state, context, flags, device);
    Initialised: cuCtxDestroy_v2 => (context: Handle) |state| {
        state.check_context(context)?;
        state.remove_context(context);
        if current() == context {
            pop();
        }
        Ok(())
    };
    Initialised: cuCtxSetCurrent => (context: Handle) |state| {
        if context != 0 {
            state.check_context(context)?;
        }
        pop();
        if context != 0 {
            push(context);
        }
        Ok(())
    };
    Initialised: cuCtxGetCurrent => (context: Pointer<Handle>) |_state| context.set(current());
    Initialised: cuCtxPushCurrent_v2 => (context: Handle) |state| state.check_context(context).map(|()| push(context));
    Initialised: cuCtxPopCurrent_v2 => (context: Pointer<Handle>) |_state| {
        check(current() != 0).map_err(|_| codes::INVALID_CONTEXT)?;
        context.set_if_wanted(pop());
        Ok(())
    };
    Context: cuCtxGetDevice => (device: Pointer<Ordinal>) |state| device.set(state.device()? as Ordinal);
    Initialised: cuCtxGetDevice_v2 => (device: Pointer<Ordinal>, context: Handle)
        |state| device.set(state.contexts.get(&or_current(context)).ok_or(codes::INVALID_CONTEXT)?.device);
    Context: cuCtxGetFlags => (flags: Pointer<c_uint>) |state| flags.set(state.context()?.flags);
    Context: cuCtxSetFlags => (flags: c_uint) |state| {
        state.context()?.flags = flags;
        Ok(())
    };
    Initialised: cuCtxGetId => (context: Handle, id: Pointer<u64>)
        |state| state.check_context(or_current(context)).and_then(|()| id.set(or_current(context) as u64));
    Initialised: cuCtxGetApiVersion => (context: Handle, version: Pointer<c_uint>)
        |state| state.check_context(or_current(context)).and_then(|()| version.set(3020));
    Context: cuCtxGetLimit => (value: Pointer<usize>, limit: c_int) |state| {
        let first = LIMITS.get(limit as usize).copied().ok_or(codes::UNSUPPORTED_LIMIT)?;
        value.set(state.context()?.limits.get(&limit).copied().unwrap_or(first))
    };
    Context: cuCtxSetLimit => (limit: c_int, value: usize) |state| {
        LIMITS.get(limit as usize).ok_or(codes::UNSUPPORTED_LIMIT)?;
        state.context()?.limits.insert(limit, value);
        Ok(())
    };
    Context: cuCtxGetCacheConfig, cuCtxGetSharedMemConfig => (config: Pointer<c_int>) |_state| config.set(0);
    Context: cuCtxSetCacheConfig, cuCtxSetSharedMemConfig => (_config: c_int) |_state| Ok(());
    Context: cuCtxResetPersistingL2Cache => () |_state| Ok(());
    Context: cuCtxGetStreamPriorityRange => (least: Pointer<c_int>, greatest: Pointer<c_int>) |_state| {
        least.set_if_wanted(PRIORITIES.0);
        greatest.set_if_wanted(PRIORITIES.1);
        Ok(())
    };
    Context: cuCtxSynchronize => () |state| synchronise(state, current());
    Initialised: cuCtxSynchronize_v2 => (context: Handle)
        |state| state.check_context(or_current(context)).and_then(|()| synchronise(state, or_current(context)));
    Context: cuCtxEnablePeerAccess => (peer: Handle, flags: c_uint) |state| {
        check(flags == 0)?;
        state.check_context(peer)?;
        check(peer != current())?;
        if state.context()?.peers.insert(peer) { Ok(()) } else { Err(codes::PEER_ACCESS_ALREADY_ENABLED) }
    };
    Context: cuCtxDisablePeerAccess => (peer: Handle)
        |state| if state.context()?.peers.remove(&peer) { Ok(()) } else { Err(codes::PEER_ACCESS_NOT_ENABLED) };
    // A profiler can collect from the whole run with the setting `profile`.
    Context: cuProfilerStart, cuProfilerStop => () |_state| Ok(());
    Context: cuFlushGPUDirectRDMAWrites => (_target: c_int, _scope: c_int) |_state| Ok(());
}

/// Returns a context, or the current one instead of 0.
fn or_current(context: Handle) -> Handle {
    if context == 0 { current() } else { context }
}

fn create(state: &mut DriverState, context: Pointer<Handle>, flags: c_uint, device: Ordinal) -> Result<(), Code> {
    state.check_device(device)?;
    check(!context.is_null())?;
    let handle = state.add_context(device, flags);
    push(handle);
    context.set(handle)
}

/// Completes the operations of all streams of a context.
fn synchronise(state: &mut DriverState, context: Handle) -> Result<(), Code> {
    let streams: Vec<_> = state.streams.iter().filter(|(_, stream)| stream.context == context).collect();
    if streams.iter().any(|(_, stream)| stream.capture != 0) {
        return Err(codes::STREAM_CAPTURE_UNSUPPORTED);
    }
    for stream in streams.into_iter().map(|(handle, _)| *handle).collect::<Vec<_>>() {
        state.finish(state.end(stream))?;
    }
    state.fault(context).map_or(Ok(()), Err)
}
