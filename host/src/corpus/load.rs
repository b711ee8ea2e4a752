//! Where a corpus comes from: a file, a download, or what is embedded.

use std::error::Error as _;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::TlsConfig;

use super::{EMBEDDED, ONE_PER_LINE, documents, parse};
use crate::atomic_file::AtomicFile;
use crate::error::{Error, Result};

/// The path that stands for standard input.
pub const STDIN: &str = "-";

/// Where a corpus came from. Its text completes the notice `corpus: ..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// This file was read.
    File(PathBuf),
    /// This file was downloaded from this address.
    Downloaded {
        /// The address.
        url: String,
        /// Where the text is kept for the next run.
        path: PathBuf,
        /// Why it could not be kept there.
        not_kept: Option<String>,
    },
    /// The embedded corpus.
    Embedded {
        /// Why the download failed, in one line.
        reason: String,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) if *path == *STDIN => f.write_str("standard input"),
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Downloaded { url, path, not_kept: None } => {
                write!(f, "downloaded from {url}, kept as `{}`", path.display())
            }
            Self::Downloaded { url, path, not_kept: Some(reason) } => {
                write!(f, "downloaded from {url}, not kept as `{}`: {reason}", path.display())
            }
            Self::Embedded { reason } => write!(f, "the embedded given names of the 1990 US Census ({reason})"),
        }
    }
}

/// What is downloaded when a run has no file, and how long that may take.
#[derive(Clone, Debug)]
pub struct Download {
    /// The address.
    pub url: String,
    /// The most time for each of the look-up of the name and the connection.
    pub connect_timeout: Duration,
    /// The most time for all of the download.
    pub timeout: Duration,
    /// Whether to go through the proxy that the environment names.
    pub proxy: bool,
}

impl Default for Download {
    /// The names of makemore, with time-outs that someone without a network does not mind.
    fn default() -> Self {
        Self {
            url: "https://raw.githubusercontent.com/karpathy/makemore/master/names.txt".to_owned(),
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(10),
            proxy: true,
        }
    }
}

/// A text of two documents or more.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// The text.
    pub text: String,
    /// Where it came from.
    pub source: Source,
}

impl Corpus {
    /// The file `input`, or standard input for [`STDIN`]; without one, `input.txt` in the working directory; without that, a
    /// download; without a network, the embedded names.
    ///
    /// # Errors
    /// A file that cannot be read, is not UTF-8, or has fewer than two documents.
    pub fn load(input: Option<&Path>) -> Result<Self> {
        match input {
            Some(path) => Self::read(path),
            None => Self::load_in(Path::new(""), &Download::default()),
        }
    }

    /// [`Self::load`] without a file, in this working directory and with this download.
    ///
    /// # Errors
    /// An `input.txt` that is there but is no corpus. A failed download is none: see [`Source::Embedded`].
    pub fn load_in(directory: &Path, download: &Download) -> Result<Self> {
        let path = directory.join("input.txt");
        // If it cannot be known whether the file is there, reading it says why.
        if !matches!(path.try_exists(), Ok(false)) {
            return Self::read(&path);
        }
        let url = download.url.clone();
        match download.fetch().and_then(|bytes| parse(bytes, &url)) {
            Ok(text) => {
                let kept = AtomicFile::new(&path).and_then(|target| target.create(text.as_bytes()));
                let not_kept = kept.err().map(|error| error.source().map_or(String::new(), ToString::to_string));
                Ok(Self { text, source: Source::Downloaded { url, path, not_kept } })
            }
            Err(error) => Ok(Self { text: EMBEDDED.to_owned(), source: Source::Embedded { reason: one_line(&error) } }),
        }
    }

    /// The documents, in the order of the text.
    pub fn documents(&self) -> impl Iterator<Item = &str> {
        documents(&self.text)
    }

    fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let bytes = read_file(path).map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::FileTooLarge => "use a part of it",
                io::ErrorKind::NotFound => "check the path; without `--input`, microgpt brings names of its own",
                io::ErrorKind::PermissionDenied => "check the permissions of the file",
                _ => ONE_PER_LINE,
            };
            Error::new(format!("cannot read `{name}`")).caused_by(error).hint(hint)
        })?;
        Ok(Self { text: parse(bytes, &name)?, source: Source::File(path.to_owned()) })
    }
}

/// The longest corpus, in bytes: about as many as there may be tokens.
const MAX_BYTES: u64 = 1 << 32;

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if path == STDIN {
        return read_to_end(io::stdin().lock(), 0);
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if is_device(&metadata) && !file.is_terminal() {
        return Err(io::Error::other("it is a device, which may never end"));
    }
    read_to_end(file, metadata.len())
}

/// What there is to read, at least `len` bytes. A pipe does not say how long it is.
fn read_to_end(file: impl Read, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if len <= MAX_BYTES {
        bytes.try_reserve_exact(len as usize)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    }
    if len.max(bytes.len() as u64) > MAX_BYTES {
        let what = format!("it is longer than the {} GiB supported", MAX_BYTES >> 30);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(bytes)
}

#[cfg(unix)]
fn is_device(metadata: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    metadata.file_type().is_char_device() || metadata.file_type().is_block_device()
}

#[cfg(not(unix))]
fn is_device(_: &Metadata) -> bool {
    false
}

impl Download {
    /// TLS in Rust alone. It is there for most processors, but not for all.
    #[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
    fn tls(&self) -> Result<TlsConfig> {
        if self.needs_tls() && !graviola::util::is_cpu_supported() {
            return Err(self.failed("TLS needs a processor that has AES and, on x86-64, AVX2"));
        }
        let provider = Arc::new(rustls_graviola::default_provider());
        Ok(TlsConfig::builder().unversioned_rustls_crypto_provider(provider).build())
    }

    #[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
    fn tls(&self) -> Result<TlsConfig> {
        if self.needs_tls() {
            return Err(self.failed("there is no TLS for this processor"));
        }
        Ok(TlsConfig::default())
    }

    fn needs_tls(&self) -> bool {
        self.url.starts_with("https:")
    }

    fn failed(&self, reason: impl Into<String>) -> Error {
        Error::new(format!("cannot download {}", self.url)).caused_by(reason.into())
    }

    /// The body of the answer, whole.
    fn fetch(&self) -> Result<Vec<u8>> {
        let failed = |error: ureq::Error| {
            let reason = match &error {
                ureq::Error::StatusCode(code) => format!("the server answered with status {code}"),
                ureq::Error::Timeout(_) => "it took too long".to_owned(),
                ureq::Error::Io(error) => error.to_string(),
                error => error.to_string(),
            };
            self.failed(reason)
        };
        let mut config = ureq::Agent::config_builder()
            .tls_config(self.tls()?)
            // A redirect must not lead out of TLS.
            .https_only(self.needs_tls())
            .timeout_resolve(Some(self.connect_timeout))
            .timeout_connect(Some(self.connect_timeout))
            .timeout_global(Some(self.timeout));
        if !self.proxy {
            config = config.proxy(None);
        }
        let mut response = ureq::Agent::from(config.build()).get(&self.url).call().map_err(failed)?;
        // A body that ends where the connection ends cannot be told from one that was cut.
        if !["content-length", "transfer-encoding"].iter().any(|name| response.headers().contains_key(*name)) {
            return Err(self.failed("the answer states no length"));
        }
        response.body_mut().read_to_vec().map_err(failed)
    }
}

/// An error and its causes in one line.
fn one_line(error: &Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    text.lines().collect::<Vec<_>>().join(" ")
}
