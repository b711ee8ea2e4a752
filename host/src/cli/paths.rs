//! The check that no file is written that is also read, or that another flag writes.

use std::path::Path;

use super::save_path::may_be;
use crate::atomic_file::is_same;
use crate::corpus::STDIN;
use crate::error::{Error, Result};

/// The verb of a path of checkpoints.
pub(super) const SAVE: &str = "save";

/// A file that the command line names, if it does.
pub(super) struct NamedFile<'a> {
    pub(super) path: Option<&'a Path>,
    /// The verb of the error, if the file is written.
    pub(super) written: Option<&'static str>,
    /// The role of the file, as the error of another file says it.
    pub(super) role: &'static str,
}

impl NamedFile<'_> {
    /// Returns whether the path is one of checkpoints, with a name for each step.
    fn is_saved(&self) -> bool {
        self.written == Some(SAVE)
    }
}

/// Refuses to write to a file that stands before it in `files`, or to [`STDIN`].
pub(super) fn refuse_same(files: &[NamedFile]) -> Result<()> {
    for (i, file) in files.iter().enumerate() {
        let (Some(path), Some(verb)) = (file.path, file.written) else { continue };
        if path == Path::new(STDIN) {
            let message =
                format!("cannot {verb} to `{STDIN}`: it stands for standard input, and stdout has the results");
            return Err(Error::usage(message, "give the path of a file, such as `./-` for a file of this name"));
        }
        let is_it = |other: &&NamedFile| {
            let Some(other_path) = other.path.filter(|other| *other != Path::new(STDIN)) else { return false };
            is_same(other_path, path)
                || (file.is_saved() && may_be(path, other_path))
                || (other.is_saved() && may_be(other_path, path))
        };
        if let Some(NamedFile { role, .. }) = files[..i].iter().find(is_it) {
            let message = format!("cannot {verb} to `{}`: it is {role}", path.display());
            return Err(Error::usage(message, "give every file a name of its own"));
        }
    }
    Ok(())
}
