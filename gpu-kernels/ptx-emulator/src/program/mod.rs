//! A kernel ready to run, with decoded instructions, the functions that it reaches, and points of reconvergence.

mod access;
mod asynchronous;
mod build;
mod call_graph;
mod calls;
mod canonical;
mod carry;
mod compare;
mod compare_half;
mod control;
mod convert;
mod coverage;
mod decode;
mod decoder;
mod elements;
mod exact;
mod float;
mod forms;
mod fragments;
mod half;
mod half_format;
mod hints;
mod instruction;
mod integer;
pub(crate) mod lanes;
mod link;
mod liveness;
mod matrix;
mod matrix_memory;
mod memory;
mod names;
mod narrow;
mod operations;
pub(crate) mod processor;
mod reconvergence;
mod registers;
mod rounding;
mod shared;
mod slots;
mod symbols;
mod textures;
mod video;
mod wide_lanes;

pub use access::{Access, Order, Scope};
pub use coverage::{Coverage, coverage};
pub use decode::{Variant, variants};
pub use fragments::Fragment;
pub use half_format::{half_bits, half_value};
pub use instruction::{
    Action, Atomic, Barrier, BarrierReduction, Inst, NEVER, Program, Reduction, Shuffle, System, Thread, VoteFunction,
    WINDOW, window,
};
pub use link::{Global, Linked, link};
pub use operations::{
    AsyncBarrier, AsyncOperation, CLUSTER_RANK, CopyAsync, MatrixAccess, MatrixPart, OutsideMode, Query, TextureAccess,
    TextureHandle, TextureOperation,
};
pub use registers::{Register, Registers};
