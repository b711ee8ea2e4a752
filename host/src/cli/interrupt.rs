//! Ctrl-C and other requests to end. The first asks the run to end in good order, and the second ends the program.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::{exit_code, survive_limits, watch};
#[cfg(windows)]
pub(super) use windows::{exit_code, survive_limits, watch};

/// The notice of the first request, which comes before the run has noticed the request.
const NOTICE: &str = "ending the run in good order; a second signal ends it at once\n";
