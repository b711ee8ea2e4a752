//! The nodes of graphs in the section "Graph Management".

use std::ffi::{c_int, c_uint};

use super::abi::{check, exports};
use super::copies::{Copy3, FillParams, copy3, described};
use super::graphs::{known, list, list_data};
use super::launches::{Arguments, dims, prepared};
use crate::driver::codes::{self, Code};
use crate::driver::objects::{DevicePtr, Handle, Kind, Node};
use crate::driver::operation::{HostCall, HostFunction, Operation};
use crate::driver::pointer::Pointer;
use crate::driver::state::DriverState;

/// The members of a `CUDA_KERNEL_NODE_PARAMS` that its first version has too.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct KernelParams {
    pub function: Handle,
    pub grid: [c_uint; 3],
    pub block: [c_uint; 3],
    pub shared: c_uint,
    pub each: Pointer<Pointer<u8>>,
    pub extra: Pointer<usize>,
}

/// A `CUDA_KERNEL_NODE_PARAMS`, in which a kernel of a library can take the place of the function.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct KernelParams2 {
    pub first: KernelParams,
    pub kernel: Handle,
    pub context: Handle,
}

/// A `CUDA_HOST_NODE_PARAMS`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HostParams {
    function: Option<extern "C" fn(usize)>,
    argument: usize,
}

/// The handle and the dependencies of a new node.
#[derive(Clone, Copy)]
pub struct New {
    pub node: Pointer<Handle>,
    pub graph: Handle,
    pub after: Pointer<Handle>,
    pub count: usize,
}

exports! {
    Context: cuGraphAddKernelNode => (
        node: Pointer<Handle>, graph: Handle, after: Pointer<Handle>, count: usize, params: Pointer<KernelParams>
    ) |state| {
        let launch = kernel(state, params.get()?)?;
        add(state, New { node, graph, after, count }, launch)
    };
    Context: cuGraphAddKernelNode_v2 => (
        node: Pointer<Handle>, graph: Handle, after: Pointer<Handle>, count: usize, params: Pointer<KernelParams2>
    ) |state| {
        let launch = kernel2(state, params)?;
        add(state, New { node, graph, after, count }, launch)
    };
    Context: cuGraphKernelNodeSetParams => (node: Handle, params: Pointer<KernelParams>)
        |state| kernel(state, params.get()?).and_then(|launch| replace(state, node, launch));
    Context: cuGraphKernelNodeSetParams_v2 => (node: Handle, params: Pointer<KernelParams2>)
        |state| kernel2(state, params).and_then(|launch| replace(state, node, launch));
    Context: cuGraphExecKernelNodeSetParams => (exec: Handle, node: Handle, params: Pointer<KernelParams>)
        |state| kernel(state, params.get()?).and_then(|launch| replace_exec(state, exec, node, launch));
    Context: cuGraphExecKernelNodeSetParams_v2 => (exec: Handle, node: Handle, params: Pointer<KernelParams2>)
        |state| kernel2(state, params).and_then(|launch| replace_exec(state, exec, node, launch));
    Context: cuGraphAddMemcpyNode => (
        node: Pointer<Handle>, graph: Handle, after: Pointer<Handle>, count: usize, copy: Pointer<Copy3>,
        _context: Handle
    ) |state| {
        let copy = Operation::Copy(copy3(state, copy)?);
        add(state, New { node, graph, after, count }, copy)
    };
    Context: cuGraphMemcpyNodeSetParams => (node: Handle, copy: Pointer<Copy3>)
        |state| copy3(state, copy).and_then(|copy| replace(state, node, Operation::Copy(copy)));
    Context: cuGraphMemcpyNodeGetParams => (node: Handle, copy: Pointer<Copy3>) |state| match found(state, node)?.operation {
        Operation::Copy(found) => copy.set(described(&found)),
        _ => Err(codes::INVALID_VALUE),
    };
    Context: cuGraphExecMemcpyNodeSetParams => (exec: Handle, node: Handle, copy: Pointer<Copy3>, _context: Handle)
        |state| copy3(state, copy).and_then(|copy| replace_exec(state, exec, node, Operation::Copy(copy)));
    Context: cuGraphAddMemsetNode => (
        node: Pointer<Handle>, graph: Handle, after: Pointer<Handle>, count: usize, fill: Pointer<FillParams>,
        _context: Handle
    ) |state| add(state, New { node, graph, after, count }, Operation::Fill(fill.get()?.fill()?));
    Context: cuGraphMemsetNodeSetParams => (node: Handle, fill: Pointer<FillParams>)
        |state| replace(state, node, Operation::Fill(fill.get()?.fill()?));
    Context: cuGraphMemsetNodeGetParams => (node: Handle, fill: Pointer<FillParams>)
        |state| match &found(state, node)?.operation {
        Operation::Fill(found) => fill.set(FillParams::of(found)),
        _ => Err(codes::INVALID_VALUE),
    };
    Context: cuGraphExecMemsetNodeSetParams => (exec: Handle, node: Handle, fill: Pointer<FillParams>, _context: Handle)
        |state| replace_exec(state, exec, node, Operation::Fill(fill.get()?.fill()?));
    Context: cuGraphAddHostNode => (
        node: Pointer<Handle>, graph: Handle, after: Pointer<Handle>, count: usize, params: Pointer<HostParams>
    ) |state| add(state, New { node, graph, after, count }, host(params)?);
    Context: cuGraphHostNodeSetParams => (node: Handle, params: Pointer<HostParams>)
        |state| replace(state, node, host(params)?);
    Context: cuGraphHostNodeGetParams => (node: Handle, params: Pointer<HostParams>)
        |state| match found(state, node)?.operation {
        Operation::Host(HostCall { function: HostFunction::Plain(function), argument }) => {
            params.set(HostParams { function: Some(function), argument })
        }
        _ => Err(codes::INVALID_VALUE),
    };
    Context: cuGraphExecHostNodeSetParams => (exec: Handle, node: Handle, params: Pointer<HostParams>)
        |state| replace_exec(state, exec, node, host(params)?);
    Context: cuGraphAddChildGraphNode => (
        node: Pointer<Handle>, graph: Handle, after: Pointer<Handle>, count: usize, child: Handle
    ) |state| {
        let child = state.child(child)?;
        add(state, New { node, graph, after, count }, child)
    };
    Context: cuGraphChildGraphNodeGetGraph => (node: Handle, graph: Pointer<Handle>)
        |state| match &found(state, node)?.operation {
        Operation::Graph(_, child) => graph.set(*child),
        _ => Err(codes::INVALID_VALUE),
    };
    Context: cuGraphExecChildGraphNodeSetParams => (exec: Handle, node: Handle, child: Handle)
        |state| {
        let operations = DriverState::operations(&state.instantiate(child)?);
        replace_exec(state, exec, node, Operation::Graph(operations, 0))
    };
    Context: cuGraphAddEmptyNode => (node: Pointer<Handle>, graph: Handle, after: Pointer<Handle>, count: usize)
        |state| add(state, New { node, graph, after, count }, Operation::Empty);
    Context: cuGraphAddEventRecordNode => (
        node: Pointer<Handle>, graph: Handle, after: Pointer<Handle>, count: usize, event: Handle
    ) |state| add(state, New { node, graph, after, count }, Operation::Record(event));
    Context: cuGraphAddEventWaitNode => (
        node: Pointer<Handle>, graph: Handle, after: Pointer<Handle>, count: usize, event: Handle
    ) |state| add(state, New { node, graph, after, count }, Operation::WaitEvent(event));
    Context: cuGraphEventRecordNodeGetEvent, cuGraphEventWaitNodeGetEvent => (node: Handle, event: Pointer<Handle>)
        |state| match found(state, node)?.operation {
        Operation::Record(found) | Operation::WaitEvent(found) => event.set(found),
        _ => Err(codes::INVALID_VALUE),
    };
    Context: cuGraphEventRecordNodeSetEvent => (node: Handle, event: Handle)
        |state| replace(state, node, Operation::Record(event));
    Context: cuGraphEventWaitNodeSetEvent => (node: Handle, event: Handle)
        |state| replace(state, node, Operation::WaitEvent(event));
    Context: cuGraphExecEventRecordNodeSetEvent => (exec: Handle, node: Handle, event: Handle)
        |state| replace_exec(state, exec, node, Operation::Record(event));
    Context: cuGraphExecEventWaitNodeSetEvent => (exec: Handle, node: Handle, event: Handle)
        |state| replace_exec(state, exec, node, Operation::WaitEvent(event));
    Context: cuGraphAddMemFreeNode => (
        node: Pointer<Handle>, graph: Handle, after: Pointer<Handle>, count: usize, address: DevicePtr
    ) |state| {
        check(state.allocations.get(&address).is_some_and(|found| found.kind == Kind::Graph))?;
        add(state, New { node, graph, after, count }, Operation::Free(address))
    };
    Context: cuGraphMemFreeNodeGetParams => (node: Handle, address: Pointer<DevicePtr>)
        |state| match found(state, node)?.operation {
        Operation::Free(found) => address.set(found),
        _ => Err(codes::INVALID_VALUE),
    };
    Initialised: cuGraphDestroyNode => (node: Handle) |state| {
        let Node { graph, operation, .. } = state.nodes.remove(&node).ok_or(codes::INVALID_HANDLE)?;
        if let Operation::Graph(_, child) = operation {
            state.remove_graph(child);
        }
        state.graphs.entry(graph).and_modify(|graph| graph.nodes.retain(|other| *other != node));
        state.nodes.values_mut().for_each(|other| other.after.retain(|before| *before != node));
        Ok(())
    };
    Initialised: cuGraphNodeGetType => (node: Handle, kind: Pointer<c_int>)
        |state| kind.set(found(state, node)?.operation.node_type());
    Initialised: cuGraphNodeGetContainingGraph => (node: Handle, graph: Pointer<Handle>)
        |state| graph.set(found(state, node)?.graph);
    Initialised: cuGraphNodeGetLocalId => (node: Handle, id: Pointer<c_uint>) |state| {
        let graph = known(state, found(state, node)?.graph)?;
        id.set(graph.nodes.iter().position(|other| *other == node).unwrap_or(0) as c_uint)
    };
    Initialised: cuGraphNodeGetToolsId => (node: Handle, id: Pointer<u64>)
        |state| found(state, node).and_then(|_| id.set(node as u64));
    Initialised: cuGraphNodeGetDependencies => (node: Handle, nodes: Pointer<Handle>, count: Pointer<usize>)
        |state| list(&found(state, node)?.after, nodes, count);
    Initialised: cuGraphNodeGetDependencies_v2 => (
        node: Handle, nodes: Pointer<Handle>, edges: Pointer<u64>, count: Pointer<usize>
    ) |state| list(&found(state, node)?.after, nodes, count).and_then(|()| list_data(edges, nodes, count));
    Initialised: cuGraphNodeGetDependentNodes => (node: Handle, nodes: Pointer<Handle>, count: Pointer<usize>)
        |state| list(&dependents(state, node)?, nodes, count);
    Initialised: cuGraphNodeGetDependentNodes_v2 => (
        node: Handle, nodes: Pointer<Handle>, edges: Pointer<u64>, count: Pointer<usize>
    ) |state| list(&dependents(state, node)?, nodes, count).and_then(|()| list_data(edges, nodes, count));
    Initialised: cuGraphAddDependencies => (graph: Handle, from: Pointer<Handle>, to: Pointer<Handle>, count: usize)
        |state| connect(state, graph, from.slice(count)?, to.slice(count)?);
    Initialised: cuGraphAddDependencies_v2 => (
        graph: Handle, from: Pointer<Handle>, to: Pointer<Handle>, _edges: Pointer<u64>, count: usize
    ) |state| connect(state, graph, from.slice(count)?, to.slice(count)?);
    Initialised: cuGraphRemoveDependencies => (graph: Handle, from: Pointer<Handle>, to: Pointer<Handle>, count: usize)
        |state| disconnect(state, graph, from.slice(count)?, to.slice(count)?);
    Initialised: cuGraphRemoveDependencies_v2 => (
        graph: Handle, from: Pointer<Handle>, to: Pointer<Handle>, _edges: Pointer<u64>, count: usize
    ) |state| disconnect(state, graph, from.slice(count)?, to.slice(count)?);
}

/// Returns a node.
pub fn found(state: &DriverState, node: Handle) -> Result<&Node, Code> {
    state.nodes.get(&node).ok_or(codes::INVALID_HANDLE)
}

/// Adds a node, whose dependencies must be nodes of the same graph.
pub fn add(state: &mut DriverState, new: New, operation: Operation) -> Result<(), Code> {
    known(state, new.graph)?;
    let after = new.after.slice(new.count)?;
    state.check_nodes(new.graph, after)?;
    new.node.set(state.add_node(new.graph, operation, after.to_vec()))
}

/// Gives a node an operation of the same type.
pub fn replace(state: &mut DriverState, node: Handle, operation: Operation) -> Result<(), Code> {
    let node = state.nodes.get_mut(&node).ok_or(codes::INVALID_HANDLE)?;
    check(node.operation.node_type() == operation.node_type())?;
    node.operation = operation;
    Ok(())
}

/// Gives a node of an executable graph an operation of the same type.
pub fn replace_exec(state: &mut DriverState, exec: Handle, node: Handle, operation: Operation) -> Result<(), Code> {
    let exec = state.execs.get_mut(&exec).ok_or(codes::INVALID_HANDLE)?;
    let place = exec.nodes.iter_mut().find(|place| place.node == node).ok_or(codes::INVALID_VALUE)?;
    check(place.operation.node_type() == operation.node_type())?;
    place.operation = operation;
    Ok(())
}

fn kernel(state: &mut DriverState, params: KernelParams) -> Result<Operation, Code> {
    let KernelParams { function, grid, block, shared, each, extra } = params;
    let launch = prepared(state, function, dims(grid, block, shared), false, Arguments { each, extra })?;
    Ok(Operation::Kernel(launch))
}

/// Returns the launch that parameters describe.
pub fn kernel2(state: &mut DriverState, params: Pointer<KernelParams2>) -> Result<Operation, Code> {
    let KernelParams2 { first, kernel: of_library, .. } = params.get()?;
    let function = if first.function == 0 { of_library } else { first.function };
    kernel(state, KernelParams { function, ..first })
}

/// Returns the call of a function of the host that parameters describe.
pub fn host(params: Pointer<HostParams>) -> Result<Operation, Code> {
    let HostParams { function, argument } = params.get()?;
    let function = HostFunction::Plain(function.ok_or(codes::INVALID_VALUE)?);
    Ok(Operation::Host(HostCall { function, argument }))
}

fn dependents(state: &DriverState, node: Handle) -> Result<Vec<Handle>, Code> {
    let nodes = known(state, found(state, node)?.graph)?.nodes.iter().copied();
    Ok(nodes.filter(|other| state.nodes[other].after.contains(&node)).collect())
}

fn connect(state: &mut DriverState, graph: Handle, from: &[Handle], to: &[Handle]) -> Result<(), Code> {
    for (from, to) in from.iter().zip(to) {
        state.check_nodes(graph, &[*from, *to])?;
        let after = &mut state.nodes.get_mut(to).expect("the node was just looked up").after;
        check(!after.contains(from))?;
        after.push(*from);
    }
    Ok(())
}

fn disconnect(state: &mut DriverState, graph: Handle, from: &[Handle], to: &[Handle]) -> Result<(), Code> {
    for (from, to) in from.iter().zip(to) {
        check(found(state, *to)?.graph == graph && found(state, *to)?.after.contains(from))?;
        state.nodes.entry(*to).and_modify(|node| node.after.retain(|before| before != from));
    }
    Ok(())
}
