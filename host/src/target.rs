//! Where a file is written: refused before training starts, and then written whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// A path that a file can be written to, as a checkpoint or a plot.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    /// The path as the user gave it.
    name: String,
}

impl Target {
    /// Checks that a file can be written to `path`, and leaves everything as it is.
    ///
    /// # Errors
    /// A folder that is not there or cannot be written to, or a path that is taken by anything but a writable file.
    pub fn new(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        // A link stays a link: what it leads to is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let target = Self { path, name };
        target
            .check_taken()
            .and_then(|()| target.temporary())
            .map_err(|error| target.error(error).hint("choose a file that you may write, in a folder that exists"))?;
        Ok(target)
    }

    /// The path as the user gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this is the file at `path`.
    pub fn is(&self, path: &Path) -> bool {
        fs::canonicalize(path).is_ok_and(|path| path == self.path)
    }

    /// Replaces the file by one of these bytes. A failure leaves the file as it was.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn save(&self, bytes: &[u8]) -> Result<()> {
        self.replace(bytes).map_err(|error| {
            self.error(error).hint("nothing has changed there; check the space and the permissions of the folder")
        })
    }

    fn error(&self, cause: io::Error) -> Error {
        Error::new(format!("cannot save to `{}`", self.name)).caused_by(cause)
    }

    fn check_taken(&self) -> io::Result<()> {
        match fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(metadata) if !metadata.is_file() => Err(io::Error::other("it is not a regular file")),
            // A rename would not mind, but whoever protected the file does.
            Ok(metadata) if metadata.permissions().readonly() => Err(io::Error::other("it is read-only")),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// A temporary file beside the target, so that a rename can replace it at once.
    fn temporary(&self) -> io::Result<NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        // A temporary file is private by default; a checkpoint is a file like any other, as the umask wants it.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.prefix(".microgpt-").suffix(".tmp").tempfile_in(self.folder())
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.temporary()?;
        file.write_all(bytes)?;
        if let Ok(metadata) = fs::metadata(&self.path) {
            file.as_file().set_permissions(metadata.permissions())?;
        }
        // The content reaches the disk before the name does, or a power failure could leave an empty file.
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        // The new name too; but not every file system can sync a folder, and the checkpoint is complete.
        let _ = File::open(self.folder()).and_then(|folder| folder.sync_all());
        Ok(())
    }
}
