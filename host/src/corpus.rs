//! The text that a run learns from, with its source, its documents and their tokens.
//!
//! A document is a line of the text, by default without the white space around it. Empty lines are skipped. The text can
//! also be continuous. Then training and validation take windows of it, see [`CorpusMode`].

mod dataset;
mod documents;
mod encoding;
#[cfg(feature = "program")]
mod forms;
#[cfg(feature = "program")]
mod source;
mod text;
mod windows;

pub(crate) use self::dataset::Batches;
pub use self::dataset::{Dataset, EMBEDDED};
pub use self::documents::Documents;
#[cfg(feature = "program")]
pub(crate) use self::forms::{compose, form_in, is_mixed};
#[cfg(feature = "program")]
pub use self::source::{Corpus, CorpusMode, DocumentConfig, Download, STDIN};
#[cfg(feature = "program")]
pub(crate) use self::source::{name, read_bytes, unify_line_ends};
pub use self::text::{decode, documents, parse};
pub use self::windows::Drawing;
