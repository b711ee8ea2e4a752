//! The lock of a file that a run writes, which keeps other runs from writing it too.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::atomic_file::{file_id, resolve};
use crate::error::{Error, Result};

/// The lock of a file, held until it is dropped or the process ends.
///
/// The lock is on `.NAME.microgpt-lock` beside the file, because saving a file replaces it. A killed run leaves that
/// file unlocked, and the next run takes it over.
#[derive(Debug)]
pub struct RunLock {
    path: PathBuf,
    _locked: File,
}

impl RunLock {
    /// Locks the file at `path`, which need not exist. There is no lock for a pipe or a device, nor where the folder or
    /// its file system permits none.
    ///
    /// # Errors
    /// [`Error::InUse`] if another run holds the lock.
    pub fn new(path: &Path) -> Result<Option<Self>> {
        let resolved = resolve(path);
        let Some(name) = resolved.file_name() else { return Ok(None) };
        if fs::metadata(&resolved).is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(None);
        }
        let name: OsString = [".".as_ref(), name, ".microgpt-lock".as_ref()].into_iter().collect();
        let path_of_lock = resolved.with_file_name(name);
        loop {
            if fs::symlink_metadata(&path_of_lock).is_ok_and(|metadata| !metadata.is_file()) {
                return Ok(None);
            }
            let opened = File::options().create(true).truncate(false).write(true).open(&path_of_lock);
            let Ok(file) = opened else { return Ok(None) };
            match file.try_lock() {
                // The run that held the lock before may have removed the file.
                Ok(()) if file_id(file.metadata()) == file_id(fs::symlink_metadata(&path_of_lock)) => {
                    return Ok(Some(Self { path: path_of_lock, _locked: file }));
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(Error::InUse { path: path.to_owned() }),
                Err(TryLockError::Error(_)) => {
                    let _ = fs::remove_file(&path_of_lock);
                    return Ok(None);
                }
            }
        }
    }
}

// The file is removed while it is locked, because another run could own the name afterwards.
impl Drop for RunLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
