//! The text of a corpus, from its bytes to its documents.

use super::encoding;
use crate::error::{Error, ONE_DOCUMENT, Result};

/// Returns the documents of a text in their order, which are its lines without the spaces at their ends.
pub fn documents(text: &str) -> impl Iterator<Item = &str> {
    lines(text, false)
}

/// Returns the lines of a text that are not empty, with the spaces at their ends if they are kept.
pub(super) fn lines(text: &str, keep_spaces: bool) -> impl Iterator<Item = &str> {
    text.lines().map(move |line| if keep_spaces { line } else { line.trim() }).filter(|line| !line.is_empty())
}

/// Returns the text in `bytes`, without a byte order mark. Errors name the source as `name` says it.
///
/// # Errors
/// If the bytes are not UTF-8.
pub fn decode(bytes: Vec<u8>, name: &str) -> Result<String> {
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let bytes = error.as_bytes();
        let offset = error.utf8_error().valid_up_to();
        encoding::recognised(bytes, false, name).unwrap_or_else(|| not_utf8(bytes, offset, name))
    })?;
    if let Some(error) = encoding::recognised(text.as_bytes(), true, name) {
        return Err(error);
    }
    // Some editors write a byte order mark, which belongs to no document.
    if text.starts_with('\u{FEFF}') {
        text.drain(..'\u{FEFF}'.len_utf8());
    }
    Ok(text)
}

/// Returns the error of bytes that are UTF-8 up to `offset`.
fn not_utf8(bytes: &[u8], offset: usize, name: &str) -> Error {
    let before = String::from_utf8_lossy(&bytes[..offset]);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    Error::NotUtf8 { name: name.to_owned(), byte: bytes[offset], offset, line, column }
}

/// Returns the corpus in `bytes`. Errors name the source as `name` says it.
///
/// # Errors
/// If the bytes are not UTF-8, or have fewer than two documents.
pub fn parse(bytes: Vec<u8>, name: &str) -> Result<String> {
    let text = decode(bytes, name)?;
    let found = match documents(&text).take(2).count() {
        0 if text.is_empty() => "is empty",
        0 => "has only white space",
        1 => ONE_DOCUMENT,
        _ => return Ok(text),
    };
    Err(Error::TooFewDocuments { corpus: name.to_owned(), found })
}
