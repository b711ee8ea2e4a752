//! The text that a run learns from, with its source, its documents and their tokens.
//!
//! A document is a line of the text, by default without the white space around it. Empty lines are skipped.

mod dataset;
mod encoding;
#[cfg(feature = "program")]
mod forms;
#[cfg(feature = "program")]
mod source;
mod text;

pub use self::dataset::{Dataset, Documents, EMBEDDED};
#[cfg(feature = "program")]
pub(crate) use self::forms::{compose, form_in, is_mixed};
#[cfg(feature = "program")]
pub use self::source::{Corpus, DocumentConfig, Download, STDIN};
#[cfg(feature = "program")]
pub(crate) use self::source::{name, read_bytes};
pub use self::text::{decode, documents, parse};
