//! The submission of operations to streams, and their capture in graphs (section "Stream Management").

use std::collections::HashSet;

use super::codes::{self, Code};
use super::objects::{Graph, Handle, Node};
use super::operation::Operation;
use super::state::{DriverState, current};

impl DriverState {
    /// Submits an operation to a stream, or adds it to the graph that captures the stream.
    pub fn submit(&mut self, stream: Handle, operation: Operation) -> Result<(), Code> {
        let handle = self.stream(stream)?;
        match &operation {
            Operation::Copy(copy) => self.check_copy(copy)?,
            Operation::Fill(fill) => self.check_fill(fill)?,
            _ => {}
        }
        if self.streams[&handle].capture == 0 {
            self.enqueue(handle, operation, Vec::new());
            return Ok(());
        }
        let graph = self.capturing(handle)?;
        let after = self.streams[&handle].captured.clone();
        let node = self.add_node(graph, operation, after);
        self.streams.entry(handle).and_modify(|stream| stream.captured = vec![node]);
        Ok(())
    }

    /// Runs an operation after all that the calling thread's default stream follows, and returns its error.
    pub fn run_now(&mut self, operation: &Operation) -> Result<(), Code> {
        let handle = self.stream(0)?;
        self.finish(self.end(handle))?;
        for point in self.implicit_order(handle) {
            self.finish(point)?;
        }
        self.fault(current()).map_or(Ok(()), Err)?;
        self.execute(operation)
    }

    /// Records an event in a stream.
    pub fn record(&mut self, event: Handle, stream: Handle) -> Result<(), Code> {
        let handle = self.stream(stream)?;
        let capture = self.streams[&handle].capture;
        let captured = self.streams[&handle].captured.clone();
        let recorded = self.events.get_mut(&event).ok_or(codes::INVALID_HANDLE)?;
        recorded.capture = (capture, captured);
        if capture == 0 {
            self.enqueue(handle, Operation::Record(event), Vec::new());
        }
        Ok(())
    }

    /// Makes a stream wait for an event. A wait for an event of a capture makes the stream a part of the capture.
    pub fn wait_event(&mut self, stream: Handle, event: Handle) -> Result<(), Code> {
        let handle = self.stream(stream)?;
        let event = self.events.get(&event).ok_or(codes::INVALID_HANDLE)?;
        let ((graph, nodes), recorded) = (event.capture.clone(), event.recorded);
        let waiting = self.streams.get_mut(&handle).expect("the stream was just looked up");
        if graph == 0 {
            if waiting.capture != 0 {
                return Err(codes::STREAM_CAPTURE_ISOLATION);
            }
            self.enqueue(handle, Operation::Empty, recorded.into_iter().collect());
            return Ok(());
        }
        if waiting.capture != 0 && waiting.capture != graph {
            return Err(codes::STREAM_CAPTURE_MERGE);
        }
        waiting.capture = graph;
        for node in nodes {
            if !waiting.captured.contains(&node) {
                waiting.captured.push(node);
            }
        }
        self.capturing(handle).map(|_| ())
    }

    /// Makes a graph capture the operations of a stream from here on, after some of the graph's nodes.
    pub fn begin_capture(&mut self, stream: Handle, graph: Option<Handle>, after: Vec<Handle>) -> Result<(), Code> {
        let handle = self.stream(stream)?;
        if self.contexts.values().any(|context| context.default_stream == handle) {
            return Err(codes::STREAM_CAPTURE_UNSUPPORTED);
        }
        if self.streams[&handle].capture != 0 {
            return Err(codes::ILLEGAL_STATE);
        }
        let graph = match graph {
            Some(graph) => {
                self.check_nodes(graph, &after)?;
                graph
            }
            None => self.register(|state, handle| state.graphs.insert(handle, Graph::default())),
        };
        self.graphs.get_mut(&graph).ok_or(codes::INVALID_HANDLE)?.origin = handle;
        let stream = self.streams.get_mut(&handle).expect("the stream was just looked up");
        (stream.capture, stream.captured) = (graph, after);
        Ok(())
    }

    /// Ends the capture that began in a stream, and returns the graph.
    pub fn end_capture(&mut self, stream: Handle) -> Result<Handle, Code> {
        let handle = self.stream(stream)?;
        let (graph, last) = (self.streams[&handle].capture, self.streams[&handle].captured.clone());
        let captured = self.graphs.get(&graph).ok_or(codes::ILLEGAL_STATE)?;
        if captured.origin != handle {
            return Err(codes::STREAM_CAPTURE_UNMATCHED);
        }
        let invalid = captured.invalid;
        let joined = self.ancestors(last);
        let mut unjoined = false;
        for stream in self.streams.values_mut().filter(|stream| stream.capture == graph) {
            unjoined |= stream.captured.iter().any(|node| !joined.contains(node));
            (stream.capture, stream.captured) = (0, Vec::new());
        }
        for event in self.events.values_mut().filter(|event| event.capture.0 == graph) {
            event.capture = (0, Vec::new());
        }
        self.graphs.entry(graph).and_modify(|graph| graph.origin = 0);
        if invalid || unjoined {
            self.remove_graph(graph);
        }
        match (invalid, unjoined) {
            (true, _) => Err(codes::STREAM_CAPTURE_INVALIDATED),
            (_, true) => Err(codes::STREAM_CAPTURE_UNJOINED),
            _ => Ok(graph),
        }
    }

    /// Returns the graph that captures a stream, unless an earlier operation has broken the capture.
    pub fn capturing(&self, stream: Handle) -> Result<Handle, Code> {
        let graph = self.streams[&stream].capture;
        let captured = self.graphs.get(&graph).ok_or(codes::ILLEGAL_STATE)?;
        if captured.invalid { Err(codes::STREAM_CAPTURE_INVALIDATED) } else { Ok(graph) }
    }

    /// Fails if a stream is captured, and breaks the capture, because the call would wait for operations that do not run.
    pub fn refuse_capture(&mut self, stream: Handle) -> Result<(), Code> {
        let graph = self.streams[&stream].capture;
        if graph == 0 {
            return Ok(());
        }
        self.graphs.entry(graph).and_modify(|graph| graph.invalid = true);
        Err(codes::STREAM_CAPTURE_UNSUPPORTED)
    }

    /// Checks that nodes are those of a graph.
    pub fn check_nodes(&self, graph: Handle, nodes: &[Handle]) -> Result<(), Code> {
        let known = |node: &Handle| self.nodes.get(node).is_some_and(|node| node.graph == graph);
        if nodes.iter().all(known) { Ok(()) } else { Err(codes::INVALID_VALUE) }
    }

    /// Adds a node to a graph.
    pub fn add_node(&mut self, graph: Handle, operation: Operation, after: Vec<Handle>) -> Handle {
        let node =
            self.register(|state, handle| state.nodes.insert(handle, Node { graph, operation, after, original: 0 }));
        self.graphs.entry(graph).and_modify(|graph| graph.nodes.push(node));
        node
    }

    /// Removes a graph, its nodes and the graphs of its child nodes.
    pub fn remove_graph(&mut self, graph: Handle) {
        let mut open = vec![graph];
        while let Some(graph) = open.pop() {
            for node in self.graphs.remove(&graph).map(|graph| graph.nodes).unwrap_or_default() {
                if let Some(Node { operation: Operation::Graph(_, child), .. }) = self.nodes.remove(&node) {
                    open.push(child);
                }
            }
        }
    }

    /// Returns nodes and all that they depend on.
    fn ancestors(&self, mut open: Vec<Handle>) -> HashSet<Handle> {
        let mut all = HashSet::new();
        while let Some(node) = open.pop() {
            if all.insert(node) {
                open.extend(self.nodes.get(&node).into_iter().flat_map(|node| &node.after));
            }
        }
        all
    }
}
