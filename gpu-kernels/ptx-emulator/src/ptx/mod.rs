//! PTX as text: lexer, syntax and parser for the subset that rustc's NVPTX backend and libNVVM emit for our kernels.
//!
//! What lies outside of the subset is an error that names line and instruction. Sections are those of the PTX ISA.

mod declarations;
mod lexer;
mod operands;
mod parser;
mod places;
pub mod syntax;

use std::fmt;

pub use parser::parse;

/// Why a text is not PTX of the subset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for Error {}
