//! Failures of a corpus and of its vocabulary.

use std::io;
use std::path::PathBuf;

use super::Cause;

/// A corpus that cannot be read or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// A file that cannot be read.
    #[error("cannot read `{path}`")]
    Read { path: PathBuf, source: io::Error },
    /// A text that cannot be downloaded.
    #[error("cannot download {url}")]
    Download { url: String, source: Cause },
    /// Bytes that are not UTF-8.
    #[error("`{name}` is not UTF-8: the byte 0x{byte:02x} at offset {offset}")]
    NotUtf8 { name: String, byte: u8, offset: usize },
    /// A text of no bytes.
    #[error("`{name}` is empty")]
    Empty { name: String },
    /// A text of white space alone.
    #[error("`{name}` has only white space")]
    Blank { name: String },
    /// A text of one document.
    #[error("`{name}` has only one document")]
    OneDocument { name: String },
    /// Fewer than two documents for a data set.
    #[error("the corpus has {}", if *.documents == 0 { "no document" } else { "only one document" })]
    TooFewDocuments { documents: usize },
    /// More tokens than 32 bits can index.
    #[error("the corpus has {tokens} tokens, more than the {} supported", u32::MAX)]
    TooManyTokens { tokens: u64 },
    /// A document, counted from 1, with a character that the given vocabulary lacks.
    #[error("cannot encode document {document} ({start:?})")]
    Encode { document: usize, start: String, source: VocabularyError },
}

/// The hint for a file that has no documents.
const ONE_PER_LINE: &str = "give a text file with one document on each line, for instance a name";

impl CorpusError {
    pub(super) fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Read { source, .. } => match source.kind() {
                io::ErrorKind::FileTooLarge => "use a part of it",
                io::ErrorKind::NotFound => "check the path, or leave `--input` out to use microgpt's own names",
                io::ErrorKind::PermissionDenied => "check the permissions of the file",
                _ => ONE_PER_LINE,
            },
            Self::Download { .. } => return None,
            Self::NotUtf8 { .. } => "convert the file to UTF-8",
            Self::Empty { .. } | Self::Blank { .. } => ONE_PER_LINE,
            Self::OneDocument { .. } | Self::TooFewDocuments { .. } => {
                "put at least two documents on lines of their own: one to train on and one to validate on"
            }
            Self::TooManyTokens { .. } => "use a part of it",
            Self::Encode { .. } => "use a corpus with the characters of the given vocabulary alone",
        })
    }
}

/// A vocabulary that cannot be built, or that lacks a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VocabularyError {
    /// A vocabulary of no characters.
    #[error("the vocabulary is empty")]
    Empty,
    /// Two neighbours that are equal, or not in the order of their code points.
    #[error("the vocabulary is not sorted: {} stands before {}", describe(*.first), describe(*.second))]
    Unsorted { first: char, second: char },
    /// A character outside of the vocabulary.
    #[error("the character {} is not in the vocabulary", describe(*.character))]
    UnknownCharacter { character: char },
}

/// Returns a character as a message shows it: visible, and with its code point, since many characters look alike.
fn describe(c: char) -> String {
    format!("{c:?} (U+{:04X})", c as u32)
}
