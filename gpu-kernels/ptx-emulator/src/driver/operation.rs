//! The operations of streams and graphs.

use crate::simulator::Dims;

/// A launch of a kernel, whose parameters are copied.
#[derive(Clone, Debug)]
pub struct KernelLaunch {
    /// The handle of the function.
    pub function: usize,
    pub dims: Dims,
    /// The bytes of the parameters in the layout that the kernel declares.
    pub params: Vec<u8>,
}

/// One end of a copy.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// The address of the first byte, on the host or the device.
    pub address: u64,
    /// Whether the driver must have allocated or registered the memory. Otherwise it may also be any memory of the host.
    pub known: bool,
    /// The bytes from one row to the next.
    pub pitch: u64,
    /// The bytes from one slice to the next.
    pub slice: u64,
}

impl End {
    /// Returns the end of a copy of one row in any memory.
    pub fn any(address: u64) -> Self {
        Self { address, known: false, pitch: 0, slice: 0 }
    }

    /// Returns the end of a copy of one row in memory that the driver knows.
    pub fn known(address: u64) -> Self {
        Self { known: true, ..Self::any(address) }
    }

    /// Returns the address of a row of a slice.
    pub fn row(&self, row: usize, slice: usize) -> u64 {
        self.address + self.pitch * row as u64 + self.slice * slice as u64
    }

    /// Returns the bytes from the first to the last one of a copy, or `None` if the last address overflows. No number of the
    /// extent is 0.
    pub fn span(&self, [width, rows, slices]: [usize; 3]) -> Option<usize> {
        let rows = self.pitch.checked_mul(rows as u64 - 1)?;
        let slices = self.slice.checked_mul(slices as u64 - 1)?;
        let span = rows.checked_add(slices)?.checked_add(width as u64)?;
        self.address.checked_add(span).map(|_| span as usize)
    }
}

/// A copy of up to three dimensions.
#[derive(Clone, Copy, Debug)]
pub struct Copy {
    pub to: End,
    pub from: End,
    /// The bytes of a row, the rows, and the slices.
    pub extent: [usize; 3],
}

impl Copy {
    /// Returns a copy of `size` bytes.
    pub fn linear(to: End, from: End, size: usize) -> Self {
        Self { to, from, extent: [size, 1, 1] }
    }
}

/// A fill of up to two dimensions with one value.
#[derive(Clone, Copy, Debug)]
pub struct Fill {
    pub to: u64,
    /// The bytes from one row to the next.
    pub pitch: u64,
    pub value: u32,
    /// The bytes of the value.
    pub size: usize,
    /// The values of a row, and the rows.
    pub extent: [usize; 2],
}

/// A function of the host.
#[derive(Clone, Copy, Debug)]
pub struct HostCall {
    pub function: HostFunction,
    /// The address of the function's argument.
    pub argument: usize,
}

/// The form of a function of the host.
#[derive(Clone, Copy, Debug)]
pub enum HostFunction {
    /// A `CUhostFn`.
    Plain(extern "C" fn(usize)),
    /// A `CUstreamCallback`, with the handle of its stream.
    Callback(extern "C" fn(usize, i32, usize), usize),
}

impl HostCall {
    /// Calls the function. A callback learns the error of an earlier operation of its context, or 0.
    pub fn run(self, error: i32) {
        match self.function {
            HostFunction::Plain(function) => function(self.argument),
            HostFunction::Callback(function, stream) => function(stream, error, self.argument),
        }
    }

    /// Returns whether the function is also called after an error.
    pub fn is_callback(self) -> bool {
        matches!(self.function, HostFunction::Callback(..))
    }
}

/// A write of a value by a stream, or a wait for one.
#[derive(Clone, Copy, Debug)]
pub struct StreamValue {
    pub address: u64,
    pub value: u64,
    /// The bytes of the value.
    pub size: usize,
    /// The comparison of a wait (`CUstreamWaitValue_flags`).
    pub flags: u32,
}

/// An operation of a stream, or of a node of a graph.
#[derive(Clone, Debug)]
pub enum Operation {
    /// No effect of its own, only an order.
    Empty,
    Kernel(KernelLaunch),
    Copy(Copy),
    Fill(Fill),
    Host(HostCall),
    /// Completes the event of this handle.
    Record(usize),
    /// Waits, as a node of a graph, for the event of this handle.
    WaitEvent(usize),
    WriteValue(StreamValue),
    WaitValue(StreamValue),
    /// Names the memory that the graph has allocated for the node, with its size in bytes.
    Allocate(u64, usize),
    /// Frees memory, unless a graph keeps it for its next launch.
    Free(u64),
    /// The operations of a graph in an order that respects their dependencies, and the graph's handle.
    Graph(Vec<Self>, usize),
}

impl Operation {
    /// Returns the `CUgraphNodeType`.
    pub fn node_type(&self) -> i32 {
        match self {
            Self::Kernel(_) => 0,
            Self::Copy(_) => 1,
            Self::Fill(_) => 2,
            Self::Host(_) => 3,
            Self::Graph(..) => 4,
            Self::Empty => 5,
            Self::WaitEvent(_) => 6,
            Self::Record(_) => 7,
            Self::Allocate(..) => 10,
            Self::Free(_) => 11,
            Self::WriteValue(_) | Self::WaitValue(_) => 12,
        }
    }
}
