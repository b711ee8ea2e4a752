//! The check that no file is written that is also read, or that the program writes for another reason.

use std::fs;
use std::path::Path;

use super::save_path::may_be;
use crate::atomic_file::{file_id, is_same};
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

/// Refuses to write to a file that stands before it in `files`, to one that takes the program's output, or to [`STDIN`].
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
        let named = files[..i].iter().find(is_it).map(|file| file.role);
        if let Some(role) = named.or_else(|| output_role(file, path)) {
            let message = format!("cannot {verb} to `{}`: it is {role}", path.display());
            return Err(Error::usage(message, "give every file a name of its own"));
        }
    }
    Ok(())
}

/// Returns the role of a file that standard output or standard error is redirected to. Both would write over each other.
fn output_role(file: &NamedFile, path: &Path) -> Option<&'static str> {
    let id = |path: &Path| file_id(fs::metadata(path));
    let is_it = |stream: &str| {
        let stream = Path::new(stream);
        (id(path).is_some() && id(path) == id(stream)) || (file.is_saved() && may_be(path, stream))
    };
    let roles = [("/dev/stdout", "the file that stdout goes to"), ("/dev/stderr", "the file that stderr goes to")];
    roles.into_iter().find(|(stream, _)| is_it(stream)).map(|(_, role)| role)
}
