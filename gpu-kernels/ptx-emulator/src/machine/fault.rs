//! What a launch can do wrong, and where.

use std::fmt;

use crate::program::Program;

/// The kind of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// An access outside of every allocation of its state space.
    OutOfBounds,
    /// An address that is no multiple of the access's size.
    Misaligned,
    /// A read of memory that nothing wrote.
    Uninitialised,
    /// Two accesses to one place, one of them a write, that nothing orders.
    Race,
    /// A barrier that not all warps, or not all lanes of a warp, reach.
    Barrier,
    /// A shuffle or vote that names or reads an inactive lane.
    Shuffle,
    /// Blocks wait for blocks that cannot be resident at the same time.
    Residency,
    /// No warp changes anything any more.
    NoProgress,
    /// A `trap` instruction.
    Trap,
    /// A `.uni` branch that lanes take differently, or an index beyond a table of branches.
    Branch,
}

/// A fault of a launch. Its `Display` is the report for a person.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// The kernel.
    pub kernel: String,
    /// The block's index in the grid (x fastest).
    pub block: u32,
    /// The warp's index in its block.
    pub warp: u32,
    /// The lane, where one lane is at fault.
    pub lane: Option<u32>,
    /// The line of the PTX.
    pub line: u32,
    /// The instruction, and the source lines that it comes from, innermost first.
    pub place: String,
    /// More of it.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            FaultKind::OutOfBounds => "access out of bounds",
            FaultKind::Misaligned => "misaligned access",
            FaultKind::Uninitialised => "read of memory that nothing wrote",
            FaultKind::Race => "race",
            FaultKind::Barrier => "barrier not reached by all",
            FaultKind::Shuffle => "exchange with an inactive lane",
            FaultKind::Residency => "grid barrier without all blocks resident",
            FaultKind::NoProgress => "no progress",
            FaultKind::Trap => "trap",
            FaultKind::Branch => "branch",
        };
        write!(f, "{what}: {}\n  kernel `{}`, block {}, warp {}", self.message, self.kernel, self.block, self.warp)?;
        if let Some(lane) = self.lane {
            write!(f, ", lane {lane}")?;
        }
        write!(f, "\n  {}", self.place)
    }
}

impl std::error::Error for Fault {}

/// A fault as the machine finds it, before it knows where it is.
#[derive(Debug)]
pub struct Bad {
    pub kind: FaultKind,
    pub lane: Option<u32>,
    pub message: String,
    /// The other access of a race.
    pub other: Option<usize>,
}

impl Bad {
    pub fn new(kind: FaultKind, lane: impl Into<Option<u32>>, message: impl Into<String>) -> Box<Self> {
        Box::new(Self { kind, lane: lane.into(), message: message.into(), other: None })
    }
}

/// An instruction of a kernel for a person: PTX line, mnemonic, source lines.
pub fn describe(program: &Program, files: &std::collections::HashMap<u32, String>, pc: usize) -> String {
    let inst = &program.code[pc];
    let mut text = format!("PTX line {}: `{}`", inst.line, inst.mnemonic);
    for (i, (file, line)) in program.source_locations[inst.source_location].0.iter().enumerate() {
        let file = files.get(file).map_or("?", String::as_str);
        let how = if i == 0 { "from" } else { "inlined at" };
        // Line 0 is what the compiler made of several.
        let line = if *line == 0 { String::new() } else { format!(":{line}") };
        text = format!("{text}\n    {how} {file}{line}");
    }
    text
}
