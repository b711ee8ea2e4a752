//! The one error type of the program: what went wrong, what caused it, and what to do about it.

use std::error::Error as StdError;
use std::fmt;

/// An error for a person: a message that names the input, an optional cause and an optional hint.
#[derive(Debug)]
pub struct Error {
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The program's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with this message: lower case, no full stop, naming the input (``"cannot read `names.txt`"``).
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, source: None }
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The whole report as the program prints it: `error:`, `caused by:` for each cause, `hint:`.
    pub fn report(&self) -> String {
        let mut text = format!("error: {self}");
        let mut cause = self.source();
        while let Some(error) = cause {
            text = format!("{text}\n  caused by: {error}");
            cause = error.source();
        }
        if let Some(hint) = &self.hint {
            text = format!("{text}\nhint: {hint}");
        }
        text
    }
}

/// An allocation of this many bytes has failed: the message, and what needs less. It allocates nothing.
pub struct OutOfMemory(pub usize);

impl OutOfMemory {
    /// The hint.
    pub const HINT: &str = "lower --n-embd, --n-layer, --block-size, --batch or --replicas";
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "out of memory: cannot allocate {} bytes", self.0)
    }
}

impl From<OutOfMemory> for Error {
    fn from(error: OutOfMemory) -> Self {
        Self::new(error.to_string()).hint(OutOfMemory::HINT)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
