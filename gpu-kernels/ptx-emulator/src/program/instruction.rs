//! A kernel's program and its instructions, decoded.

use std::collections::HashMap;
use std::ops::Range;

use super::access::{Access, Scope};
use super::operations::{AsyncBarrier, CopyAsync, MatrixAccess, TextureAccess};
use super::registers::{Compute, Register, Registers};
use crate::ptx::Error;
use crate::ptx::syntax::SourceLocation;
use crate::ptx::syntax::Space;

/// The point of reconvergence of a branch whose sides first meet at the end of the kernel.
pub const NEVER: usize = usize::MAX;

/// The size of the generic addresses of a state space.
pub const WINDOW: u64 = 1 << 40;

/// Returns the first generic address of a state space (PTX ISA, section 5.1.8), 0 for global and constant memory.
pub fn window(space: Space) -> u64 {
    match space {
        Space::Shared => 0x0100_0000_0000,
        Space::Local => 0x0200_0000_0000,
        Space::Param => 0x0300_0000_0000,
        Space::Generic | Space::Global | Space::Const => 0,
    }
}

/// The address of the first function of a module. The others follow in steps of 16 bytes.
pub const FUNCTIONS: u64 = 0x0400_0000_0000;

/// A kernel that is ready to run.
#[derive(Default)]
pub struct Program {
    /// The kernel's name.
    pub name: String,
    /// The line of its `.entry`.
    pub line: u32,
    /// The instructions of the kernel, and then those of each function that it reaches.
    pub code: Vec<Inst>,
    /// The first instruction of each function that the kernel reaches, by the function's address.
    pub functions: HashMap<u64, usize>,
    /// The state that a call inside of each recursive function saves.
    pub frames: Vec<FrameLayout>,
    /// The source locations, which instructions refer to by index.
    pub source_locations: Vec<SourceLocation>,
    /// The registers of a warp at its start.
    pub registers: Registers,
    /// The slots that registers share, as registers, by the registers that instructions name in `reads` and `writes`. It is
    /// empty if each register has its own slot.
    pub slots: HashMap<Register, Register>,
    /// The special registers, each with the slot of 32 bits that a launch fills.
    pub specials: Vec<(usize, Special)>,
    /// The offset and size of each parameter in bytes.
    pub params: Vec<(usize, usize)>,
    /// The size of all parameters in bytes.
    pub param_size: usize,
    /// The size of a lane's local memory in bytes.
    pub local_size: usize,
    /// The size of the shared memory that the kernel declares, in bytes.
    pub shared_size: usize,
    /// Whether the kernel uses the shared memory that the system reserves.
    pub reserved_shared: bool,
    /// The number of blocks of a cluster along x, y, z, if `.reqnctapercluster` gives it.
    pub cluster: Option<[u32; 3]>,
    /// The product of `.maxntid`, if given.
    pub max_threads: Option<u32>,
    /// The first instruction whose result differs between GPUs, as an error that gives the reason.
    pub inexact: Option<Error>,
    /// The reason why the kernel cannot run, such as an instruction that is not supported.
    pub unsupported: Option<Error>,
}

/// The state of a recursive function, which a call saves for the lanes of the caller.
#[derive(Clone, Default)]
pub struct FrameLayout {
    pub registers: Vec<Register>,
    /// The part of each lane's local memory.
    pub local: Range<usize>,
}

/// A function of the device's runtime library (CUDA C++ Programming Guide, "Formatted Output", "Assertion" and "Dynamic
/// Global Memory Allocation and Operations").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// The function `vprintf(format, arguments)`.
    Print,
    /// The function `__assertfail(message, file, line, function, size of a character)`.
    Assert,
    /// The function `malloc(size)`.
    Allocate,
    /// The function `free(address)`.
    Free,
}

/// The special registers of a thread that have 32 bits, under their names (PTX ISA, chapter 10).
pub struct Thread {
    pub tid: [u32; 3],
    pub ntid: [u32; 3],
    pub ctaid: [u32; 3],
    pub nctaid: [u32; 3],
    pub laneid: u32,
    pub warpid: u32,
    pub nwarpid: u32,
    /// The coordinates of the block in its cluster, and of the cluster in the grid.
    pub cluster_ctaid: [u32; 3],
    pub clusterid: [u32; 3],
    /// The number of blocks of a cluster, and of clusters, along x, y, z.
    pub cluster_nctaid: [u32; 3],
    pub nclusterid: [u32; 3],
    /// The rank of the block in its cluster.
    pub cluster_rank: u32,
    /// The multiprocessor of the block, and the number of multiprocessors.
    pub smid: u32,
    pub nsmid: u32,
    /// The shared memory of the block in bytes, and that which the system reserves.
    pub total_shared: u32,
    pub reserved_shared: u32,
    /// The dynamic shared memory of the block in bytes.
    pub dynamic_shared: u32,
}

/// The name of a special register, and its value in a thread.
pub type Special = (&'static str, fn(&Thread) -> u32);

/// An instruction.
pub struct Inst {
    /// The predicate of `@p`, and whether it is negated.
    pub guard: Option<(usize, bool)>,
    pub action: Action,
    pub mnemonic: String,
    /// The line of the PTX.
    pub line: u32,
    /// The index into [`Program::source_locations`].
    pub source_location: usize,
    pub reads: Vec<Register>,
    pub writes: Vec<Register>,
    /// The instruction at which the sides of a branch meet again.
    pub reconvergence: usize,
}

/// The operation of an instruction. Long operands are boxed, so that more instructions fit into the processor's cache.
pub enum Action {
    /// A function of registers.
    Compute(Compute),
    /// The instruction `ld`.
    Load(Box<Access>),
    /// The instruction `st`.
    Store(Box<Access>),
    /// The instructions `atom` and `red`.
    Atomic(Box<Atomic>),
    /// The instructions on the matrices that the lanes of a warp hold.
    Matrix(MatrixFunction),
    /// Loads and stores of matrices.
    MatrixAccess(Box<MatrixAccess>),
    /// The instruction `cp.async`.
    CopyAsync(Box<CopyAsync>),
    /// The instructions on barriers in shared memory.
    AsyncBarrier(Box<AsyncBarrier>),
    /// The instruction `barrier.cluster.arrive`.
    ClusterArrive { releases: bool },
    /// The instruction `barrier.cluster.wait`.
    ClusterWait,
    /// The instruction `elect.sync`.
    Elect { d: Option<Register>, p: usize, members: usize },
    /// The instructions on textures and surfaces.
    Texture(Box<TextureAccess>),
    /// The instructions `atom` and `red` on each element of a vector.
    Atomics(Vec<Atomic>),
    /// The instructions `fence` and `membar`.
    Fence(Scope),
    /// The instruction `bra`, and `ret` from a function, which branches to the function's end.
    Branch { target: usize, uniform: bool },
    /// The instruction `call` of a function in the program. `frame` is the index in [`Program::frames`] of what the call
    /// saves.
    Call { target: usize, frame: Option<usize> },
    /// The instruction `call` of the function whose address is in a register of 64 bits.
    CallPointer { register: usize, frame: Option<usize> },
    /// The end of a function.
    Return,
    /// A copy of bytes within each lane's local memory.
    Copy { from: u64, to: u64, len: usize },
    /// A call of the runtime library, with the offsets of the arguments in local memory. The result replaces the first
    /// argument.
    System { system: System, arguments: Vec<u64> },
    /// The instruction `brx.idx`, a branch by a table of targets.
    Table { index: usize, targets: Vec<usize>, uniform: bool },
    /// The instructions `bar` and `barrier`.
    Barrier(Box<Barrier>),
    /// The instruction `redux.sync`.
    Reduce { d: usize, a: usize, members: usize, function: Reduction },
    /// The instruction `match.sync`.
    Match { d: usize, p: Option<usize>, a: Register, members: usize, all: bool },
    /// The instruction `bar.warp.sync`.
    WarpSync { members: usize },
    /// The instruction `shfl.sync`.
    Shuffle(Box<Shuffle>),
    /// The instruction `vote.sync`.
    Vote { d: Register, p: usize, negated: bool, members: usize, function: VoteFunction },
    /// The instruction `activemask`.
    ActiveMask { d: usize },
    /// A read of `%clock` or `%globaltimer`.
    Clock { d: Register },
    /// The instructions `nanosleep` and `prefetch`, which do nothing here.
    Nothing,
    /// The instruction `exit`, and `ret` from the kernel.
    Exit,
    /// The instruction `trap`.
    Trap,
}

/// A barrier of a block (PTX ISA, section 9.7.13.1).
#[derive(Clone, Copy)]
pub struct Barrier {
    /// The register with the number of the barrier.
    pub id: usize,
    /// The register with the number of threads, or `None` for all threads of the block.
    pub threads: Option<usize>,
    /// Whether the warp continues without waiting.
    pub arrives: bool,
    pub reduction: Option<BarrierReduction>,
}

/// A reduction of a predicate over the threads of a barrier.
#[derive(Clone, Copy, Debug)]
pub struct BarrierReduction {
    pub d: Register,
    pub p: usize,
    pub negated: bool,
    /// The result, from the number of threads whose predicate is true, and the number of threads.
    pub function: fn(u32, u32) -> u64,
}

/// A function of the registers of a warp, all of whose lanes are active.
pub type MatrixFunction = Box<dyn Fn(&mut Registers) + Send + Sync>;

/// A commutative reduction of two words.
pub type Reduction = fn(u32, u32) -> u32;

/// A read-modify-write.
pub struct Atomic {
    /// The access, without elements.
    pub access: Access,
    /// The register that receives the old value. `red` has none.
    pub d: Option<Register>,
    pub operand: Register,
    /// The new value of `cas`.
    pub swap: Option<Register>,
    /// The new value as a function of the old one, the operand and the swap value.
    pub function: fn(u64, u64, u64) -> u64,
}

/// The instruction `shfl.sync` (PTX ISA, section 9.7.9.6), with the operands' names of that section.
pub struct Shuffle {
    pub function: ShuffleFunction,
    pub d: usize,
    pub p: Option<usize>,
    pub a: usize,
    pub b: usize,
    pub c: usize,
    pub members: usize,
}

/// The lane that a shuffle reads, and whether that lane is in range, as a function of the reading lane, the operand
/// `b`, the segment's mask and its last lane.
pub type ShuffleFunction = fn(i32, i32, i32, i32) -> (i32, bool);

/// The result of a vote (PTX ISA, section 9.7.13.10), from the masks of the members that vote yes and of all members.
pub type VoteFunction = fn(u32, u32) -> u64;
