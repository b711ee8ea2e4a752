//! The refusal to replace files that the program has not written.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::checkpoint;
use crate::error::{Error, Result};

/// The start of a line of `--per-document`.
const DOCUMENT: &[u8] = b"{\"line\":";

/// Refuses to replace a file that exists and is no checkpoint.
pub(super) fn refuse_other_than_checkpoint(path: &Path) -> Result<()> {
    if !path.is_file() || checkpoint::is_checkpoint(path)? { Ok(()) } else { Err(refused(path, "save", "checkpoint")) }
}

/// Refuses to replace a file that exists and does not begin as `--per-document` writes it.
pub(super) fn refuse_other_than_documents(path: &Path) -> Result<()> {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(DOCUMENT.len() as u64).read_to_end(&mut start));
    match read {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::Save { path: path.to_owned(), source: error })
        }
        Ok(_) if !DOCUMENT.starts_with(&start) => Err(refused(path, "write documents", "list of documents")),
        _ => Ok(()),
    }
}

fn refused(path: &Path, verb: &str, kind: &str) -> Error {
    let message = format!("cannot {verb} to `{}`: the file exists and is no {kind}", path.display());
    Error::usage(message, "give the name of a new file, or remove this one first")
}
