//! The step from graphs to executable graphs (section "Graph Management").

use std::collections::HashMap;

use super::codes::{self, Code};
use super::objects::{ExecNode, Graph, GraphExec, Handle};
use super::operation::Operation;
use super::report::report;
use super::state::DriverState;

/// The reason why an executable graph cannot be updated (`CUgraphExecUpdateResult`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Mismatch {
    TopologyChanged = 2,
    NodeTypeChanged = 3,
}

impl DriverState {
    /// Returns the nodes of a graph in an order in which each follows those that it depends on.
    pub fn instantiate(&self, graph: Handle) -> Result<GraphExec, Code> {
        let handles = &self.graphs.get(&graph).ok_or(codes::INVALID_HANDLE)?.nodes;
        let mut places: HashMap<Handle, usize> = HashMap::new();
        let mut nodes = Vec::new();
        while nodes.len() < handles.len() {
            let before = nodes.len();
            for handle in handles {
                let node = &self.nodes[handle];
                let after: Option<Vec<usize>> = node.after.iter().map(|node| places.get(node).copied()).collect();
                if let Some(after) = after.filter(|_| !places.contains_key(handle)) {
                    places.insert(*handle, nodes.len());
                    nodes.push(ExecNode { node: *handle, operation: node.operation.clone(), after, enabled: true });
                }
            }
            if nodes.len() == before {
                report("the dependencies of a graph's nodes form a cycle");
                return Err(codes::INVALID_VALUE);
            }
        }
        Ok(GraphExec { nodes, flags: 0 })
    }

    /// Returns the operations of an executable graph.
    pub fn operations(exec: &GraphExec) -> Vec<Operation> {
        exec.nodes.iter().filter(|node| node.enabled).map(|node| node.operation.clone()).collect()
    }

    /// Gives an executable graph the operations of a graph of the same structure. An error holds the reason and the node.
    pub fn update(&mut self, exec: Handle, graph: Handle) -> Result<Result<(), (Mismatch, Handle)>, Code> {
        let new = self.instantiate(graph)?;
        let old = self.execs.get_mut(&exec).ok_or(codes::INVALID_HANDLE)?;
        for (old, new) in old.nodes.iter().zip(&new.nodes) {
            let reason = if old.operation.node_type() != new.operation.node_type() {
                Mismatch::NodeTypeChanged
            } else if old.after != new.after {
                Mismatch::TopologyChanged
            } else {
                continue;
            };
            return Ok(Err((reason, new.node)));
        }
        if old.nodes.len() != new.nodes.len() {
            let first = new.nodes.get(old.nodes.len()).map_or(0, |node| node.node);
            return Ok(Err((Mismatch::TopologyChanged, first)));
        }
        for (old, new) in old.nodes.iter_mut().zip(new.nodes) {
            old.operation = new.operation;
        }
        Ok(Ok(()))
    }

    /// Copies a graph, and returns the copy.
    pub fn clone_graph(&mut self, graph: Handle) -> Result<Handle, Code> {
        let nodes = self.graphs.get(&graph).ok_or(codes::INVALID_HANDLE)?.nodes.clone();
        let copy = self.register(|state, handle| state.graphs.insert(handle, Graph::default()));
        let mut copies: HashMap<Handle, Handle> = HashMap::new();
        for node in &nodes {
            let operation = match self.nodes[node].operation.clone() {
                Operation::Graph(_, child) if child != 0 => self.child(child)?,
                operation => operation,
            };
            copies.insert(*node, self.add_node(copy, operation, Vec::new()));
        }
        for (original, node) in &copies {
            let after = self.nodes[original].after.iter().map(|node| copies[node]).collect();
            self.nodes.entry(*node).and_modify(|node| (node.after, node.original) = (after, *original));
        }
        Ok(copy)
    }

    /// Returns the operation of a child node with a graph's operations, for which the graph is copied.
    pub fn child(&mut self, graph: Handle) -> Result<Operation, Code> {
        let copy = self.clone_graph(graph)?;
        Ok(Operation::Graph(Self::operations(&self.instantiate(copy)?), copy))
    }
}
