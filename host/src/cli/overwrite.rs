//! The refusal to replace files that the program has not written.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::checkpoint;
use crate::error::{Error, Result};
use crate::plot::is_plot;

/// The texts before and after the number that a line of `--per-document` begins with.
const DOCUMENT: [&[u8]; 2] = [b"{\"line\":", b",\"text\":"];

/// The title of a page, near its start.
const PAGE: &[u8] = b"<title>microgpt in pure Rust</title>";

/// The number of bytes that tell the kind of a file.
const START: u64 = 4096;

/// Refuses to replace a file that exists and is no checkpoint.
pub(super) fn refuse_other_than_checkpoint(path: &Path) -> Result<()> {
    if !path.is_file() || checkpoint::is_checkpoint(path)? { Ok(()) } else { Err(refused(path, "save", "checkpoint")) }
}

/// Refuses to replace a file that exists and does not begin as `--per-document` writes it.
pub(super) fn refuse_other_than_documents(path: &Path) -> Result<()> {
    let is_list = |start: &[u8]| {
        let [before, after] = DOCUMENT;
        let number = start.strip_prefix(before).unwrap_or_default();
        number.iter().position(|byte| !byte.is_ascii_digit()).is_some_and(|end| number[end..].starts_with(after))
    };
    refuse_other(path, "write documents", "list of documents", is_list)
}

/// Refuses to replace a file that exists and is no plot of this program.
pub(super) fn refuse_other_than_plot(path: &Path) -> Result<()> {
    refuse_other(path, "plot", "plot of microgpt", is_plot)
}

/// Refuses to replace a file that exists and is no page of this program.
pub(super) fn refuse_other_than_page(path: &Path) -> Result<()> {
    let is_page = |start: &[u8]| start.windows(PAGE.len()).any(|part| part == PAGE);
    refuse_other(path, "write a page", "page of microgpt", is_page)
}

/// Refuses to replace a file whose start is not that of its kind. An empty file may have been made for any.
fn refuse_other(path: &Path, verb: &str, kind: &str, is_of_kind: impl Fn(&[u8]) -> bool) -> Result<()> {
    let mut start = Vec::new();
    match File::open(path).and_then(|file| file.take(START).read_to_end(&mut start)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::Save { path: path.to_owned(), source }),
        Ok(len) if len > 0 && !is_of_kind(&start) => Err(refused(path, verb, kind)),
        Ok(_) => Ok(()),
    }
}

fn refused(path: &Path, verb: &str, kind: &str) -> Error {
    let message = format!("cannot {verb} to `{}`: the file exists and is no {kind}", path.display());
    Error::usage(message, "give the name of a new file, or remove this one first")
}
