//! The sections "Primary Context Management" and "Context Management". All contexts share the memory of the device.

use std::ffi::c_uint;

use super::devices::{Ordinal, check};
use super::pointers::Pointer;
use super::table::exports;
use crate::driver::codes::{self, Code};
use crate::driver::state::{Handle, State, current, pop, push};

exports! {
    Initialised: cuDevicePrimaryCtxRetain => (context: Pointer<Handle>, device: Ordinal) |state| {
        check(device)?;
        if state.primary_retained == 0 {
            state.primary = new_context(state);
        }
        state.primary_retained += 1;
        context.set(state.primary)
    };
    Initialised: cuDevicePrimaryCtxRelease_v2 => (device: Ordinal) |state| {
        check(device)?;
        state.primary_retained = state.primary_retained.checked_sub(1).ok_or(codes::INVALID_CONTEXT)?;
        if state.primary_retained == 0 {
            state.contexts.remove(&state.primary);
            state.reset();
        }
        Ok(())
    };
    Initialised: cuDevicePrimaryCtxReset_v2 => (device: Ordinal) |state| check(device).map(|()| state.reset());
    Initialised: cuDevicePrimaryCtxSetFlags_v2 => (device: Ordinal, _flags: c_uint) |_state| check(device);
    Initialised: cuCtxCreate_v2 => (context: Pointer<Handle>, _flags: c_uint, device: Ordinal) |state| {
        check(device)?;
        let handle = new_context(state);
        push(handle);
        context.set(handle)
    };
    Initialised: cuCtxDestroy_v2 => (context: Handle) |state| {
        known(state, context)?;
        state.contexts.remove(&context);
        if current() == context {
            pop();
        }
        if state.contexts.is_empty() {
            state.reset();
        }
        Ok(())
    };
    Initialised: cuCtxSetCurrent => (context: Handle) |state| {
        if context != 0 {
            known(state, context)?;
        }
        pop();
        if context != 0 {
            push(context);
        }
        Ok(())
    };
    Initialised: cuCtxGetCurrent => (context: Pointer<Handle>) |_state| context.set(current());
    Initialised: cuCtxPushCurrent_v2 => (context: Handle) |state| known(state, context).map(|()| push(context));
    Initialised: cuCtxPopCurrent_v2 => (context: Pointer<Handle>) |_state| {
        let top = pop();
        if context.is_null() { Ok(()) } else { context.set(top) }
    };
    Context: cuCtxGetDevice => (device: Pointer<Ordinal>) |_state| device.set(0);
    Context: cuCtxSynchronize => () |_state| Ok(());
}

fn new_context(state: &mut State) -> Handle {
    let handle = state.handle();
    state.contexts.insert(handle);
    handle
}

fn known(state: &State, context: Handle) -> Result<(), Code> {
    if state.contexts.contains(&context) { Ok(()) } else { Err(codes::INVALID_CONTEXT) }
}
