//! The graphs and executable graphs of the section "Graph Management".

use std::ffi::{c_char, c_int, c_uint};
use std::fmt::Write;

use super::abi::{check, exports};
use crate::driver::codes::{self, Code};
use crate::driver::objects::{Graph, Handle};
use crate::driver::operation::Operation;
use crate::driver::pointer::Pointer;
use crate::driver::state::DriverState;

/// A `CUDA_GRAPH_INSTANTIATE_PARAMS`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct InstantiateParams {
    flags: u64,
    stream: Handle,
    error_node: Handle,
    /// The `CUgraphInstantiateResult`.
    result: c_int,
}

/// A `CUgraphExecUpdateResultInfo`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct UpdateResult {
    result: c_int,
    error_node: Handle,
    error_from_node: Handle,
}

exports! {
    Initialised: cuGraphCreate => (graph: Pointer<Handle>, flags: c_uint) |state| {
        check(flags == 0)?;
        graph.set(state.register(|state, handle| state.graphs.insert(handle, Graph::default())))
    };
    Initialised: cuGraphDestroy => (graph: Handle) |state| {
        known(state, graph)?;
        check(state.streams.values().all(|stream| stream.capture != graph))?;
        state.remove_graph(graph);
        Ok(())
    };
    Initialised: cuGraphClone => (to: Pointer<Handle>, graph: Handle) |state| to.set(state.clone_graph(graph)?);
    Initialised: cuGraphNodeFindInClone => (to: Pointer<Handle>, original: Handle, clone: Handle) |state| {
        let nodes = &known(state, clone)?.nodes;
        let found = nodes.iter().find(|node| state.nodes[node].original == original);
        to.set(*found.ok_or(codes::INVALID_VALUE)?)
    };
    Initialised: cuGraphGetNodes => (graph: Handle, nodes: Pointer<Handle>, count: Pointer<usize>)
        |state| list(&known(state, graph)?.nodes, nodes, count);
    Initialised: cuGraphGetRootNodes => (graph: Handle, nodes: Pointer<Handle>, count: Pointer<usize>) |state| {
        let all = known(state, graph)?.nodes.iter().copied();
        list(&all.filter(|node| state.nodes[node].after.is_empty()).collect::<Vec<_>>(), nodes, count)
    };
    Initialised: cuGraphGetEdges => (graph: Handle, from: Pointer<Handle>, to: Pointer<Handle>, count: Pointer<usize>)
        |state| list_edges(state, graph, from, to, count);
    // Edge data of zeros says that an edge is an ordinary dependency.
    Initialised: cuGraphGetEdges_v2 => (
        graph: Handle, from: Pointer<Handle>, to: Pointer<Handle>, edges: Pointer<u64>, count: Pointer<usize>
    ) |state| list_edges(state, graph, from, to, count).and_then(|()| list_data(edges, to, count));
    Initialised: cuGraphGetId => (graph: Handle, id: Pointer<c_uint>)
        |state| known(state, graph).and_then(|_| id.set(graph as c_uint));
    Initialised: cuGraphDebugDotPrint => (graph: Handle, path: Pointer<c_char>, _flags: c_uint) |state| {
        let mut text = String::from("digraph {\n");
        for node in &known(state, graph)?.nodes {
            let kind = format!("{:?}", state.nodes[node].operation);
            let kind = kind.split(['(', ' ']).next().unwrap_or_default();
            let _ = writeln!(text, "  n{node} [label=\"{kind}\"];");
            for before in &state.nodes[node].after {
                let _ = writeln!(text, "  n{before} -> n{node};");
            }
        }
        std::fs::write(path.text()?, text + "}\n").map_err(|_| codes::OPERATING_SYSTEM)
    };
    Context: cuGraphInstantiateWithFlags => (exec: Pointer<Handle>, graph: Handle, flags: u64)
        |state| exec.set(instantiate(state, graph, flags)?);
    Context: cuGraphInstantiate, cuGraphInstantiate_v2 => (
        exec: Pointer<Handle>, graph: Handle, node: Pointer<Handle>, log: Pointer<c_char>, size: usize
    ) |state| {
        node.set_if_wanted(0);
        if size > 0 {
            log.set_text("", size)?;
        }
        exec.set(instantiate(state, graph, 0)?)
    };
    Context: cuGraphInstantiateWithParams + "_ptsz" => (
        exec: Pointer<Handle>, graph: Handle, params: Pointer<InstantiateParams>
    ) |state| {
        let given = params.get()?;
        let made = instantiate(state, graph, given.flags);
        params.set(InstantiateParams { error_node: 0, result: c_int::from(made.is_err()), ..given })?;
        exec.set(made?)
    };
    Context: cuGraphExecDestroy => (exec: Handle)
        |state| state.execs.remove(&exec).map(|_| ()).ok_or(codes::INVALID_HANDLE);
    Context: cuGraphExecGetFlags => (exec: Handle, flags: Pointer<u64>)
        |state| flags.set(state.execs.get(&exec).ok_or(codes::INVALID_HANDLE)?.flags);
    Context: cuGraphExecGetId => (exec: Handle, id: Pointer<c_uint>)
        |state| state.execs.get(&exec).ok_or(codes::INVALID_HANDLE).and_then(|_| id.set(exec as c_uint));
    Context: cuGraphUpload + "_ptsz" => (exec: Handle, stream: Handle) |state| {
        state.execs.get(&exec).ok_or(codes::INVALID_HANDLE)?;
        state.stream(stream).map(|_| ())
    };
    Context: cuGraphLaunch + "_ptsz" => (exec: Handle, stream: Handle) |state| {
        let operations = DriverState::operations(state.execs.get(&exec).ok_or(codes::INVALID_HANDLE)?);
        state.submit(stream, Operation::Graph(operations, 0))
    };
    Context: cuGraphExecUpdate_v2 => (exec: Handle, graph: Handle, info: Pointer<UpdateResult>) |state| {
        let updated = state.update(exec, graph)?;
        let (result, node) = updated.map_or_else(|(reason, node)| (reason as c_int, node), |()| (0, 0));
        info.set_if_wanted(UpdateResult { result, error_node: node, error_from_node: 0 });
        updated.map_err(|_| codes::GRAPH_EXEC_UPDATE_FAILURE)
    };
    Context: cuGraphExecUpdate => (exec: Handle, graph: Handle, node: Pointer<Handle>, result: Pointer<c_int>) |state| {
        let updated = state.update(exec, graph)?;
        node.set_if_wanted(updated.map_or_else(|(_, node)| node, |()| 0));
        result.set_if_wanted(updated.map_or_else(|(reason, _)| reason as c_int, |()| 0));
        updated.map_err(|_| codes::GRAPH_EXEC_UPDATE_FAILURE)
    };
    Context: cuGraphNodeSetEnabled => (exec: Handle, node: Handle, enabled: c_uint) |state| {
        let exec = state.execs.get_mut(&exec).ok_or(codes::INVALID_HANDLE)?;
        let found = exec.nodes.iter_mut().find(|found| found.node == node);
        found.ok_or(codes::INVALID_VALUE)?.enabled = enabled != 0;
        Ok(())
    };
    Context: cuGraphNodeGetEnabled => (exec: Handle, node: Handle, enabled: Pointer<c_uint>) |state| {
        let exec = state.execs.get(&exec).ok_or(codes::INVALID_HANDLE)?;
        let found = exec.nodes.iter().find(|found| found.node == node);
        enabled.set(found.ok_or(codes::INVALID_VALUE)?.enabled.into())
    };
}

/// Returns a graph.
pub fn known(state: &DriverState, graph: Handle) -> Result<&Graph, Code> {
    state.graphs.get(&graph).ok_or(codes::INVALID_HANDLE)
}

fn instantiate(state: &mut DriverState, graph: Handle, flags: u64) -> Result<Handle, Code> {
    let mut exec = state.instantiate(graph)?;
    exec.flags = flags;
    Ok(state.register(|state, handle| state.execs.insert(handle, exec)))
}

/// Writes as many handles as fit, and their number. A caller without an array learns the number alone.
pub fn list(all: &[Handle], to: Pointer<Handle>, count: Pointer<usize>) -> Result<(), Code> {
    if !to.is_null() {
        let fit = count.get()?.min(all.len());
        to.set_all(&all[..fit])?;
        return count.set(fit);
    }
    count.set(all.len())
}

/// Writes the data of as many edges as were written to `to`.
pub fn list_data(edges: Pointer<u64>, to: Pointer<Handle>, count: Pointer<usize>) -> Result<(), Code> {
    if edges.is_null() || to.is_null() { Ok(()) } else { edges.set_all(&vec![0; count.get()?]) }
}

fn list_edges(
    state: &DriverState,
    graph: Handle,
    from: Pointer<Handle>,
    to: Pointer<Handle>,
    count: Pointer<usize>,
) -> Result<(), Code> {
    let nodes = known(state, graph)?.nodes.iter();
    let edges = nodes.flat_map(|node| state.nodes[node].after.iter().map(move |before| (*before, *node)));
    let (before, after): (Vec<_>, Vec<_>) = edges.unzip();
    if !from.is_null() {
        let fit = count.get()?.min(before.len());
        from.set_all(&before[..fit])?;
    }
    list(&after, to, count)
}
