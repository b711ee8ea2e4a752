//! The text that a run learns from, with its source, its documents and their tokens.
//!
//! A document is a line of the text, without the white space around it. Empty lines are skipped.

use crate::error::{Error, Result};

mod dataset;
#[cfg(not(target_family = "wasm"))]
mod source;

pub use self::dataset::{Dataset, Documents};
#[cfg(not(target_family = "wasm"))]
pub use self::source::{Corpus, Download, STDIN};

/// The names in `assets/`, for runs without a file and without a network.
pub const EMBEDDED: &str = include_str!("../../assets/names.txt");

/// Returns the documents of a text in their order.
pub fn documents(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// Returns the text in `bytes`. `name` is the file or the address, which an error names.
///
/// # Errors
/// If the bytes are not UTF-8, or have fewer than two documents.
pub fn parse(bytes: Vec<u8>, name: &str) -> Result<String> {
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        Error::NotUtf8 { name: name.to_owned(), byte: error.as_bytes()[offset], offset }
    })?;
    // Some editors write a byte order mark, which belongs to no document.
    if text.starts_with('\u{FEFF}') {
        text.drain(..'\u{FEFF}'.len_utf8());
    }
    let found = match documents(&text).take(2).count() {
        0 if text.is_empty() => "is empty",
        0 => "has only white space",
        1 => "has only one document",
        _ => return Ok(text),
    };
    Err(Error::TooFewDocuments { corpus: format!("`{name}`"), found })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::Tokenizer;

    #[test]
    fn the_embedded_names_are_distinct_and_of_the_26_letters() {
        let mut names: Vec<&str> = documents(EMBEDDED).collect();
        assert_eq!(names.join("\n") + "\n", EMBEDDED, "one a line, nothing to trim");
        assert!(Tokenizer::new(names.iter().copied()).chars().iter().copied().eq('a'..='z'));
        assert_eq!(names.len(), 5163);
        names.sort_unstable();
        assert!(names.is_sorted_by(|a, b| a < b));
    }
}
