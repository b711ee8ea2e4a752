//! The signals of Unix.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::EXIT_CODE;
use crate::error::{Error, Result};

/// Watches for Ctrl-C, SIGTERM and SIGHUP. The first of them sets the returned flag. Ignored signals stay ignored.
pub fn watch() -> Result<Arc<AtomicBool>> {
    let requested = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !is_ignored(signal)) {
        // The shutdown is registered first, so that at the first signal it finds the flag not yet set.
        flag::register_conditional_shutdown(signal, EXIT_CODE.into(), Arc::clone(&requested))
            .and_then(|_| flag::register(signal, Arc::clone(&requested)))
            .map_err(|error| Error::failed("watch for Ctrl-C", "run the program where it may handle signals", error))?;
    }
    Ok(requested)
}

/// Returns whether the program was started with this signal ignored, as `nohup` does with SIGHUP.
fn is_ignored(signal: i32) -> bool {
    // SAFETY: all zeros are a valid `sigaction`. With a null new action, the call writes the current one to `action`.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}
