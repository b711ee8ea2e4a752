//! The threads of the CPU, which all models share.

use std::hint::black_box;
use std::io;
use std::sync::OnceLock;
use std::thread::{Builder, JoinHandle};

use rayon::ThreadPoolBuilder;

use crate::error::{Error, Result};

/// The bytes of a thread's stack.
const STACK_LEN: usize = 2 << 20;
/// The most bytes that a thread allocates when it starts, for the handler of a stack overflow.
const START_LEN: usize = 1 << 16;

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
        let pool = ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0));
        let pool = pool.spawn_handler(|thread| spawn(thread.index(), || thread.run()).map(drop));
        let Err(error) = pool.build_global() else { return Ok(()) };
        // Only a failure of the system has a source. Otherwise the program has started a pool of its own.
        std::error::Error::source(&error).map_or(Ok(()), |source| Err(source.to_string()))
    });
    started.clone().map_err(|cause| {
        let which = threads.map_or("the threads of the CPU".to_owned(), |threads| format!("`--threads {threads}`"));
        refused(&which, cause)
    })
}

/// Starts a thread beside those that do the program's work.
///
/// # Errors
/// [`Error::Failed`], which says that the program cannot start `what`, if the system refuses the thread.
pub(crate) fn start_one<R: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<JoinHandle<R>> {
    spawn(0, work).map_err(|error| refused(what, error.to_string()))
}

/// Starts a thread, while this number of others may still be starting.
fn spawn<R: Send + 'static>(others: usize, work: impl FnOnce() -> R + Send + 'static) -> io::Result<JoinHandle<R>> {
    // The standard library aborts the program if a thread that the system has made finds no memory to start.
    let mut memory = Vec::<u8>::new();
    memory.try_reserve_exact(STACK_LEN + (others + 1) * START_LEN).map_err(|_| io::ErrorKind::OutOfMemory)?;
    // Otherwise the compiler removes the allocation.
    black_box(memory);
    Builder::new().stack_size(STACK_LEN).spawn(work)
}

/// Returns the error of threads that the system refuses.
fn refused(what: &str, cause: String) -> Error {
    let hint = "ask for fewer by `--threads`, or raise the limits of `ulimit -v` and `ulimit -u`";
    Error::failed(format!("start {what}"), hint, cause)
}
