//! The text of PTX, with lexer, syntax and parser for the subset that rustc's NVPTX backend and libNVVM emit.
//!
//! A construct outside of the subset is an error that names line and instruction. Sections are those of the PTX ISA.

mod cursor;
mod functions;
mod lexer;
mod module;
mod operands;
pub mod syntax;
mod variables;

pub use lexer::Error;
pub use module::parse;
