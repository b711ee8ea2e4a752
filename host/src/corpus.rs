//! The text that a run learns from, with its source, its documents and their tokens.
//!
//! A document is a line of the text, without the white space around it. Empty lines are skipped.

mod dataset;
#[cfg(not(target_family = "wasm"))]
mod source;

pub use self::dataset::{Dataset, Documents, EMBEDDED, decode, documents, parse};
#[cfg(not(target_family = "wasm"))]
pub(crate) use self::source::read_bytes;
#[cfg(not(target_family = "wasm"))]
pub use self::source::{Corpus, Download, STDIN};
