//! The functions of several operations in the sections "Memory Management" and "Stream Memory Operations".

use std::ffi::{c_int, c_uint};

use super::abi::exports;
use super::streams::submit_value;
use crate::driver::codes::{self, Code};
use crate::driver::objects::{DevicePtr, Handle};
use crate::driver::operation::{Copy, End, Operation, StreamValue};
use crate::driver::pointer::Pointer;
use crate::driver::state::DriverState;

/// A `CUstreamBatchMemOpParams`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ValueParams {
    /// The `CUstreamBatchMemOpType`.
    kind: c_int,
    address: DevicePtr,
    value: u64,
    flags: c_uint,
    reserved: [u64; 2],
}

/// The arrays of a batch of copies.
#[derive(Clone, Copy)]
struct Copies {
    to: Pointer<DevicePtr>,
    from: Pointer<DevicePtr>,
    sizes: Pointer<usize>,
    count: usize,
}

exports! {
    Context: cuMemcpyBatchAsync + "_ptsz" => (
        to: Pointer<DevicePtr>, from: Pointer<DevicePtr>, sizes: Pointer<usize>, count: usize, _attributes: Pointer<u8>,
        _indices: Pointer<usize>, _attribute_count: usize, failed: Pointer<usize>, stream: Handle
    ) |state| {
        copy_all(state, Copies { to, from, sizes, count }, stream).map_err(|(index, code)| {
            failed.set_if_wanted(index);
            code
        })
    };
    Context: cuMemcpyBatchAsync_v2 + "_ptsz" => (
        to: Pointer<DevicePtr>, from: Pointer<DevicePtr>, sizes: Pointer<usize>, count: usize, _attributes: Pointer<u8>,
        _indices: Pointer<usize>, _attribute_count: usize, stream: Handle
    ) |state| copy_all(state, Copies { to, from, sizes, count }, stream).map_err(|(_, code)| code);
    Context: cuStreamBatchMemOp_v2 + "_ptsz" => (
        stream: Handle, count: c_uint, operations: Pointer<ValueParams>, _flags: c_uint
    ) |state| operations.slice(count as usize)?.iter().try_for_each(|params| {
        let ValueParams { kind, address, value, flags, .. } = *params;
        // A value of 32 bits shares its place with one of 64 bits.
        let narrow = |size| if size == 4 { u64::from(value as u32) } else { value };
        let at = |size| StreamValue { address, value: narrow(size), size, flags };
        match kind {
            1 => submit_value(state, stream, Operation::WaitValue(at(4))),
            2 => submit_value(state, stream, Operation::WriteValue(at(4))),
            4 => submit_value(state, stream, Operation::WaitValue(at(8))),
            5 => submit_value(state, stream, Operation::WriteValue(at(8))),
            // All writes are visible at once, so a flush and a barrier have no effect.
            3 | 6 => Ok(()),
            _ => Err(codes::INVALID_VALUE),
        }
    });
}

/// Submits copies one after the other. An error holds the index of the copy.
fn copy_all(state: &mut DriverState, copies: Copies, stream: Handle) -> Result<(), (usize, Code)> {
    let Copies { to, from, sizes, count } = copies;
    let all = |code| (usize::MAX, code);
    let (to, from) = (to.slice(count).map_err(all)?, from.slice(count).map_err(all)?);
    let sizes = sizes.slice(count).map_err(all)?;
    for (i, ((to, from), size)) in to.iter().zip(from).zip(sizes).enumerate() {
        state
            .submit(stream, Operation::Copy(Copy::linear(End::any(*to), End::any(*from), *size)))
            .map_err(|code| (i, code))?;
    }
    Ok(())
}
