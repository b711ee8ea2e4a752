//! A kernel ready to run, with decoded instructions, the functions that it reaches, and points of reconvergence.

mod build;
mod call_graph;
mod calls;
mod compare;
mod control;
mod convert;
mod decode;
mod decoder;
mod float;
mod forms;
mod instruction;
mod integer;
mod lanes;
mod link;
mod memory;
mod names;
mod reconvergence;
mod registers;
mod rounding;
mod symbols;

pub use decode::{Variant, variants};
pub use instruction::{
    Access, Action, Atomic, Inst, NEVER, Order, Program, Scope, Shuffle, System, Thread, VoteFunction, window,
};
pub use link::{Global, Linked, link};
pub use registers::{Register, Registers};
