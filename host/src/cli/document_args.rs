//! The flags that decide how a text becomes documents.

use clap::{Args, ValueEnum};

use crate::corpus::{CorpusMode, DocumentConfig};

#[derive(Debug, Args)]
pub(super) struct DocumentArgs {
    /// Read each line of the corpus as a document, or the whole corpus as one continuous text
    #[arg(long, value_name = "MODE", default_value = "lines")]
    corpus: CorpusMode,
    /// Keep the white space at both ends of each line, such as the indentation of source code. By default it is removed
    #[arg(long)]
    keep_spaces: bool,
    /// The form of characters with accents. nfc composes each into one character
    #[arg(long, value_name = "FORM", default_value = "none")]
    normalize: Form,
    /// Leave out documents that equal an earlier one
    #[arg(long)]
    dedup: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// That of the text
    None,
    /// Unicode's composed form
    Nfc,
}

impl DocumentArgs {
    /// Returns the way in which the corpus becomes documents.
    pub(super) fn config(&self) -> DocumentConfig {
        let &Self { corpus: mode, keep_spaces, normalize, dedup } = self;
        DocumentConfig { mode, keep_spaces, nfc: normalize == Form::Nfc, dedup }
    }
}
