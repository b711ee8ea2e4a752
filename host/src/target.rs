//! Where a file is written: refused before training starts, and then written whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{self, Path, PathBuf};

use crate::error::{Error, Result};

/// A path that a file can be written to, as a checkpoint or a plot.
///
/// The bytes go to a temporary file beside it, `.NAME.microgpt-tmp`, which then takes its place. Its name is fixed, so that
/// what a killed run left there goes with the next one that writes the same file; runs that do so at once take turns.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    temporary: PathBuf,
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
        Self::at(path, &name)
            .and_then(|target| target.check_taken().and_then(|()| target.probe()).map(|()| target))
            .map_err(|error| {
                cannot_save(&name, error).hint("choose a file that you may write, in a folder that exists")
            })
    }

    fn at(path: &Path, name: &str) -> io::Result<Self> {
        let is_folder = path.as_os_str().to_string_lossy().ends_with(path::is_separator);
        let path = resolve(path);
        let Some(file_name) = path.file_name().filter(|_| !is_folder) else {
            return Err(io::ErrorKind::IsADirectory.into());
        };
        let temporary = [".".as_ref(), file_name, ".microgpt-tmp".as_ref()].into_iter().collect::<OsString>();
        Ok(Self { temporary: path.with_file_name(temporary), path, name: name.to_owned() })
    }

    /// The path as the user gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Replaces the file by one of these bytes. A failure leaves the file as it was.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn save(&self, bytes: &[u8]) -> Result<()> {
        self.write(bytes, |temporary, path| fs::rename(temporary, path))
    }

    /// Writes a file of these bytes where there is none.
    ///
    /// # Errors
    /// A file that is there by now, and what the file system reports.
    pub fn create(&self, bytes: &[u8]) -> Result<()> {
        self.write(bytes, |temporary, path| fs::hard_link(temporary, path).and_then(|()| fs::remove_file(temporary)))
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

    /// Makes the temporary file, and removes it.
    fn probe(&self) -> io::Result<()> {
        let _file = self.open_temporary()?;
        fs::remove_file(&self.temporary)
    }

    /// The temporary file, empty, locked until it is closed.
    fn open_temporary(&self) -> io::Result<File> {
        loop {
            // Not through a link, which someone else may have put there.
            if fs::symlink_metadata(&self.temporary).is_ok_and(|metadata| !metadata.is_file()) {
                let what = format!("`{}` is not a regular file", self.temporary.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
            }
            let file = File::options().create(true).truncate(false).write(true).open(&self.temporary)?;
            // Where there are no locks, runs that write the same file at the same time are on their own.
            let _ = file.lock();
            // Whoever had the lock has renamed or removed it.
            if is_at(&file, &self.temporary)? {
                file.set_len(0)?;
                return Ok(file);
            }
        }
    }

    fn write(&self, bytes: &[u8], put: impl FnOnce(&Path, &Path) -> io::Result<()>) -> Result<()> {
        let write = || {
            let mut file = self.open_temporary()?;
            let written = self.fill(&mut file, bytes).and_then(|()| put(&self.temporary, &self.path));
            // Removed while it is locked: it could be another run's afterwards.
            written.inspect_err(|_| drop(fs::remove_file(&self.temporary)))
        };
        write().map_err(|error| {
            let hint = "nothing has changed there; check the space and the permissions of the folder";
            cannot_save(&self.name, error).hint(hint)
        })?;
        // The new name reaches the disk too; but not every file system can sync a folder, and the file is complete.
        let _ = self.path.parent().map(|folder| File::open(folder).and_then(|folder| folder.sync_all()));
        Ok(())
    }

    fn fill(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)?;
        if let Ok(metadata) = fs::metadata(&self.path) {
            file.set_permissions(metadata.permissions())?;
        }
        // The content reaches the disk before the name does, or a power failure could leave an empty file.
        file.sync_all()
    }
}

/// The most links that are followed.
const MAX_LINKS: usize = 40;

/// The file that a path leads to, whether it is there or not, by one name however the path is spelt: a link stays a link,
/// and what it leads to is written, or made if it is not there.
pub fn resolve(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(link) = fs::read_link(&path) else { break };
        path = folder(&path).join(link);
    }
    let resolved = match path.file_name() {
        Some(name) => folder(&path).canonicalize().map(|folder| folder.join(name)),
        None => path.canonicalize(),
    };
    resolved.or_else(|_| path::absolute(&path)).unwrap_or(path)
}

/// Whether two paths lead to one file, however they are spelt and whatever names it has.
pub fn is_same(a: &Path, b: &Path) -> bool {
    resolve(a) == resolve(b) || has_both_names(a, b)
}

#[cfg(unix)]
fn has_both_names(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let file = |path: &Path| fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|file| (file.dev(), file.ino()));
    file(a).is_some_and(|a| file(b) == Some(a))
}

/// Elsewhere the standard library does not tell.
#[cfg(not(unix))]
fn has_both_names(_: &Path, _: &Path) -> bool {
    false
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether this open file is the one at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let file = file.metadata()?;
    Ok(fs::symlink_metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (file.dev(), file.ino())))
}

/// Elsewhere a file that is open cannot be renamed or removed by another run.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

fn cannot_save(name: &str, cause: io::Error) -> Error {
    Error::new(format!("cannot save to `{name}`")).caused_by(cause)
}
