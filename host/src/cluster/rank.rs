//! The start and the errors of a rank.

use std::num::NonZero;
use std::thread::available_parallelism;

use crate::device::{gpu, threads};
use crate::error::{Error, Result};

/// Starts the threads of a rank, one of `sharers` that may use its cores, and chooses its GPU.
pub(super) fn start(threads: Option<usize>, gpu: Option<usize>, local_rank: usize, sharers: usize) -> Result<()> {
    gpu::choose(gpu, local_rank);
    let cores = available_parallelism().map_or(1, NonZero::get);
    threads::start(Some(threads.unwrap_or((cores / sharers).max(1))))
}

/// Returns the error of a rank.
pub(super) fn on_rank(rank: usize, host: &str, error: &Error) -> Error {
    let (message, hint) = (error.one_line(), error.hint().unwrap_or_default());
    Error::OnRank { rank, host: host.to_owned(), message, hint }
}
