//! The paths of checkpoints, in whose names `{step}` stands for the number of steps.

use std::path::{Path, PathBuf};

use crate::atomic_file::AtomicFile;
use crate::error::Result;

/// The text that stands for the number of steps.
const STEP: &str = "{step}";

/// A path that checkpoints are saved to, one for all steps or one for each.
#[derive(Debug)]
pub(super) struct SavePath(PathBuf);

impl SavePath {
    /// Checks that a checkpoint of step `last` can be saved to `path`, and changes nothing.
    ///
    /// # Errors
    /// Those of [`AtomicFile::new`].
    pub(super) fn new(path: &Path, last: u64) -> Result<Self> {
        let path = Self(path.to_owned());
        path.file(last)?;
        Ok(path)
    }

    /// Returns the file for the checkpoint of a step.
    ///
    /// # Errors
    /// Those of [`AtomicFile::new`].
    pub(super) fn file(&self, step: u64) -> Result<AtomicFile> {
        AtomicFile::new(&self.at(step))
    }

    /// Returns the path of the checkpoint of a step.
    pub(super) fn at(&self, step: u64) -> PathBuf {
        self.0.to_str().map_or_else(|| self.0.clone(), |name| name.replace(STEP, &step.to_string()).into())
    }
}
