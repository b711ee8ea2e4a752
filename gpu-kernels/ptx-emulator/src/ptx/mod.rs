//! PTX as text: lexer, syntax and parser for the subset that rustc's NVPTX backend and libNVVM emit.
//!
//! A construct outside of the subset is an error that names the line and the instruction. Sections are those of the PTX ISA.

mod cursor;
mod error;
mod functions;
mod lexer;
mod module;
mod operands;
mod scopes;
mod source_locations;
pub mod syntax;
mod variables;

pub use error::Error;
pub use module::parse;
