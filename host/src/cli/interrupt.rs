//! Ctrl-C and other requests to end. The first asks the run to end in good order, and the second ends the program.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::process::ExitCode;

#[cfg(unix)]
use unix::ended_by;
#[cfg(unix)]
pub(super) use unix::{survive_limits, watch};
#[cfg(windows)]
use windows::ended_by;
#[cfg(windows)]
pub(super) use windows::{survive_limits, watch};

use crate::stop::StopHandle;

/// The notice of the first request, which comes before the run has noticed the request.
const NOTICE: &str = "ending the run in good order; a second signal ends it at once\n";

/// Returns the exit code of a run without an error, which a signal may have ended.
pub(super) fn exit_code(stop: &StopHandle) -> ExitCode {
    if stop.is_stopped() { ExitCode::from(ended_by()) } else { ExitCode::SUCCESS }
}
