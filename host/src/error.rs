//! The library's error: the failure with its values, its cause, and a hint on what to do about it.
#![expect(missing_docs, reason = "the message of a variant says what its fields are")]

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

mod checkpoint;
mod config;
mod corpus;
mod device;
mod gpu;
mod output;
mod training;

pub use checkpoint::{CheckpointError, FileLength, Mismatch};
pub use config::ConfigError;
pub use corpus::{CorpusError, VocabularyError};
pub use device::DeviceError;
pub use gpu::GpuError;
pub use output::OutputError;
pub use training::TrainingError;

/// A cause that this library has no type for, such as the text of a driver.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// The library's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the library.
///
/// Its text is lower case, has no full stop and names the input. [`Self::report`] adds the causes and the hint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that the model cannot have.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A corpus that cannot be read or used.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// A vocabulary that cannot be built, or that lacks a character.
    #[error(transparent)]
    Vocabulary(#[from] VocabularyError),
    /// A checkpoint that cannot be read, written or used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A model, a document or a request that a device cannot take.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A GPU that cannot be used, or a failure of its driver.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// A failed allocation of the host's memory.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// A file or a stream that cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A training or a sampling that cannot go on.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// A message without a variant of its own.
    #[error("{message}")]
    Message { message: String, hint: Option<String>, source: Option<Cause> },
}

impl Error {
    /// Returns an error with this message: lower case, no full stop, naming the input.
    pub fn new(message: impl Into<String>) -> Self {
        Self::Message { message: message.into(), hint: None, source: None }
    }

    /// Adds a hint to an error of [`Self::new`].
    #[must_use]
    pub fn hint(self, text: impl Into<String>) -> Self {
        match self {
            Self::Message { message, source, .. } => Self::Message { message, hint: Some(text.into()), source },
            other => other,
        }
    }

    /// Adds a cause to an error of [`Self::new`].
    #[must_use]
    pub fn caused_by(self, cause: impl Into<Cause>) -> Self {
        match self {
            Self::Message { message, hint, .. } => Self::Message { message, hint, source: Some(cause.into()) },
            other => other,
        }
    }

    /// Returns what the user can do about the failure, if there is anything.
    pub fn advice(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Config(error) => error.hint(),
            Self::Corpus(error) => error.hint().map(Cow::from),
            Self::Vocabulary(_) => None,
            Self::Checkpoint(error) => error.hint(),
            Self::Device(error) => Some(error.hint().into()),
            Self::Gpu(error) => error.hint(),
            Self::OutOfMemory(_) => Some(OutOfMemory::HINT.into()),
            Self::Output(error) => error.hint().map(Cow::from),
            Self::Training(error) => error.hint().map(Cow::from),
            Self::Message { hint, .. } => hint.as_deref().map(Cow::from),
        }
    }

    /// Returns the whole report as the program prints it: a line `error:`, a line `caused by:` for each cause, a line
    /// `hint:`.
    pub fn report(&self) -> String {
        let mut text = format!("error: {self}");
        let mut cause = self.source();
        while let Some(error) = cause {
            text = format!("{text}\n  caused by: {error}");
            cause = error.source();
        }
        if let Some(hint) = self.advice() {
            text = format!("{text}\nhint: {hint}");
        }
        text
    }
}

/// The number of bytes of an allocation that failed.
///
/// To print it and its [hint](Self::HINT) allocates nothing, so a handler of allocation failures can.
#[derive(Clone, Copy, Debug)]
pub struct OutOfMemory(pub usize);

impl OutOfMemory {
    /// The hint.
    pub const HINT: &str = "lower --n-embd, --n-layer, --block-size, --batch or --seeds";
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "out of memory: cannot allocate {} bytes", self.0)
    }
}

impl StdError for OutOfMemory {}
