//! Ctrl-C, or the system's wish that the program ends: the first asks the run to end in good order, the second ends it.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// The exit code of an interrupted run, as shells have it: 128 and the number of SIGINT.
pub const EXIT_CODE: u8 = 130;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Watches for Ctrl-C, SIGTERM and SIGHUP. The flag is set by the first one.
///
/// # Errors
/// The system refuses.
pub fn watch() -> Result<&'static AtomicBool> {
    let handler = || {
        if REQUESTED.swap(true, Ordering::Relaxed) {
            process::exit(EXIT_CODE.into());
        }
    };
    ctrlc::set_handler(handler).map_err(|error| Error::new("cannot watch for Ctrl-C").caused_by(error))?;
    Ok(&REQUESTED)
}
