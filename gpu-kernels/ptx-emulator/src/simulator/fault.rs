//! The faults that a kernel can commit.

use std::fmt;

use super::launch::{Dims, Launch};
use crate::ptx::Error;

/// The kind of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// An access outside every allocation of its state space.
    OutOfBounds,
    /// An access at an address that is not a multiple of the access size.
    Misaligned,
    /// A read of unwritten memory.
    Uninitialised,
    /// Two unordered accesses to one location, at least one of them a write.
    Race,
    /// A barrier that only some warps of the block, or only some lanes of a warp, reach.
    Barrier,
    /// A shuffle or vote that names or reads an inactive lane.
    Shuffle,
    /// A wait for blocks that cannot be resident at the same time as the waiting ones.
    Residency,
    /// A launch in which every remaining warp waits forever.
    NoProgress,
    /// A `trap` instruction.
    Trap,
    /// A `.uni` branch on which lanes diverge, an index beyond the end of a branch table, or a call of an address
    /// without a function.
    Branch,
    /// Calls that are nested too deeply.
    StackOverflow,
    /// A failed `assert`.
    Assert,
    /// An instruction that is not supported, or that the settings do not allow. The kernel did not start.
    Unsupported,
    /// A launch that needs more threads, shared memory or memory of the host than there is.
    Resources,
    /// A launch that exceeds the limits of [`Watchdog`](crate::Watchdog).
    Timeout,
}

/// A fault of a launch. Its `Display` is the human-readable report.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The kind of the fault.
    pub kind: FaultKind,
    /// The name of the kernel.
    pub kernel: String,
    /// The shape of the launch.
    pub dims: Dims,
    /// The index of the block in the grid, x fastest.
    pub block: u32,
    /// The index of the warp in its block.
    pub warp: u32,
    /// The lane, if a single lane is at fault.
    pub lane: Option<u32>,
    /// The line of the instruction in the PTX.
    pub line: u32,
    /// The instruction with the source lines that it comes from, innermost first.
    pub location: String,
    /// The details, such as the address and the size of the access.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FaultKind::OutOfBounds => "access out of bounds",
            FaultKind::Misaligned => "misaligned access",
            FaultKind::Uninitialised => "read of uninitialised memory",
            FaultKind::Race => "race",
            FaultKind::Barrier => "barrier not reached by all",
            FaultKind::Shuffle => "shuffle or vote with an inactive lane",
            FaultKind::Residency => "grid barrier without all blocks resident",
            FaultKind::NoProgress => "no progress",
            FaultKind::Trap => "trap",
            FaultKind::Branch => "branch",
            FaultKind::StackOverflow => "stack overflow",
            FaultKind::Assert => "assertion",
            FaultKind::Unsupported => "kernel not supported",
            FaultKind::Resources => "too many resources",
            FaultKind::Timeout => "limit of the watchdog",
        };
        write!(f, "{kind}: {}\n  kernel `{}`, block {}, warp {}", self.message, self.kernel, self.block, self.warp)?;
        if let Some(lane) = self.lane {
            let [x, y, z] = coordinates(self.block, self.dims.grid);
            let [tx, ty, tz] = coordinates(32 * self.warp + lane, self.dims.block);
            write!(f, ", lane {lane}\n  thread ({tx},{ty},{tz}) in block ({x},{y},{z})")?;
        }
        write!(f, "\n  {}", self.location)
    }
}

/// Returns the coordinates of an index in a box of this shape, x fastest.
pub fn coordinates(index: u32, [x, y, _]: [u32; 3]) -> [u32; 3] {
    let (x, y) = (x.max(1), y.max(1));
    [index % x, index / x % y, index / x / y]
}

impl std::error::Error for Fault {}

impl Fault {
    /// Returns the fault of a kernel that is refused for this reason.
    pub fn refused(kernel: &str, error: &Error) -> Box<Self> {
        let location = format!("PTX line {}", error.line);
        let (kernel, dims) = (kernel.to_owned(), Dims::new(1, 1));
        Self::at_launch(FaultKind::Unsupported, kernel, dims, error.line, location, error.message.clone())
    }

    /// Returns the fault of a launch none of whose threads has started.
    fn at_launch(
        kind: FaultKind,
        kernel: String,
        dims: Dims,
        line: u32,
        location: String,
        message: String,
    ) -> Box<Self> {
        Box::new(Self { kind, kernel, dims, block: 0, warp: 0, lane: None, line, location, message })
    }
}

impl Launch<'_> {
    /// Returns the fault of a launch that needs too many resources.
    pub fn fault(&self, message: String) -> Box<Fault> {
        let (kernel, line) = (self.program.name.clone(), self.program.line);
        let location = format!("PTX line {line}: `.entry {kernel}`");
        Fault::at_launch(FaultKind::Resources, kernel, self.dims, line, location, message)
    }
}

/// A fault as an instruction detects it, before its location is known.
#[derive(Debug)]
pub struct Violation {
    pub kind: FaultKind,
    pub lane: Option<u32>,
    pub message: String,
    /// The instruction of the other access of a race.
    pub other: Option<usize>,
}

/// The result of a check.
pub type Checked<T = ()> = Result<T, Box<Violation>>;

impl Violation {
    /// Returns a violation that concerns one instruction.
    pub fn new(kind: FaultKind, lane: impl Into<Option<u32>>, message: impl Into<String>) -> Box<Self> {
        Box::new(Self { kind, lane: lane.into(), message: message.into(), other: None })
    }
}
