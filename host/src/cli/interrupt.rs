//! Ctrl-C and other signals to end. The first asks the run to end in good order, and the second ends the program.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::{Error, Result};

/// The exit code of an interrupted run, 128 plus the number of SIGINT, as in shells.
pub(super) const EXIT_CODE: u8 = 130;

/// Watches for Ctrl-C, SIGTERM and SIGHUP. The first of them sets the returned flag. Ignored signals stay ignored.
pub(super) fn watch() -> Result<Arc<AtomicBool>> {
    let requested = Arc::new(AtomicBool::new(false));
    let signals = [
        SIGINT,
        SIGTERM,
        #[cfg(unix)]
        signal_hook::consts::SIGHUP,
    ];
    for signal in signals.into_iter().filter(|&signal| !is_ignored(signal)) {
        // The shutdown is registered first, so that at the first signal it finds the flag not yet set.
        flag::register_conditional_shutdown(signal, EXIT_CODE.into(), Arc::clone(&requested))
            .and_then(|_| flag::register(signal, Arc::clone(&requested)))
            .map_err(|error| Error::failed("watch for Ctrl-C", "run the program where it may handle signals", error))?;
    }
    Ok(requested)
}

/// Returns whether the program was started with this signal ignored, as `nohup` does with SIGHUP.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    // SAFETY: all zeros are a valid `sigaction`. With a null new action, the call writes the current one to `action`.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(not(unix))]
fn is_ignored(_: i32) -> bool {
    false
}
