//! The objects of the driver, which programs name by handles.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::CString;
use std::thread::ThreadId;
use std::time::Instant;

use super::codes::Code;
use super::operation::Operation;
use crate::gpu::Module;

/// A handle, which the API declares as a pointer to an opaque struct.
pub type Handle = usize;

/// A `CUdeviceptr`.
pub type DevicePtr = u64;

/// A `CUdevice`, the ordinal of a device.
pub type Ordinal = i32;

/// A context (section "Context Management").
#[derive(Default)]
pub struct Context {
    pub device: Ordinal,
    pub flags: u32,
    /// The legacy default stream.
    pub default_stream: Handle,
    /// The default stream of each thread that has used one.
    pub thread_streams: HashMap<ThreadId, Handle>,
    /// The limits (`CUlimit`) that the program has set.
    pub limits: HashMap<i32, usize>,
    /// The contexts whose memory kernels of this context may access.
    pub peers: HashSet<Handle>,
    /// The error of an earlier launch, which all calls in the context return from then on.
    pub sticky_error: Option<Code>,
}

/// The primary context of a device.
#[derive(Clone, Copy, Default)]
pub struct Primary {
    pub context: Handle,
    /// The number of times that the context is retained.
    pub retained: u32,
    pub flags: u32,
}

/// A module (section "Module Management"), or a library (section "Library Management").
pub struct Loaded {
    pub module: Module,
    /// The context that the module is freed with, or 0 for a library.
    pub context: Handle,
    /// The names of the kernels, which programs can ask for as C strings.
    pub names: HashMap<String, CString>,
}

/// A linker of modules.
#[derive(Default)]
pub struct Linker {
    /// The texts of the modules.
    pub inputs: Vec<Vec<u8>>,
    /// The linked image, or nothing before the linker has completed.
    pub image: Vec<u8>,
}

/// A kernel of a module.
#[derive(Clone)]
pub struct Function {
    pub module: Handle,
    pub name: String,
    /// The largest dynamic shared memory in bytes that a launch may ask for.
    pub max_dynamic_shared: u32,
    /// The share of shared memory that the program prefers, in percent, or -1.
    pub carveout: i32,
}

/// An operation that a stream has not completed.
pub struct Entry {
    pub operation: Operation,
    /// The points of other streams that the operation waits for.
    pub after: Vec<Point>,
}

/// The point of a stream at which it has completed a number of operations.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub stream: Handle,
    pub count: u64,
}

/// A stream (section "Stream Management").
#[derive(Default)]
pub struct Stream {
    pub context: Handle,
    pub flags: u32,
    pub priority: i32,
    pub queue: VecDeque<Entry>,
    /// The number of operations that have entered the queue.
    pub submitted: u64,
    /// The number of operations that have left it.
    pub completed: u64,
    /// Whether a function of the host runs.
    pub busy: bool,
    /// The graph that captures the stream's operations, or 0.
    pub capture: Handle,
    /// The nodes of the capturing graph that the next operation depends on.
    pub captured: Vec<Handle>,
}

/// An event (section "Event Management").
#[derive(Clone, Default)]
pub struct Event {
    pub context: Handle,
    pub flags: u32,
    /// The point at which the event completes.
    pub recorded: Option<Point>,
    /// The time at which the event completed.
    pub time: Option<Instant>,
    /// The capturing graph in which the event is recorded, or 0, and the nodes that the event depends on.
    pub capture: (Handle, Vec<Handle>),
}

/// The kind of an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Memory of the device.
    Device,
    /// Memory of the device from the pool of this handle.
    Pool(Handle),
    /// Memory of the device that a node of a graph has allocated. It lives as long as its context, or until the program
    /// frees it outside of a graph.
    Graph,
    /// Managed memory.
    Managed,
    /// Pinned memory of the host, with the flags of its allocation.
    Pinned(u32),
    /// Memory of the program that it has registered, with flags.
    Registered(u32),
}

impl Kind {
    /// Returns whether the host can access the memory.
    pub fn is_host(self) -> bool {
        !matches!(self, Self::Device | Self::Pool(_) | Self::Graph)
    }

    /// Returns whether the memory belongs to the host, which the functions for memory of devices do not free.
    pub fn is_pinned(self) -> bool {
        matches!(self, Self::Pinned(_) | Self::Registered(_))
    }
}

/// An allocation, by its first address.
#[derive(Clone, Copy, Debug)]
pub struct Allocation {
    pub size: usize,
    pub kind: Kind,
    pub context: Handle,
    pub device: Ordinal,
    pub id: u64,
}

/// An array of texels (section "Memory Management").
#[derive(Clone, Copy, Debug)]
pub struct Array {
    pub address: DevicePtr,
    /// The width, the height and the depth. The last ones are 0 if the array has fewer dimensions.
    pub size: [usize; 3],
    /// The `CUarray_format` of the channels.
    pub format: i32,
    /// The channels of a texel.
    pub channels: u32,
    pub flags: u32,
}

/// A pool of memory (section "Stream Ordered Memory Allocator").
#[derive(Clone, Default)]
pub struct Pool {
    pub device: Ordinal,
    /// The attributes (`CUmemPool_attribute`) that the program has set.
    pub attributes: HashMap<i32, u64>,
    pub used: u64,
    pub most_used: u64,
}

/// A node of a graph (section "Graph Management").
#[derive(Clone)]
pub struct Node {
    pub graph: Handle,
    pub operation: Operation,
    /// The nodes that it depends on.
    pub after: Vec<Handle>,
    /// The node that it is a copy of, or 0.
    pub original: Handle,
}

/// A graph.
#[derive(Clone, Default)]
pub struct Graph {
    /// The nodes in the order in which they were added.
    pub nodes: Vec<Handle>,
    /// The stream whose capture fills the graph, or 0.
    pub origin: Handle,
    /// Whether an operation has broken the capture.
    pub invalid: bool,
}

/// A node of an executable graph.
#[derive(Clone)]
pub struct ExecNode {
    /// The node of the graph that it is made from.
    pub node: Handle,
    pub operation: Operation,
    /// The indices of the nodes that it depends on.
    pub after: Vec<usize>,
    pub enabled: bool,
}

/// An executable graph, whose nodes follow those that they depend on.
#[derive(Clone, Default)]
pub struct GraphExec {
    pub nodes: Vec<ExecNode>,
    pub flags: u64,
}
