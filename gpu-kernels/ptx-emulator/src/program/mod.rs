//! A kernel ready to run, with decoded instructions, the functions that it reaches, and points of reconvergence.

mod build;
mod call_graph;
mod calls;
mod carry;
mod compare;
mod control;
mod convert;
mod decode;
mod decoder;
mod float;
mod forms;
mod half;
mod instruction;
mod integer;
mod lanes;
mod link;
mod memory;
mod names;
mod operations;
mod reconvergence;
mod registers;
mod rounding;
mod shared;
mod symbols;
mod textures;

pub use decode::{Variant, variants};
pub use half::{half_bits, half_value};
pub use instruction::{
    Access, Action, Atomic, Barrier, BarrierReduction, Inst, NEVER, Order, Program, Reduction, Scope, Shuffle, System,
    Thread, VoteFunction, WINDOW, window,
};
pub use link::{Global, Linked, link};
pub use operations::{OutsideMode, Query, TextureAccess, TextureHandle, TextureOperation};
pub use registers::{Register, Registers};
