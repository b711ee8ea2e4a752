//! The functions of the section "Graph Management" that take the parameters of nodes of any type.

use std::ffi::{c_int, c_uint};

use super::abi::exports;
use super::copies::{Copy3, FillParams, copy3};
use super::nodes::{HostParams, KernelParams, KernelParams2, New, add, found, host, kernel2, replace, replace_exec};
use crate::driver::codes::{self, Code};
use crate::driver::objects::{DevicePtr, Handle, Kind};
use crate::driver::operation::Operation;
use crate::driver::pointer::Pointer;
use crate::driver::state::DriverState;

/// A `CUgraphNodeParams`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct NodeParams {
    /// The `CUgraphNodeType`.
    kind: c_int,
    reserved: [c_int; 3],
    /// The parameters of the type.
    params: [u64; 29],
    reserved_end: u64,
}

/// A `CUDA_MEMCPY_NODE_PARAMS`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct CopyParams {
    flags: c_int,
    reserved: c_int,
    context: Handle,
    copy: Copy3,
}

/// A `CUDA_MEM_ALLOC_NODE_PARAMS`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct AllocateParams {
    pool: [u64; 11],
    accesses: u64,
    access_count: usize,
    size: usize,
    address: DevicePtr,
}

exports! {
    Context: cuGraphAddNode => (
        node: Pointer<Handle>, graph: Handle, after: Pointer<Handle>, count: usize, params: Pointer<NodeParams>
    ) |state| {
        let operation = operation(state, params)?;
        add(state, New { node, graph, after, count }, operation)
    };
    Context: cuGraphAddNode_v2 => (
        node: Pointer<Handle>, graph: Handle, after: Pointer<Handle>, _edges: Pointer<u64>, count: usize,
        params: Pointer<NodeParams>
    ) |state| {
        let operation = operation(state, params)?;
        add(state, New { node, graph, after, count }, operation)
    };
    Context: cuGraphNodeSetParams => (node: Handle, params: Pointer<NodeParams>)
        |state| operation(state, params).and_then(|operation| replace(state, node, operation));
    Context: cuGraphExecNodeSetParams => (exec: Handle, node: Handle, params: Pointer<NodeParams>)
        |state| operation(state, params).and_then(|operation| replace_exec(state, exec, node, operation));
    Context: cuGraphAddMemAllocNode => (
        node: Pointer<Handle>, graph: Handle, after: Pointer<Handle>, count: usize, params: Pointer<AllocateParams>
    ) |state| {
        let given = params.get()?;
        let address = state.allocate(given.size, Kind::Graph)?;
        params.set(AllocateParams { address, ..given })?;
        add(state, New { node, graph, after, count }, Operation::Allocate(address, given.size))
    };
    Context: cuGraphMemAllocNodeGetParams => (node: Handle, params: Pointer<AllocateParams>)
        |state| match found(state, node)?.operation {
        Operation::Allocate(address, size) => {
            params.set(AllocateParams { pool: [0; 11], accesses: 0, access_count: 0, size, address })
        }
        _ => Err(codes::INVALID_VALUE),
    };
    // The arguments of a launch are copied, so there are no pointers to them.
    Context: cuGraphKernelNodeGetParams => (node: Handle, params: Pointer<KernelParams>)
        |state| params.set(described(state, node)?);
    Context: cuGraphKernelNodeGetParams_v2 => (node: Handle, params: Pointer<KernelParams2>)
        |state| params.set(KernelParams2 { first: described(state, node)?, kernel: 0, context: 0 });
    Context: cuGraphKernelNodeSetAttribute => (node: Handle, _attribute: c_uint, _value: Pointer<u8>)
        |state| described(state, node).map(|_| ());
    Context: cuGraphKernelNodeCopyAttributes => (to: Handle, from: Handle)
        |state| described(state, to).and_then(|_| described(state, from)).map(|_| ());
}

/// Returns the operation that parameters describe.
fn operation(state: &mut DriverState, params: Pointer<NodeParams>) -> Result<Operation, Code> {
    let kind = params.get()?.kind;
    let inner: Pointer<u8> = params.cast::<u8>().at(16);
    match kind {
        0 => kernel2(state, inner.cast()),
        1 => {
            let copy = inner.cast::<CopyParams>().cast::<u8>().at::<u8>(std::mem::offset_of!(CopyParams, copy));
            copy3(state, copy.cast()).map(Operation::Copy)
        }
        2 => inner.cast::<FillParams>().get()?.fill().map(Operation::Fill),
        3 => host(inner.cast::<HostParams>()),
        4 => state.child(inner.cast::<Handle>().get()?),
        5 => Ok(Operation::Empty),
        6 => Ok(Operation::WaitEvent(inner.cast::<Handle>().get()?)),
        7 => Ok(Operation::Record(inner.cast::<Handle>().get()?)),
        11 => Ok(Operation::Free(inner.cast::<DevicePtr>().get()?)),
        _ => Err(codes::NOT_SUPPORTED),
    }
}

/// Returns the parameters of a node that launches a kernel.
fn described(state: &DriverState, node: Handle) -> Result<KernelParams, Code> {
    let Operation::Kernel(launch) = &found(state, node)?.operation else { return Err(codes::INVALID_VALUE) };
    let (each, extra) = (Pointer::from_address(0), Pointer::from_address(0));
    let shared = launch.dims.shared as c_uint;
    Ok(KernelParams {
        function: launch.function,
        grid: launch.dims.grid,
        block: launch.dims.block,
        shared,
        each,
        extra,
    })
}
