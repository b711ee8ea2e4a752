//! The threads of the CPU, which all models share.

use std::sync::OnceLock;

use rayon::ThreadPoolBuilder;

use crate::error::{Cause, Error, Result};

/// Starts this number of threads, or one for each core. Later calls change nothing.
///
/// # Errors
/// [`Error::Failed`] if the system refuses a thread.
pub fn start(threads: Option<usize>) -> Result<()> {
    static STARTED: OnceLock<Result<(), String>> = OnceLock::new();
    // A browser has no threads, and there the pool consists of the calling thread.
    if cfg!(target_family = "wasm") {
        return Ok(());
    }
    let started = STARTED.get_or_init(|| {
        let Err(error) = ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build_global() else {
            return Ok(());
        };
        // Only a failure of the system has a source. Otherwise the program has started a pool of its own.
        std::error::Error::source(&error).map_or(Ok(()), |source| Err(source.to_string()))
    });
    started.clone().map_err(|cause| {
        let which = threads.map_or("the threads of the CPU".to_owned(), |threads| format!("`--threads {threads}`"));
        refused(format!("start {which}"), cause)
    })
}

/// Returns the error of threads that the system refuses.
pub(crate) fn refused(action: impl Into<String>, cause: impl Into<Cause>) -> Error {
    let hint = "ask for fewer by `--threads`, or raise the limits of `ulimit -v` and `ulimit -u`";
    Error::failed(action, hint, cause)
}
