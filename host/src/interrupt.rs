//! Ctrl-C, or the system's wish that the program ends: the first asks the run to end in good order, the second ends it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

#[cfg(unix)]
use signal_hook::consts::SIGHUP;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::{Error, Result};

/// The exit code of an interrupted run, as shells have it: 128 and the number of SIGINT.
pub const EXIT_CODE: u8 = 130;

const SIGNALS: &[i32] = &[
    SIGINT,
    SIGTERM,
    #[cfg(unix)]
    SIGHUP,
];

/// Watches for Ctrl-C, SIGTERM and SIGHUP, but for those that are ignored. The flag is set by the first one.
///
/// # Errors
/// The system refuses.
pub fn watch() -> Result<Arc<AtomicBool>> {
    let requested = Arc::new(AtomicBool::new(false));
    for &signal in SIGNALS.iter().filter(|&&signal| !is_ignored(signal)) {
        // What ends the run stands first: of the first signal it finds the flag not yet set.
        flag::register_conditional_shutdown(signal, EXIT_CODE.into(), Arc::clone(&requested))
            .and_then(|_| flag::register(signal, Arc::clone(&requested)))
            .map_err(|error| Error::new("cannot watch for Ctrl-C").caused_by(error))?;
    }
    Ok(requested)
}

/// Whether the program was started with this signal ignored: SIGHUP by `nohup`, SIGINT by a script in the background.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    // SAFETY: the call changes no action, but writes what is done now to `action`, of which all zeros are a valid value.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(not(unix))]
fn is_ignored(_: i32) -> bool {
    false
}
