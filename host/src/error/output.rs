//! Failures of what is written: files and streams.

use std::io;
use std::path::PathBuf;

use super::Cause;

/// A file or a stream that cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// A path that a file cannot be written to.
    #[error("cannot save to `{path}`")]
    NotWritable { path: PathBuf, source: io::Error },
    /// A file that could not be written.
    #[error("cannot save to `{path}`")]
    Save { path: PathBuf, source: io::Error },
    /// A file of metrics that cannot be opened, or a file of something else.
    #[error("cannot write the metrics to `{path}`")]
    OpenMetrics { path: PathBuf, source: io::Error },
    /// A file of metrics that could not be written.
    #[error("cannot write the metrics to `{path}`")]
    WriteMetrics { path: PathBuf, source: io::Error },
    /// A plot whose name does not say its format.
    #[error("cannot plot to `{path}`: its name ends in neither .svg nor .png")]
    PlotFormat { path: PathBuf },
    /// A plot that cannot be drawn.
    #[error("cannot draw `{path}`")]
    DrawPlot { path: PathBuf, source: Cause },
    /// Results that cannot be written to standard output.
    #[error("cannot write to stdout")]
    Stdout { source: io::Error },
    /// A record that has no JSON.
    #[error("the record cannot be written as JSON")]
    Json { source: Cause },
}

impl OutputError {
    pub(super) fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotWritable { .. } => "choose a file that you may write, in a folder that exists",
            Self::Save { .. } => "check the space and the permissions of the folder; the old file is unchanged",
            Self::OpenMetrics { .. } => {
                "give `--metrics` a new file, or one of metrics that you may read and write, in a folder that exists"
            }
            Self::WriteMetrics { .. } => "check the space, or leave `--metrics` out",
            Self::PlotFormat { .. } => "choose one of them, as in `--plot losses.svg`",
            Self::DrawPlot { .. } => "leave `--plot` out",
            Self::Stdout { .. } => "check the space, or redirect the results elsewhere",
            Self::Json { .. } => return None,
        })
    }
}
