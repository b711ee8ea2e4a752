//! The signals of Unix.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level;

use super::NOTICE;
use crate::error::{Error, Result};

/// The signal that asked for the end, or 0.
static FIRST: AtomicI32 = AtomicI32::new(0);

/// Watches for Ctrl-C, SIGTERM and SIGHUP. The first of them sets the returned flag, and prints a notice on stderr unless
/// `quiet` is set. Ignored signals stay ignored.
pub fn watch(quiet: bool) -> Result<Arc<AtomicBool>> {
    let requested = Arc::new(AtomicBool::new(false));
    // The progress bar is on the terminal's last line.
    let clear = if io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
    for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !is_ignored(signal)) {
        let flag = Arc::clone(&requested);
        let handle = move || {
            if FIRST.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                low_level::exit(status(signal).into());
            }
            flag.store(true, Ordering::SeqCst);
            if !quiet {
                [clear, NOTICE].into_iter().for_each(write_stderr);
            }
        };
        // SAFETY: `handle` only accesses atomics and calls `_exit`, `poll` and `write`, which are async-signal-safe.
        unsafe { low_level::register(signal, handle) }
            .map_err(|error| Error::failed("watch for Ctrl-C", "run the program where it may handle signals", error))?;
    }
    Ok(requested)
}

/// Returns the exit code of a run that a signal has ended, 128 plus the signal's number, as in shells.
pub fn ended_by() -> u8 {
    status(FIRST.load(Ordering::SeqCst))
}

fn status(signal: i32) -> u8 {
    128 + signal as u8
}

/// Ignores SIGXFSZ, so that a write beyond the limit of `ulimit -f` fails instead of ending the program.
pub fn survive_limits() {
    // SAFETY: `SIG_IGN` installs no function as a handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Writes to stderr without waiting for its reader, since a handler must return soon.
fn write_stderr(text: &str) {
    let mut stderr = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    // SAFETY: the pointers are those of a live `pollfd` and a live string, with their lengths.
    unsafe {
        if libc::poll(&raw mut stderr, 1, 0) == 1 && stderr.revents & libc::POLLOUT != 0 {
            libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len());
        }
    }
}

/// Returns whether the program was started with this signal ignored, as `nohup` does with SIGHUP.
fn is_ignored(signal: i32) -> bool {
    // SAFETY: all zeros are a valid `sigaction`. With a null new action, the call writes the current one to `action`.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}
