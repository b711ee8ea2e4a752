//! Ctrl-C and other requests to end. The first asks the run to end in good order, and the second ends the program.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::watch;
#[cfg(windows)]
pub(super) use windows::watch;

/// The exit code of an interrupted run, 128 plus the number of SIGINT, as in shells.
pub(super) const EXIT_CODE: u8 = 130;
