//! The checksum of a checkpoint, which tells a damaged file from a whole one.
//!
//! The metadata's entry `crc32` holds eight hexadecimal digits. They are the CRC-32 (that of zip, gzip and Python's
//! `zlib.crc32`) of the tensors' bytes, followed by the metadata's other entries as JSON with sorted keys and without
//! spaces. So every changed bit of values, step, settings and vocabulary is found. Changed names, shapes and offsets of
//! tensors do not fit the model. A program may write the metadata's JSON anew, since the text of the file does not count.

use crc32fast::Hasher;
use serde_json::{Map, Value};

/// The key of the checksum in the metadata.
pub(super) const KEY: &str = "crc32";
/// The digits that stand for the checksum until it is known.
const UNKNOWN: &str = "00000000";

/// Returns the digits of the checksum of these tensors and this metadata, in which [`KEY`] does not count.
fn checksum(metadata: &Map<String, Value>, tensors: &[u8]) -> String {
    let mut hasher = Hasher::new();
    hasher.update(tensors);
    let mut metadata = metadata.clone();
    metadata.remove(KEY);
    metadata.sort_keys();
    hasher.update(Value::Object(metadata).to_string().as_bytes());
    format!("{:08x}", hasher.finalize())
}

/// Adds an entry to the metadata of a file, to be filled in by [`fill_in`].
pub(super) fn reserve(metadata: &mut Map<String, Value>) {
    metadata.insert(KEY.to_owned(), UNKNOWN.into());
}

/// Fills in the checksum of a file with this metadata.
pub(super) fn fill_in(file: &mut [u8], metadata: &Map<String, Value>) {
    let (len, rest) = file.split_first_chunk_mut().expect("the file begins with the header's length");
    let (header, tensors) = rest.split_at_mut(u64::from_le_bytes(*len) as usize);
    // The metadata is a JSON string within the header's JSON, where a backslash precedes each of its quotes.
    let entry = format!(r#"\"{KEY}\":\"{UNKNOWN}\""#);
    let at = header.windows(entry.len()).position(|bytes| bytes == entry.as_bytes()).expect("the entry is reserved");
    let digits = &mut header[at..][..entry.len() - r#"\""#.len()];
    let first = digits.len() - UNKNOWN.len();
    digits[first..].copy_from_slice(checksum(metadata, tensors).as_bytes());
}

/// Returns the digits of the checksum that the metadata states, in lower case. Files of earlier versions have none.
///
/// # Errors
/// If the entry is not eight hexadecimal digits.
pub(super) fn stated(metadata: &Value) -> Result<Option<String>, String> {
    let value = &metadata[KEY];
    let is_valid = |digits: &&str| digits.len() == UNKNOWN.len() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    match value.as_str().filter(is_valid) {
        _ if value.is_null() => Ok(None),
        Some(digits) => Ok(Some(digits.to_ascii_lowercase())),
        None => Err(format!("`{KEY}` is {value}, not eight hexadecimal digits")),
    }
}

/// Returns how the content of a file with this metadata differs from the checksum that it states, if it differs.
pub(super) fn difference(stated: &str, metadata: &Value, tensors: &[u8]) -> Option<String> {
    let digits = checksum(metadata.as_object()?, tensors);
    (digits != stated).then(|| format!("is damaged: its content has the checksum {digits}, expected {stated}"))
}
