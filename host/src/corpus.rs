//! The text that a run learns from: where it comes from, and how it becomes tokens.
//!
//! A document is a line without the white space around it; an empty line is none.

use std::error::Error as _;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// The names in `assets/`: what a run without a file and without a network learns from.
const EMBEDDED: &str = include_str!("../../assets/names.txt");

const ONE_PER_LINE: &str = "a corpus is a text file with one document on each line, for instance a name";

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
    /// The file `input`; without one, `input.txt` in the working directory; without that, a download; without a
    /// network, the embedded names.
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
                let not_kept = keep(&text, &path).err().map(|error| error.kind().to_string());
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
        let bytes = fs::read(path).map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::NotFound => "check the path; without `--input`, microgpt brings names of its own",
                io::ErrorKind::PermissionDenied => "check the permissions of the file",
                _ => ONE_PER_LINE,
            };
            Error::new(format!("cannot read `{name}`")).caused_by(error).hint(hint)
        })?;
        Ok(Self { text: parse(bytes, &name)?, source: Source::File(path.to_owned()) })
    }
}

fn documents(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// The text in `bytes`, checked; `name` is the file or the address that an error names.
fn parse(bytes: Vec<u8>, name: &str) -> Result<String> {
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        Error::new(format!("`{name}` is not UTF-8: the byte 0x{:02x} at offset {offset}", error.as_bytes()[offset]))
            .hint("convert the file to UTF-8")
    })?;
    // A byte order mark, which some editors write, belongs to no document.
    if text.starts_with('\u{FEFF}') {
        text.drain(..'\u{FEFF}'.len_utf8());
    }
    match documents(&text).take(2).count() {
        0 if text.is_empty() => Err(Error::new(format!("`{name}` is empty")).hint(ONE_PER_LINE)),
        0 => Err(Error::new(format!("`{name}` has only white space")).hint(ONE_PER_LINE)),
        1 => Err(too_few(&format!("`{name}`"), 1)),
        _ => Ok(text),
    }
}

fn too_few(name: &str, documents: usize) -> Error {
    let count = if documents == 0 { "no document" } else { "only one document" };
    Error::new(format!("{name} has {count}"))
        .hint("put at least two documents on lines of their own: one to train on and one to validate on")
}

impl Download {
    /// The body of the answer, whole.
    fn fetch(&self) -> Result<Vec<u8>> {
        let failed = |error: ureq::Error| {
            let reason = match &error {
                ureq::Error::StatusCode(code) => format!("the server answered with status {code}"),
                ureq::Error::Timeout(_) => "it took too long".to_owned(),
                ureq::Error::Io(error) => error.to_string(),
                error => error.to_string(),
            };
            Error::new(format!("cannot download {}", self.url)).caused_by(reason)
        };
        let mut config = ureq::Agent::config_builder()
            // A redirect must not lead out of TLS.
            .https_only(self.url.starts_with("https:"))
            .timeout_resolve(Some(self.connect_timeout))
            .timeout_connect(Some(self.connect_timeout))
            .timeout_global(Some(self.timeout));
        if !self.proxy {
            config = config.proxy(None);
        }
        let mut response = ureq::Agent::from(config.build()).get(&self.url).call().map_err(failed)?;
        // A body that ends where the connection ends cannot be told from one that was cut.
        if !["content-length", "transfer-encoding"].iter().any(|name| response.headers().contains_key(*name)) {
            return Err(Error::new(format!("cannot download {}", self.url)).caused_by("the answer states no length"));
        }
        response.body_mut().read_to_vec().map_err(failed)
    }
}

/// Writes the text to a new file `path`: all of it, or nothing.
fn keep(text: &str, path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // A temporary file is private by default; this one becomes a file like any other, as the umask wants it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.prefix(".input.txt.").tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    Ok(())
}

/// An error and its causes in one line.
fn one_line(error: &Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    text.lines().collect::<Vec<_>>().join(" ")
}

/// Documents as tokens, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documents {
    /// The tokens of all documents, each with `BOS` at both ends.
    pub tokens: Vec<u32>,
    /// Where each document starts in `tokens`, and last where the last one ends.
    pub offsets: Vec<u32>,
}

impl Documents {
    /// The number of documents.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no document.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tokens of document `i`.
    ///
    /// # Panics
    /// If there is no document `i`.
    pub fn get(&self, i: usize) -> &[u32] {
        &self.tokens[self.offsets[i] as usize..self.offsets[i + 1] as usize]
    }

    /// n: the positions of document `i` at which a model of this block size predicts the next token.
    ///
    /// # Panics
    /// If there is no document `i`.
    pub fn positions(&self, i: usize, block_size: usize) -> usize {
        block_size.min(self.get(i).len() - 1)
    }
}

/// What a run learns from and is measured on.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The vocabulary.
    pub tokenizer: Tokenizer,
    /// The first nine tenths of the documents, rounded down.
    pub train: Documents,
    /// The rest.
    pub val: Documents,
}

impl Dataset {
    /// Shuffles the documents by `seed`, or keeps their order without one, splits them, and turns them into tokens of
    /// the given vocabulary, or of their own.
    ///
    /// # Errors
    /// Fewer than two documents, a character outside of the given vocabulary, or more tokens than 32 bits can index.
    pub fn new(documents: &[&str], seed: Option<u64>, tokenizer: Option<Tokenizer>) -> Result<Self> {
        if documents.len() < 2 {
            return Err(too_few("the corpus", documents.len()));
        }
        check_tokens(documents.iter().map(|document| document.chars().count() as u64 + 2).sum())?;
        let tokenizer = tokenizer.unwrap_or_else(|| Tokenizer::new(documents.iter().copied()));
        let mut order: Vec<usize> = (0..documents.len()).collect();
        if let Some(seed) = seed {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            // Away from the numbers that the initial weights are drawn from.
            rng.long_jump();
            order.shuffle(&mut rng);
        }
        // With two documents or more, neither side is empty.
        let (train, val) = order.split_at(order.len() * 9 / 10);
        let encode = |order: &[usize]| {
            let mut encoded = Documents { tokens: Vec::new(), offsets: vec![0] };
            for &i in order {
                tokenizer.encode_into(documents[i], &mut encoded.tokens).map_err(|error| {
                    let start: String = documents[i].chars().take(40).collect();
                    Error::new(format!("cannot encode document {} ({start:?})", i + 1))
                        .caused_by(error)
                        .hint("the vocabulary is that of the checkpoint: use a corpus with no other characters")
                })?;
                encoded.offsets.push(encoded.tokens.len() as u32);
            }
            Ok::<_, Error>(encoded)
        };
        Ok(Self { train: encode(train)?, val: encode(val)?, tokenizer })
    }
}

fn check_tokens(tokens: u64) -> Result<()> {
    if tokens > u64::from(u32::MAX) {
        return Err(Error::new(format!("the corpus has {tokens} tokens, more than the {} supported", u32::MAX))
            .hint("use a part of it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_corpus_is_distinct_names_of_the_26_letters() {
        let mut names: Vec<&str> = documents(EMBEDDED).collect();
        assert_eq!(names.join("\n") + "\n", EMBEDDED, "one a line, nothing to trim");
        assert!(Tokenizer::new(names.iter().copied()).chars().iter().copied().eq('a'..='z'));
        assert_eq!(names.len(), 5163);
        names.sort_unstable();
        assert!(names.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn more_tokens_than_32_bits_can_index_are_refused() {
        assert!(check_tokens(u64::from(u32::MAX)).is_ok());
        assert!(check_tokens(u64::from(u32::MAX) + 1).unwrap_err().report().contains("4294967296 tokens"));
    }
}
