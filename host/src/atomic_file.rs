//! Files that are written whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::path::{self, Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// A path that a file can be written to.
///
/// The bytes go to a temporary file in the same folder, `.NAME.microgpt-tmp`, which then replaces the file. The
/// temporary name is fixed, so the next run that writes the file removes what a killed run has left. Runs that write
/// the file at once take turns.
#[derive(Debug)]
pub struct AtomicFile {
    /// The path as the user gave it.
    path: PathBuf,
    /// The path with its links resolved.
    resolved: PathBuf,
    temporary: PathBuf,
}

impl AtomicFile {
    /// Checks that a file can be written to `path`, and changes nothing.
    ///
    /// # Errors
    /// [`Error::Save`] if the folder does not exist or cannot be written to, or if the path is anything but a
    /// writable file.
    pub fn new(path: &Path) -> Result<Self> {
        let checked = || {
            let is_folder = path.as_os_str().to_string_lossy().ends_with(path::is_separator);
            let resolved = resolve(path);
            let Some(name) = resolved.file_name().filter(|_| !is_folder) else {
                let is_device = !is_folder && !resolved.is_dir();
                return Err(if is_device { not_a_file() } else { io::ErrorKind::IsADirectory.into() });
            };
            let temporary = [".".as_ref(), name, ".microgpt-tmp".as_ref()].into_iter().collect::<OsString>();
            let file = Self { path: path.to_owned(), temporary: resolved.with_file_name(temporary), resolved };
            file.check_existing()?;
            let _locked = file.open_temporary()?;
            fs::remove_file(&file.temporary)?;
            Ok(file)
        };
        checked().map_err(|source| Error::Save { path: path.to_owned(), source })
    }

    /// Returns the path as the user gave it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file's content by these bytes. A failure leaves the file as it was.
    ///
    /// # Errors
    /// [`Error::Save`] if the file system reports an error.
    pub fn save(&self, bytes: &[u8]) -> Result<()> {
        self.write(bytes, |temporary, path| patiently(|| fs::rename(temporary, path)))
    }

    /// Creates the file with these bytes.
    ///
    /// # Errors
    /// [`Error::Save`] if the file already exists, or the file system reports an error.
    pub fn create(&self, bytes: &[u8]) -> Result<()> {
        self.write(bytes, |temporary, path| fs::hard_link(temporary, path).and_then(|()| fs::remove_file(temporary)))
    }

    fn check_existing(&self) -> io::Result<()> {
        match fs::metadata(&self.resolved) {
            Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(metadata) if !metadata.is_file() => Err(not_a_file()),
            // A rename would replace a read-only file, although it is protected.
            Ok(metadata) if metadata.permissions().readonly() => Err(io::Error::other("it is read-only")),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Opens the temporary file, empty and locked until it is closed.
    fn open_temporary(&self) -> io::Result<File> {
        loop {
            // Another user may have put a link there, which would lead the write elsewhere.
            if fs::symlink_metadata(&self.temporary).is_ok_and(|metadata| !metadata.is_file()) {
                let message = format!("`{}` is not a regular file", self.temporary.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
            }
            let mut options = File::options();
            let options = options.create(true).truncate(false).write(true);
            let file = patiently(|| options.open(&self.temporary))?;
            // Some file systems have no locks. There, runs that write the same file at once are not protected.
            let _ = file.lock();
            // The run that held the lock before may have renamed or removed the file.
            if file_id(file.metadata()) == file_id(fs::symlink_metadata(&self.temporary)) {
                file.set_len(0)?;
                return Ok(file);
            }
        }
    }

    fn write(&self, bytes: &[u8], publish: impl FnOnce(&Path, &Path) -> io::Result<()>) -> Result<()> {
        let write = || {
            let mut file = self.open_temporary()?;
            let written = file.write_all(bytes).and_then(|()| {
                if let Ok(metadata) = fs::metadata(&self.resolved) {
                    file.set_permissions(metadata.permissions())?;
                }
                // The content must reach the disk before the name. Otherwise a power failure could leave an empty file.
                file.sync_all()?;
                publish(&self.temporary, &self.resolved)
            });
            // The file is removed while it is locked, because another run could own the name afterwards.
            written.inspect_err(|_| drop(fs::remove_file(&self.temporary)))
        };
        write().map_err(|source| Error::Save { path: self.path.clone(), source })?;
        // Syncing the folder writes the new name to the disk. Some file systems cannot sync a folder, but the file is
        // complete.
        let _ = self.resolved.parent().map(|folder| File::open(folder).and_then(|folder| folder.sync_all()));
        Ok(())
    }
}

fn not_a_file() -> io::Error {
    io::Error::other("it is not a regular file")
}

/// Attempts to open or rename a file. Windows refuses both while another program holds the file open, as virus scanners
/// do for a moment. So on Windows the attempt is repeated for two seconds.
fn patiently<T>(attempt: impl Fn() -> io::Result<T>) -> io::Result<T> {
    // These are the codes of a file that is open elsewhere (5, 32) or locked (33).
    let is_in_use = |error: &io::Error| cfg!(windows) && matches!(error.raw_os_error(), Some(5 | 32 | 33));
    let start = Instant::now();
    loop {
        match attempt() {
            Err(error) if is_in_use(&error) => {
                if start.elapsed() > Duration::from_secs(2) {
                    let message = format!("{error} Perhaps another program has it open.");
                    return Err(io::Error::new(error.kind(), message));
                }
                thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}

/// Returns the canonical absolute path of a file. Links are followed, also to a file that does not exist yet.
pub(crate) fn resolve(path: &Path) -> PathBuf {
    // On Windows, an absolute path tells a device such as `NUL` from a file, and has no trailing dots and blanks.
    let mut path = if cfg!(windows) { path::absolute(path).unwrap_or_default() } else { path.to_owned() };
    // Linux follows at most 40 links too.
    for _ in 0..40 {
        let Ok(link) = fs::read_link(&path) else { break };
        path = folder(&path).join(link);
    }
    let resolved = match path.file_name() {
        Some(name) => folder(&path).canonicalize().map(|folder| folder.join(name)),
        None => path.canonicalize(),
    };
    resolved.or_else(|_| path::absolute(&path)).unwrap_or(path)
}

/// Returns whether two paths lead to one file, by links, hard links or another spelling.
pub fn is_same(a: &Path, b: &Path) -> bool {
    let id = file_id(fs::metadata(a));
    resolve(a) == resolve(b) || (id.is_some() && id == file_id(fs::metadata(b)))
}

/// Returns the file system and the inode of a regular file.
#[cfg(unix)]
pub(crate) fn file_id(metadata: io::Result<Metadata>) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    metadata.ok().filter(Metadata::is_file).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Returns the volume and the index of a regular file.
#[cfg(windows)]
pub(crate) fn file_id(metadata: io::Result<Metadata>) -> Option<(u64, u64)> {
    use std::os::windows::fs::MetadataExt;
    let metadata = metadata.ok().filter(Metadata::is_file)?;
    Some((metadata.volume_serial_number()?.into(), metadata.file_index()?))
}

/// Returns `None`. The standard library identifies files on Unix and Windows alone.
#[cfg(not(any(unix, windows)))]
pub(crate) fn file_id(_: io::Result<Metadata>) -> Option<(u64, u64)> {
    None
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
