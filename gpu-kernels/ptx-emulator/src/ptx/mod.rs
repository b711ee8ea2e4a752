//! The text of PTX, with lexer, syntax and parser for the subset that rustc's NVPTX backend and libNVVM emit.
//!
//! A part of a function outside of the subset makes the function unsupported, and all other functions stay usable.
//! Sections are those of the PTX ISA.

mod cursor;
mod functions;
mod lexer;
mod module;
mod operands;
pub mod syntax;
mod variables;

pub use lexer::Error;
pub use module::parse;
