//! The sources of a corpus, such as a file, a download, or the embedded names.

use std::collections::HashSet;
use std::error::Error as StdError;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use ureq::tls::TlsConfig;

use super::dataset::{Dataset, EMBEDDED};
use super::forms::compose;
use super::text::{decode, lines, parse};
use crate::atomic_file::AtomicFile;
use crate::error::{Cause, Error, ONE_DISTINCT, ONE_DOCUMENT, Result};
use crate::tokenizer::Tokenizer;

/// The path that stands for standard input.
pub const STDIN: &str = "-";

/// A download for a run without a file, with its time-outs.
#[derive(Clone, Debug)]
pub struct Download {
    /// The address.
    pub url: String,
    /// The time-out of the DNS look-up, and again of the connection.
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

/// The meaning of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum CorpusMode {
    /// Each line is a document
    #[default]
    Lines,
    /// The whole text is one stream, of which training and validation take windows
    Text,
}

impl CorpusMode {
    /// Returns the mode's name on the command line and in checkpoints.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Text => "text",
        }
    }
}

/// Returns a text in which lines end as they do elsewhere, so that the system that wrote it does not matter.
pub(crate) fn unify_line_ends(text: String) -> String {
    if text.contains('\r') { text.replace("\r\n", "\n") } else { text }
}

/// The way in which a text becomes documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DocumentConfig {
    /// The meaning of the text.
    pub mode: CorpusMode,
    /// Whether documents keep the white space at the ends of their lines.
    pub keep_spaces: bool,
    /// Whether characters are composed (Unicode's form NFC).
    pub nfc: bool,
    /// Whether a document that equals an earlier one is left out.
    pub dedup: bool,
}

/// A text with at least two lines that are not empty, or a continuous text.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// The text.
    pub text: String,
    /// The source of the text, as a notice names it: a path in back-quotes, or a clause about the download.
    pub source: String,
    /// The way in which the text becomes documents.
    pub config: DocumentConfig,
}

impl Corpus {
    /// Returns the corpus of a text with one document on each line.
    ///
    /// # Errors
    /// If the text has fewer than two documents.
    pub fn from_text(text: impl Into<String>) -> Result<Self> {
        Self::from_text_as(text, DocumentConfig::default())
    }

    /// Returns the corpus of a text with documents of this configuration.
    ///
    /// # Errors
    /// If the text has fewer than two documents, unless it is continuous.
    pub fn from_text_as(text: impl Into<String>, config: DocumentConfig) -> Result<Self> {
        Self::new(decode(text.into().into_bytes(), "the text")?, "the text".to_owned()).configured(config)
    }

    fn new(text: String, source: String) -> Self {
        Self { text, source, config: DocumentConfig::default() }
    }

    /// Returns the corpus with documents of another configuration. A composed text stays composed.
    ///
    /// # Errors
    /// If fewer than two documents are left, unless the text is continuous.
    pub fn configured(mut self, config: DocumentConfig) -> Result<Self> {
        if config.nfc {
            self.text = compose(&self.text);
        }
        self.config = config;
        if config.mode == CorpusMode::Text {
            self.text = unify_line_ends(self.text);
            return Ok(self);
        }
        let found = match self.lines().take(2).count() {
            2.. => return Ok(self),
            1 if self.line_count() > 1 => ONE_DISTINCT,
            1 => ONE_DOCUMENT,
            _ if self.text.is_empty() => "is empty",
            _ => "has only white space",
        };
        Err(Error::TooFewDocuments { corpus: self.source, found })
    }

    /// Reads the file `input`, or standard input for [`STDIN`].
    ///
    /// Without `input` it reads `input.txt` in the working directory. If there is no such file, it downloads one, and
    /// falls back to the embedded names.
    ///
    /// # Errors
    /// If the file cannot be read, is not UTF-8, or has fewer than two documents.
    pub fn load(input: Option<&Path>) -> Result<Self> {
        Self::load_as(input, DocumentConfig::default())
    }

    /// Reads a text as [`Self::load`] does, with documents of this configuration.
    ///
    /// # Errors
    /// Those of [`Self::load`]. A continuous text may have any number of lines.
    pub fn load_as(input: Option<&Path>, config: DocumentConfig) -> Result<Self> {
        let corpus = match input {
            Some(path) => Self::read(path)?,
            None => Self::find(Path::new(""), &Download::default())?,
        };
        corpus.configured(config)
    }

    /// Loads a corpus as [`Self::load`] does without `input`, from this working directory or by this download.
    ///
    /// # Errors
    /// If an `input.txt` exists that is not a corpus. A failed download leads to the embedded names.
    pub fn load_in(directory: &Path, download: &Download) -> Result<Self> {
        Self::find(directory, download)?.configured(DocumentConfig::default())
    }

    /// Finds the text of a run without a file, which may be no corpus if it is that of an `input.txt`.
    fn find(directory: &Path, download: &Download) -> Result<Self> {
        let path = directory.join("input.txt");
        // If the file's existence cannot be determined, reading it reports the cause.
        if !matches!(path.try_exists(), Ok(false)) {
            return Self::read(&path);
        }
        let url = &download.url;
        Ok(match download.fetch().and_then(|bytes| parse(bytes, &format!("`{url}`"))) {
            Ok(text) => {
                let name = path.display();
                let kept = match AtomicFile::new(&path).and_then(|file| file.create(text.as_bytes())) {
                    Ok(()) => format!("kept as `{name}`"),
                    Err(error) => format!("not kept as `{name}`: {}", error.source().unwrap_or(&error)),
                };
                Self::new(text, format!("downloaded from {url}, {kept}"))
            }
            Err(error) => {
                let source = format!("the embedded given names of the 1990 US Census ({})", error.one_line());
                Self::new(EMBEDDED.to_owned(), source)
            }
        })
    }

    /// Returns the documents in the order of the text. A continuous text is one document.
    pub fn documents(&self) -> impl Iterator<Item = &str> {
        let documents: Vec<&str> = match self.config.mode {
            CorpusMode::Lines => self.lines().collect(),
            CorpusMode::Text => vec![&self.text],
        };
        documents.into_iter()
    }

    /// Returns the lines that are documents.
    fn lines(&self) -> impl Iterator<Item = &str> {
        let DocumentConfig { keep_spaces, dedup, .. } = self.config;
        let mut seen = HashSet::new();
        lines(&self.text, keep_spaces).filter(move |&document| !dedup || seen.insert(document))
    }

    /// Returns the corpus as tokens, from its `documents`. Those of lines are shuffled by `seed`, unless `shuffle` is false.
    /// Windows of a continuous text are drawn by `seed`, for models of up to `block_size` tokens.
    ///
    /// # Errors
    /// Those of [`Dataset::new`] and [`Dataset::continuous`].
    pub fn dataset(
        &self,
        documents: &[&str],
        seed: u64,
        shuffle: bool,
        tokenizer: Option<Tokenizer>,
        block_size: usize,
    ) -> Result<Dataset> {
        match self.config.mode {
            CorpusMode::Lines => Dataset::new(documents, shuffle.then_some(seed), tokenizer),
            CorpusMode::Text => Dataset::continuous(&self.text, seed, tokenizer, block_size)
                .map_err(|error| error.in_corpus(&self.source)),
        }
    }

    /// Returns the number of lines that are not empty, each of which is a document unless it equals an earlier one.
    pub fn line_count(&self) -> usize {
        lines(&self.text, self.config.keep_spaces).count()
    }

    fn read(path: &Path) -> Result<Self> {
        let name = name(path);
        match read_bytes(path) {
            Ok(bytes) => Ok(Self::new(decode(bytes, &name)?, name)),
            Err(source) => Err(Error::ReadCorpus { name, source }),
        }
    }
}

/// Returns the name of a source of text, as errors and notices say it.
pub(crate) fn name(path: &Path) -> String {
    if path == STDIN { "standard input".to_owned() } else { format!("`{}`", path.display()) }
}

/// The longest corpus in bytes, which is about the largest number of tokens.
const MAX_BYTES: u64 = 1 << 32;

pub(crate) fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    if path == STDIN {
        return read_to_end(io::stdin().lock(), 0);
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    #[cfg(unix)]
    {
        use std::io::IsTerminal;
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        if (kind.is_char_device() || kind.is_block_device()) && !file.is_terminal() {
            return Err(io::Error::other("it is a device, which may never end"));
        }
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

impl Download {
    /// Returns the whole body of the response.
    fn fetch(&self) -> Result<Vec<u8>> {
        let failed = |reason: Cause| Error::failed(format!("download {}", self.url), "check the network", reason);
        let refused = |error: ureq::Error| {
            failed(match error {
                ureq::Error::StatusCode(code) => format!("the server answered with status {code}").into(),
                ureq::Error::Timeout(_) => "it took too long".into(),
                ureq::Error::Io(error) => error.into(),
                error => error.into(),
            })
        };
        let (needs_tls, tls) = (self.url.starts_with("https:"), tls());
        if needs_tls && tls.is_none() {
            return Err(failed("TLS needs an AArch64 or x86-64 processor that has AES and, on x86-64, AVX2".into()));
        }
        let mut config = ureq::Agent::config_builder()
            .tls_config(tls.unwrap_or_default())
            // A redirect must not leave TLS.
            .https_only(needs_tls)
            .timeout_resolve(Some(self.connect_timeout))
            .timeout_connect(Some(self.connect_timeout))
            .timeout_global(Some(self.timeout));
        if !self.proxy {
            config = config.proxy(None);
        }
        let mut response = ureq::Agent::from(config.build()).get(&self.url).call().map_err(refused)?;
        // Without a stated length, a truncated body looks complete.
        if !["content-length", "transfer-encoding"].iter().any(|name| response.headers().contains_key(*name)) {
            return Err(failed("the answer states no length".into()));
        }
        response.body_mut().read_to_vec().map_err(refused)
    }
}

/// Returns a TLS implementation in Rust alone, if it supports this processor.
fn tls() -> Option<TlsConfig> {
    #[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
    if graviola::util::is_cpu_supported() {
        let provider = std::sync::Arc::new(rustls_graviola::default_provider());
        return Some(TlsConfig::builder().unversioned_rustls_crypto_provider(provider).build());
    }
    None
}
