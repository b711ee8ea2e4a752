//! The report of memory that the system refuses.

use std::io::{self, Write};
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, OutOfMemory, Result};

/// Whether the program reads its corpus, so that the corpus is what needs memory.
static READS_CORPUS: AtomicBool = AtomicBool::new(false);

/// The hint for a corpus that does not fit.
const CORPUS_HINT: &str =
    "use a part of the corpus, or raise the limit of `ulimit -v`, since the corpus is what is large";

/// The name of this process among those of a cluster.
static NAME: OnceLock<String> = OnceLock::new();

/// Names this process in the report of memory that the system refuses.
pub(super) fn name_process(name: String) {
    NAME.get_or_init(|| name + ": ");
}

/// Reports an allocation of `bytes` bytes that has failed, and ends the program. It allocates nothing.
pub fn exit_without(bytes: usize) -> ! {
    let hint = if READS_CORPUS.load(Ordering::Relaxed) { CORPUS_HINT } else { OutOfMemory::HINT };
    let name = NAME.get().map_or("", String::as_str);
    let _ = writeln!(io::stderr(), "error: {name}{}\nhint: {hint}", OutOfMemory(bytes));
    process::exit(1)
}

/// Runs `read`, which reads the corpus.
pub(super) fn reading_corpus<R>(read: impl FnOnce() -> Result<R>) -> Result<R> {
    READS_CORPUS.store(true, Ordering::Relaxed);
    let read = read();
    READS_CORPUS.store(false, Ordering::Relaxed);
    read.map_err(|error| match error {
        Error::ReadCorpus { name, source } if source.kind() == io::ErrorKind::OutOfMemory => {
            Error::failed(format!("read {name}"), CORPUS_HINT, source)
        }
        other => other,
    })
}
