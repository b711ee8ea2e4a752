//! The sources of a corpus, such as a file, a download, or the embedded names.

use std::error::Error as _;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::TlsConfig;

use super::text::{EMBEDDED, documents, parse};
use crate::atomic_file::AtomicFile;
use crate::error::{Cause, Error, Result};

/// The path that stands for standard input.
pub const STDIN: &str = "-";

/// The source of a corpus. Its text completes the notice `corpus: ..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A text from the program that uses this library.
    Text,
    /// A file.
    File(PathBuf),
    /// A download.
    Downloaded {
        /// The address.
        url: String,
        /// The file that keeps the text for the next run.
        path: PathBuf,
        /// The reason why the text could not be kept there, if it was not.
        not_kept: Option<String>,
    },
    /// The embedded names.
    Embedded {
        /// The reason why the download failed, in one line.
        reason: String,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("a text"),
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

/// A download for a run without a file, with its time-outs.
#[derive(Clone, Debug)]
pub struct Download {
    /// The address.
    pub url: String,
    /// The time-out of the name's look-up, and that of the connection.
    pub connect_timeout: Duration,
    /// The time-out of the whole download.
    pub timeout: Duration,
    /// Whether to use the proxy that the environment names.
    pub proxy: bool,
}

impl Default for Download {
    /// Returns the download of makemore's names, with time-outs that are short for users without a network.
    fn default() -> Self {
        Self {
            url: "https://raw.githubusercontent.com/karpathy/makemore/master/names.txt".to_owned(),
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(10),
            proxy: true,
        }
    }
}

/// A text with at least two documents.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// The text.
    pub text: String,
    /// The source of the text.
    pub source: Source,
}

impl Corpus {
    /// Returns the corpus of a text with one document on each line.
    ///
    /// # Errors
    /// If the text has fewer than two documents.
    pub fn from_text(text: impl Into<String>) -> Result<Self> {
        Ok(Self { text: parse(text.into().into_bytes(), "the text")?, source: Source::Text })
    }

    /// Reads the file `input`, or standard input for [`STDIN`].
    ///
    /// Without `input` it reads `input.txt` in the working directory. If there is no such file, it downloads one, and
    /// falls back to the embedded names.
    ///
    /// # Errors
    /// If the file cannot be read, is not UTF-8, or has fewer than two documents.
    pub fn load(input: Option<&Path>) -> Result<Self> {
        match input {
            Some(path) => Self::read(path),
            None => Self::load_in(Path::new(""), &Download::default()),
        }
    }

    /// Does what [`Self::load`] does without `input`, in this working directory and with this download.
    ///
    /// # Errors
    /// If an `input.txt` exists that is not a corpus. A failed download leads to [`Source::Embedded`].
    pub fn load_in(directory: &Path, download: &Download) -> Result<Self> {
        let path = directory.join("input.txt");
        // If the file's existence cannot be determined, reading it reports the cause.
        if !matches!(path.try_exists(), Ok(false)) {
            return Self::read(&path);
        }
        let url = download.url.clone();
        match download.fetch().and_then(|bytes| parse(bytes, &url)) {
            Ok(text) => {
                let kept = AtomicFile::new(&path).and_then(|file| file.create(text.as_bytes()));
                let not_kept = kept.err().map(|error| error.source().map_or(String::new(), ToString::to_string));
                Ok(Self { text, source: Source::Downloaded { url, path, not_kept } })
            }
            Err(error) => Ok(Self { text: EMBEDDED.to_owned(), source: Source::Embedded { reason: one_line(&error) } }),
        }
    }

    /// Returns the documents in the order of the text.
    pub fn documents(&self) -> impl Iterator<Item = &str> {
        documents(&self.text)
    }

    fn read(path: &Path) -> Result<Self> {
        let bytes = read_file(path).map_err(|source| Error::ReadCorpus { path: path.to_owned(), source })?;
        Ok(Self { text: parse(bytes, &path.display().to_string())?, source: Source::File(path.to_owned()) })
    }
}

/// The longest corpus in bytes, which is about the largest number of tokens.
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

/// Reads to the end. `len` is the expected number of bytes, which is 0 for a pipe.
fn read_to_end(file: impl Read, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if len <= MAX_BYTES {
        bytes.try_reserve_exact(len as usize)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    }
    if len.max(bytes.len() as u64) > MAX_BYTES {
        let message = format!("it is longer than the {} GiB supported", MAX_BYTES >> 30);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
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
    /// Returns a TLS implementation in Rust alone, which supports most processors.
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

    fn failed(&self, reason: impl Into<Cause>) -> Error {
        Error::failed(format!("download {}", self.url), "check the network", reason)
    }

    /// Returns the whole body of the answer.
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
            // A redirect must not leave TLS.
            .https_only(self.needs_tls())
            .timeout_resolve(Some(self.connect_timeout))
            .timeout_connect(Some(self.connect_timeout))
            .timeout_global(Some(self.timeout));
        if !self.proxy {
            config = config.proxy(None);
        }
        let mut response = ureq::Agent::from(config.build()).get(&self.url).call().map_err(failed)?;
        // Without a stated length, a body that was cut looks like a whole one.
        if !["content-length", "transfer-encoding"].iter().any(|name| response.headers().contains_key(*name)) {
            return Err(self.failed("the answer states no length"));
        }
        response.body_mut().read_to_vec().map_err(failed)
    }
}

/// Returns an error and its causes in one line.
fn one_line(error: &Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    text.lines().collect::<Vec<_>>().join(" ")
}
