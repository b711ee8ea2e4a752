//! The functions of the section "Stream Management" that capture streams.

use std::ffi::{c_int, c_uint};

use super::abi::exports;
use crate::driver::codes::Code;
use crate::driver::objects::Handle;
use crate::driver::pointer::Pointer;
use crate::driver::state::DriverState;

exports! {
    Context: cuStreamBeginCapture_v2 + "_ptsz" => (stream: Handle, _mode: c_int)
        |state| state.begin_capture(stream, None, Vec::new());
    Context: cuStreamBeginCaptureToGraph + "_ptsz" => (
        stream: Handle, graph: Handle, after: Pointer<Handle>, _edges: Pointer<u8>, count: usize, _mode: c_int
    ) |state| state.begin_capture(stream, Some(graph), after.slice(count)?.to_vec());
    Context: cuStreamEndCapture + "_ptsz" => (stream: Handle, graph: Pointer<Handle>) |state| {
        let ended = state.end_capture(stream);
        graph.set_if_wanted(ended.unwrap_or(0));
        ended.map(|_| ())
    };
    Context: cuStreamIsCapturing + "_ptsz" => (stream: Handle, status: Pointer<c_int>)
        |state| status.set(info(state, stream)?.status);
    Context: cuStreamGetCaptureInfo_v2 + "_ptsz" => (
        stream: Handle, status: Pointer<c_int>, id: Pointer<u64>, graph: Pointer<Handle>, after: Pointer<usize>,
        count: Pointer<usize>
    ) |state| {
        let info = info(state, stream)?;
        status.set(info.status)?;
        set_info(&info, id, graph, after, count);
        Ok(())
    };
    Context: cuStreamGetCaptureInfo_v3 + "_ptsz" => (
        stream: Handle, status: Pointer<c_int>, id: Pointer<u64>, graph: Pointer<Handle>, after: Pointer<usize>,
        edges: Pointer<usize>, count: Pointer<usize>
    ) |state| {
        let info = info(state, stream)?;
        status.set(info.status)?;
        set_info(&info, id, graph, after, count);
        edges.set_if_wanted(0);
        Ok(())
    };
    Context: cuStreamUpdateCaptureDependencies + "_ptsz" => (
        stream: Handle, after: Pointer<Handle>, count: usize, flags: c_uint
    ) |state| update(state, stream, after.slice(count)?, flags);
    Context: cuStreamUpdateCaptureDependencies_v2 + "_ptsz" => (
        stream: Handle, after: Pointer<Handle>, _edges: Pointer<u8>, count: usize, flags: c_uint
    ) |state| update(state, stream, after.slice(count)?, flags);
    // Captures restrict no other calls, so a thread has no mode.
    Nothing: cuThreadExchangeStreamCaptureMode => (mode: Pointer<c_int>) |_state| mode.get().map(|_| ());
}

/// The state of a capture.
struct Info {
    /// The `CUstreamCaptureStatus`.
    status: c_int,
    graph: Handle,
    /// The address and the number of the nodes that the next operation depends on.
    after: (usize, usize),
}

fn info(state: &mut DriverState, stream: Handle) -> Result<Info, Code> {
    let stream = state.stream(stream)?;
    let stream = &state.streams[&stream];
    let status = match state.graphs.get(&stream.capture) {
        None => 0,
        Some(graph) => 1 + c_int::from(graph.invalid),
    };
    Ok(Info { status, graph: stream.capture, after: (stream.captured.as_ptr().addr(), stream.captured.len()) })
}

fn set_info(info: &Info, id: Pointer<u64>, graph: Pointer<Handle>, after: Pointer<usize>, count: Pointer<usize>) {
    if info.status != 0 {
        id.set_if_wanted(info.graph as u64);
        graph.set_if_wanted(info.graph);
        after.set_if_wanted(info.after.0);
        count.set_if_wanted(info.after.1);
    }
}

/// Adds to the nodes that the next captured operation depends on, or replaces them if bit 0 of `flags` is set.
fn update(state: &mut DriverState, stream: Handle, after: &[Handle], flags: c_uint) -> Result<(), Code> {
    let handle = state.stream(stream)?;
    state.check_nodes(state.capturing(handle)?, after)?;
    let stream = state.streams.get_mut(&handle).expect("the stream was just looked up");
    if flags & 1 != 0 {
        stream.captured.clear();
    }
    stream.captured.extend_from_slice(after);
    Ok(())
}
