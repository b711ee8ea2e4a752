//! The frame of each call, which counts, checks, runs and logs it.

use std::cell::Cell;
use std::fmt::Debug;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::codes::{self, Code};
use super::config::Failure;
use super::report::report;
use super::state::{DriverState, current};

thread_local! {
    /// Whether the calling thread is in a function of the host that a stream has reached.
    static IN_HOST_CALL: Cell<bool> = const { Cell::new(false) };
}

static STATE: Mutex<Option<DriverState>> = Mutex::new(None);

/// The time between two looks at a condition that another thread, or a function of the host, will make true.
const POLL: Duration = Duration::from_micros(50);

/// The state that a call requires, in ascending order.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub enum Needs {
    Nothing,
    Initialised,
    Context,
}

/// Locks the state, and creates it if this is the first call.
fn lock() -> Result<MutexGuard<'static, Option<DriverState>>, Code> {
    let mut guard = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    if guard.is_none() {
        *guard = Some(DriverState::new()?);
    }
    Ok(guard)
}

/// Returns the answer of the state to a question outside of a call, or `None` if it has no answer.
pub fn ask<T>(question: impl FnOnce(&DriverState) -> Option<T>) -> Option<T> {
    lock().ok()?.as_ref().and_then(question)
}

/// Runs a call, and returns the value of its `CUresult`. A body that returns [`codes::BLOCKED`] must have changed nothing,
/// and runs again until another thread or a function of the host has unblocked it.
pub fn call(
    name: &'static str,
    needs: Needs,
    arguments: &[(&str, &dyn Debug)],
    body: &mut dyn FnMut(&mut DriverState) -> Result<(), Code>,
) -> Code {
    let start = Instant::now();
    let mut first = true;
    loop {
        let mut guard = match lock() {
            Ok(guard) => guard,
            Err(code) => return code,
        };
        let state = guard.as_mut().expect("the state was just created");
        state.note.clear();
        let checked = if first { state.inject_failure(name) } else { Ok(()) };
        first = false;
        let result = checked.and_then(|()| state.check(needs)).and_then(|()| state.guarded(body));
        let blocked = result == Err(codes::BLOCKED);
        if blocked && !IN_HOST_CALL.get() && start.elapsed() < state.config.watchdog.time {
            drop(guard);
            if !run_host_calls() {
                sleep(POLL);
            }
            continue;
        }
        let code = match result {
            // The stream of the function may be the one that the call waits for.
            Err(codes::BLOCKED) if IN_HOST_CALL.get() => codes::NOT_PERMITTED,
            Err(codes::BLOCKED) => {
                let time = state.config.watchdog.time.as_secs();
                report(format_args!("{name} has waited {time} s for a value, or for a function of the host"));
                codes::LAUNCH_TIMEOUT
            }
            result => result.err().unwrap_or(0),
        };
        if let Some(log) = &mut state.log {
            // A failed write to the log must not change the program's results.
            let arguments: Vec<_> = arguments.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            let _ = writeln!(log, "{name}({}{}) = {code}", arguments.join(", "), state.note);
        }
        drop(guard);
        run_host_calls();
        return code;
    }
}

/// Runs the functions of the host that streams have reached, and returns whether there were any. The state is not locked
/// meanwhile.
fn run_host_calls() -> bool {
    let mut any = false;
    loop {
        let Ok(mut guard) = lock() else { return any };
        let state = guard.as_mut().expect("the state was just created");
        let Some((stream, host, error)) = state.host_calls.pop() else { return any };
        drop(guard);
        let before = IN_HOST_CALL.replace(true);
        host.run(error);
        IN_HOST_CALL.set(before);
        any = true;
        let Ok(mut guard) = lock() else { return any };
        let state = guard.as_mut().expect("the state was just created");
        state.host_call_done(stream);
        let _ = state.guarded(&mut |_| Ok(()));
    }
}

impl DriverState {
    /// Runs the body of a call and then the operations that it has made ready. Settings may delay these until a call waits.
    fn guarded(&mut self, body: &mut dyn FnMut(&mut Self) -> Result<(), Code>) -> Result<(), Code> {
        // A panic must not unwind into the C caller. It may have left the state inconsistent, so later calls fail too.
        let run = AssertUnwindSafe(|| {
            let result = body(self);
            if !self.config.late || result == Err(codes::BLOCKED) {
                self.progress();
            }
            result
        });
        catch_unwind(run).unwrap_or_else(|_| {
            self.broken = Some(codes::UNKNOWN);
            Err(codes::UNKNOWN)
        })
    }

    /// Counts a call, and returns an error if the settings make it fail.
    fn inject_failure(&mut self, name: &str) -> Result<(), Code> {
        // Settings name functions without the suffix `_v2`.
        let plain = name.split('_').next().unwrap_or(name).to_string();
        let count = self.calls.entry(plain.clone()).or_default();
        *count += 1;
        let wanted = |f: &&Failure| f.function == plain && f.call.is_none_or(|call| call == *count);
        self.config.failures.iter().find(wanted).map_or(Ok(()), |failure| Err(failure.code))
    }

    fn check(&self, needs: Needs) -> Result<(), Code> {
        if needs >= Needs::Initialised && !self.initialised {
            return Err(codes::NOT_INITIALIZED);
        }
        if needs == Needs::Context {
            self.check_context(current())?;
            self.broken.or(self.fault(current())).map_or(Ok(()), Err)?;
        }
        Ok(())
    }
}
