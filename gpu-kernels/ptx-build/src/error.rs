//! The crate's error type.

use std::fmt;
use std::io;
use std::path::Path;

/// An error of a build or of NVIDIA's tools. Its text names the thing and its value, and gives a hint where one helps. Lines after
/// the first are the output of a program.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An environment variable has a value that the build cannot use.
    Variable {
        /// The variable and its value, such as `CUDA_ARCH=60`.
        setting: String,
        /// The reason, and a hint.
        reason: String,
    },
    /// The compiler has failed.
    Compile {
        /// The compiler's name.
        compiler: &'static str,
        /// The advice for a failure of this compiler.
        hint: String,
        /// The output of cargo and of the compiler.
        log: String,
    },
    /// PTX, or the output of one of NVIDIA's tools, lacks an expected element.
    Ptx(String),
    /// A file cannot be used, or cargo cannot be started.
    Io {
        /// The attempted action, such as ``read `a.ptx` ``.
        action: String,
        /// The cause.
        source: io::Error,
    },
    /// A tool of NVIDIA's cannot be started, or has failed.
    Tool {
        /// The command line.
        command: String,
        /// The tool's output, or the reason why it cannot be started.
        log: String,
    },
}

impl Error {
    /// Returns the error of a variable with this value.
    pub(crate) fn variable(name: &str, value: impl fmt::Display, reason: String) -> Self {
        Self::Variable { setting: format!("{name}={value}"), reason }
    }

    /// Returns a function that adds the attempted action to an error of a file or program.
    pub(crate) fn io(verb: &str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let action = format!("{verb} `{}`", path.as_ref().display());
        |source| Self::Io { action, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Variable { setting, reason } => write!(f, "{setting}: {reason}"),
            Self::Compile { compiler, hint, log } => {
                write!(f, "{compiler} does not compile the kernels; hint: {hint}\n{log}")
            }
            Self::Ptx(message) => f.write_str(message),
            Self::Io { action, source } => write!(f, "cannot {action}: {source}"),
            Self::Tool { command, log } => write!(f, "{command} fails: {log}"),
        }
    }
}

impl std::error::Error for Error {}
