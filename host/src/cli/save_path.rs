//! The paths of checkpoints, in whose names `{step}` stands for the number of steps.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::overwrite::refuse_other_than_checkpoint;
use crate::atomic_file::{AtomicFile, is_same};
use crate::error::Result;

/// The text that stands for the number of steps.
const STEP: &str = "{step}";

/// A path that checkpoints are saved to, one for all steps or one for each.
#[derive(Debug)]
pub(super) struct SavePath(PathBuf);

impl SavePath {
    /// Checks that a run can save checkpoints of these steps to `path`, and changes nothing.
    ///
    /// # Errors
    /// Those of [`AtomicFile::new`], and an error if one of these checkpoints would replace a file of another kind.
    pub(super) fn new(path: &Path, saved: &RangeInclusive<u64>) -> Result<Self> {
        let (save, last) = (Self(path.to_owned()), *saved.end());
        let mut steps = steps(path, names(path));
        steps.retain(|step| saved.contains(step));
        steps.sort_unstable();
        for step in steps.into_iter().chain([last]) {
            save.file(step)?;
            refuse_other_than_checkpoint(&save.at(step))?;
        }
        Ok(save)
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
        at(&self.0, step)
    }
}

fn at(path: &Path, step: u64) -> PathBuf {
    path.to_str().map_or_else(|| path.to_owned(), |name| name.replace(STEP, &step.to_string()).into())
}

/// Returns whether the checkpoint of some step, saved to `path`, would go to the file `other`. It does so by its name, or
/// by a link that has the name for that step.
pub(super) fn may_be(path: &Path, other: &Path) -> bool {
    let names = names(path).into_iter().chain(other.file_name().map(OsStr::to_owned));
    steps(path, names).into_iter().any(|step| is_same(&at(path, step), other))
}

/// Returns the names of the files in the folder of `path`.
fn names(path: &Path) -> Vec<OsString> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect()
}

/// Returns the steps whose checkpoints, saved to `path`, may have one of these names.
fn steps(path: &Path, names: impl IntoIterator<Item = OsString>) -> Vec<u64> {
    let step = |file: OsString| -> Option<u64> {
        let (before, after) = path.file_name()?.to_str()?.split_once(STEP)?;
        let rest = file.to_str()?.strip_prefix(before)?;
        let rest = rest.strip_suffix(after).unwrap_or(rest);
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    names.into_iter().filter_map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_kind_is_refused_for_the_steps_of_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model-{step}.st");
        fs::write(folder.path().join("model-7.st"), "notes").unwrap();
        fs::create_dir(folder.path().join("model-12.st")).unwrap();
        let report = SavePath::new(&path, &(1..=10)).unwrap_err().report();
        assert!(report.contains("model-7.st`: the file exists and is no checkpoint"), "{report}");
        assert!(SavePath::new(&path, &(1..=6)).is_ok());
        assert!(SavePath::new(&path, &(8..=10)).is_ok());
        assert!(SavePath::new(&path, &(8..=20)).unwrap_err().report().contains("model-12.st"));
    }
}
