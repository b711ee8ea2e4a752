//! The paths of checkpoints, in whose names `{step}` stands for the number of steps.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::atomic_file::AtomicFile;
use crate::error::Result;

/// The text that stands for the number of steps.
const STEP: &str = "{step}";

/// A path that checkpoints are saved to.
#[derive(Debug)]
pub(super) enum SavePath {
    /// One file, which each save replaces.
    One(AtomicFile),
    /// A file for each step.
    Numbered(String),
}

impl SavePath {
    /// Checks that a checkpoint of step `last` can be saved to `path`, and changes nothing.
    ///
    /// # Errors
    /// Those of [`AtomicFile::new`].
    pub(super) fn new(path: &Path, last: u64) -> Result<Self> {
        match path.to_str().filter(|name| name.contains(STEP)) {
            Some(name) => {
                let numbered = Self::Numbered(name.to_owned());
                numbered.file(last)?;
                Ok(numbered)
            }
            None => Ok(Self::One(AtomicFile::new(path)?)),
        }
    }

    /// Returns the file for the checkpoint of a step.
    ///
    /// # Errors
    /// Those of [`AtomicFile::new`].
    pub(super) fn file(&self, step: u64) -> Result<Cow<'_, AtomicFile>> {
        match self {
            Self::One(file) => Ok(Cow::Borrowed(file)),
            Self::Numbered(name) => {
                let path = PathBuf::from(name.replace(STEP, &step.to_string()));
                AtomicFile::new(&path).map(Cow::Owned)
            }
        }
    }

    /// Returns the path as the user gave it.
    pub(super) fn name(&self) -> Cow<'_, str> {
        match self {
            Self::One(file) => file.path().to_string_lossy(),
            Self::Numbered(name) => Cow::Borrowed(name),
        }
    }
}
