//! A kernel ready to run, with decoded instructions, inlined functions and points of reconvergence.

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

pub use decode::{Variant, variants};
pub use instruction::{
    Access, Action, Atomic, Inst, NEVER, Order, Program, Scope, Shuffle, Thread, VoteFunction, window,
};
pub use link::{Global, Linked, link};
pub use registers::{Register, Registers};
