//! A kernel ready to run: its instructions decoded, its functions inlined, its branches with their points of reconvergence.

mod arithmetic;
mod bits;
mod builder;
mod compare;
mod control;
mod convert;
mod decode;
mod float;
mod flow;
mod lanes;
mod link;
mod memory;
mod names;
mod operands;
pub mod rounding;
mod variants;

pub use lanes::Registers;
pub use link::{Linked, link};
pub use variants::{Variant, variants};

use crate::ptx::Error;
use crate::ptx::syntax::{Place, Space};

/// Where reconvergence is at the end of the kernel.
pub const NEVER: usize = usize::MAX;

/// Where a state space begins among the generic addresses (section 5.1.8); global and constant memory are themselves.
pub fn window(space: Space) -> u64 {
    match space {
        Space::Shared => 0x0100_0000_0000,
        Space::Local => 0x0200_0000_0000,
        Space::Param => 0x0300_0000_0000,
        Space::Generic | Space::Global | Space::Const => 0,
    }
}

/// A kernel.
#[derive(Default)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Its instructions, those of the functions that it calls in their places.
    pub code: Vec<Inst>,
    /// The source lines that an instruction names by number.
    pub places: Vec<Place>,
    /// What the registers of a warp hold at its start.
    pub registers: Registers,
    /// Words that each launch fills.
    pub specials: Vec<(usize, Special)>,
    /// Offset and size of each parameter in bytes.
    pub params: Vec<(usize, usize)>,
    /// Bytes of all parameters.
    pub param_size: usize,
    /// Bytes of a lane's local memory.
    pub local_size: usize,
    /// Bytes of shared memory that the kernel declares.
    pub shared_size: usize,
    /// `.maxntid`, if given.
    pub max_threads: Option<u32>,
    /// The first instruction without an exact result, and why it has none.
    pub inexact: Option<Error>,
    /// Registers of 32 bits that the PTX declares, a bound from above for those that a thread needs.
    pub declared_registers: u32,
}

/// A special register of 32 bits (PTX ISA, chapter 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    Tid(usize),
    Ntid(usize),
    Ctaid(usize),
    Nctaid(usize),
    Lane,
    Warp,
    Warps,
    LaneMask(std::cmp::Ordering, bool),
}

/// A register, for the model of dependences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reg {
    Word(usize),
    Long(usize),
    Predicate(usize),
}

/// An instruction.
pub struct Inst {
    /// The predicate that it is executed under, and whether it is negated.
    pub guard: Option<(usize, bool)>,
    pub action: Action,
    pub mnemonic: String,
    pub line: u32,
    pub place: usize,
    pub reads: Vec<Reg>,
    pub writes: Vec<Reg>,
    /// Of a branch: where its sides meet again.
    pub meet: usize,
}

/// What an instruction does.
pub enum Action {
    Compute(lanes::Compute),
    Load(Access),
    Store(Access),
    Atomic(Atomic),
    Fence(Scope),
    Branch { target: usize, uniform: bool },
    Table { index: usize, targets: Vec<usize>, uniform: bool },
    Barrier(usize),
    WarpSync { members: usize },
    Shuffle(Shuffle),
    Vote { d: Dest, p: usize, negated: bool, members: usize, mode: VoteMode },
    ActiveMask { d: usize },
    Clock { d: Dest },
    Nothing,
    Exit,
    Trap,
}

/// Where a result goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dest {
    /// A word, and how many of its bits the register has.
    Word(usize, u32),
    Long(usize),
    Predicate(usize),
}

/// The base of an address.
#[derive(Clone, Copy, Debug)]
pub enum Base {
    None,
    Word(usize),
    Long(usize),
}

/// How an access takes part in synchronisation (section 8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Weak,
    Relaxed,
    Acquire,
    Release,
    AcquireRelease,
}

/// Among which threads (section 8.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Block,
    Device,
}

/// A load or store.
pub struct Access {
    pub space: Space,
    pub order: Order,
    pub scope: Scope,
    /// Bytes of an element.
    pub width: usize,
    pub signed: bool,
    /// Each element's register, read or written.
    pub elements: Vec<Dest>,
    pub base: Base,
    pub offset: i64,
}

/// A read-modify-write.
pub struct Atomic {
    pub access: Access,
    /// None of `red`.
    pub d: Option<Dest>,
    pub operand: Dest,
    /// The new value of `cas`.
    pub swap: Option<Dest>,
    /// The new value from the old one, the operand and the swap value.
    pub function: fn(u64, u64, u64) -> u64,
}

/// `shfl.sync` (section 9.7.9.6).
pub struct Shuffle {
    pub mode: ShuffleMode,
    pub d: usize,
    pub p: Option<usize>,
    pub a: usize,
    pub b: usize,
    pub c: usize,
    pub members: usize,
}

/// Where a lane of a shuffle reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShuffleMode {
    Up,
    Down,
    Butterfly,
    Index,
}

/// What a vote tells (section 9.7.13.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteMode {
    All,
    Any,
    Uniform,
    Ballot,
}
