//! The events of a console of Windows.

use std::io::{self, Write};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT, SetConsoleCtrlHandler};
use windows_sys::core::BOOL;

use super::NOTICE;
use crate::error::{Error, Result};

/// The exit code of an interrupted run, which is that of SIGINT on Unix.
const EXIT_CODE: u8 = 130;

/// The flag of [`watch`], which the handler sets.
static REQUESTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
/// Whether the handler prints no notice.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Watches for Ctrl-C, Ctrl-Break, the end of the console and that of the session. The first of them sets the returned
/// flag, and prints a notice on stderr unless `quiet` is set.
pub fn watch(quiet: bool) -> Result<Arc<AtomicBool>> {
    QUIET.store(quiet, Ordering::SeqCst);
    let requested = Arc::clone(REQUESTED.get_or_init(Arc::default));
    // SAFETY: the handler is a function of this program, which lives as long as the process.
    if unsafe { SetConsoleCtrlHandler(Some(on_event), 1) } == 0 {
        let hint = "run the program where it may handle events of the console";
        return Err(Error::failed("watch for Ctrl-C", hint, io::Error::last_os_error()));
    }
    Ok(requested)
}

/// Returns the exit code of a run that an event has ended.
pub fn ended_by() -> u8 {
    EXIT_CODE
}

/// Does nothing, since Windows has no limit on the size of a file.
pub fn survive_limits() {}

/// Handles an event, on a thread that Windows starts for it.
extern "system" fn on_event(event: u32) -> BOOL {
    let Some(requested) = REQUESTED.get() else { return 0 };
    let is_first = !requested.swap(true, Ordering::SeqCst);
    if is_first && !QUIET.load(Ordering::SeqCst) {
        let _ = io::stderr().write_all(NOTICE.as_bytes());
    }
    if [CTRL_C_EVENT, CTRL_BREAK_EVENT].contains(&event) {
        if !is_first {
            process::exit(EXIT_CODE.into());
        }
        return 1;
    }
    // The console is closed, or the user logs off. Windows ends the process as soon as this function returns, and five
    // seconds after the event at the latest. Until then the run has time to save.
    loop {
        thread::park();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use windows_sys::Win32::System::Console::CTRL_CLOSE_EVENT;

    use super::*;

    #[test]
    fn closing_the_console_asks_for_the_end_and_leaves_time_for_it() {
        let requested = watch(true).unwrap();
        let handler = thread::spawn(|| on_event(CTRL_CLOSE_EVENT));
        thread::sleep(Duration::from_millis(500));
        assert!(requested.load(Ordering::SeqCst) && !handler.is_finished());
    }
}
