//! The crate's error type.

use std::fmt;
use std::io;
use std::path::Path;

/// An error of a build. Its text names the thing and its value, and gives a hint where one helps. Lines after the first
/// are the output of a program.
#[derive(Debug)]
pub struct Error(pub(crate) String);

impl Error {
    /// Returns a function that adds the attempted action to an error of a file or program.
    pub(crate) fn io(verb: &str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |error| Self(format!("cannot {verb} `{}`: {error}", path.as_ref().display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
