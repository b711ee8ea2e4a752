//! The state of the driver, and the frame of each call.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::codes::{self, Code};
use super::config::{Config, Failure};
use crate::gpu::{Gpu, Module};
use crate::program::Program;

/// A handle, which the API declares as a pointer to an opaque struct.
pub type Handle = usize;

/// A kernel that the program asked for.
#[derive(Clone)]
pub struct Function {
    pub module: Handle,
    pub name: String,
    /// The most dynamic shared memory in bytes that a launch may ask for.
    pub max_dynamic_shared: u32,
}

/// The state of the driver.
#[derive(Default)]
pub struct State {
    pub config: Config,
    pub gpu: Gpu,
    pub modules: HashMap<Handle, Module>,
    pub functions: HashMap<Handle, Function>,
    pub contexts: HashSet<Handle>,
    pub primary: Handle,
    /// The number of times that the primary context is retained.
    pub primary_retained: u32,
    pub streams: HashSet<Handle>,
    /// The events with the time at which they were recorded.
    pub events: HashMap<Handle, Option<Instant>>,
    /// The error of an earlier launch, which all calls in a context return from then on.
    pub sticky_error: Option<Code>,
    pub initialised: bool,
    /// The number of calls of each function.
    calls: HashMap<String, u64>,
    /// The text that the current call adds to its line of the log.
    pub note: String,
    log: Option<File>,
    last_handle: Handle,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

thread_local! {
    /// The context stack of the calling thread (section "Context Management").
    static CONTEXTS: RefCell<Vec<Handle>> = const { RefCell::new(Vec::new()) };
}

/// Returns the context of the calling thread, or 0 if it has none.
pub fn current() -> Handle {
    CONTEXTS.with_borrow(|contexts| contexts.last().copied().unwrap_or(0))
}

/// Pushes a context on the stack of the calling thread.
pub fn push(context: Handle) {
    CONTEXTS.with_borrow_mut(|contexts| contexts.push(context));
}

/// Pops and returns the context of the calling thread, or returns 0 if it has none.
pub fn pop() -> Handle {
    CONTEXTS.with_borrow_mut(Vec::pop).unwrap_or(0)
}

/// The state that a call requires, in ascending order.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub enum Needs {
    Nothing,
    Initialised,
    Context,
}

impl State {
    fn new() -> Result<Self, Code> {
        let text = std::env::var("PTX_EMULATOR").unwrap_or_default();
        let config = Config::parse(&text).map_err(|message| {
            eprintln!("emulator: {message}");
            codes::INVALID_VALUE
        })?;
        let create = |path: &PathBuf| {
            File::create(path).map_err(|error| {
                eprintln!("emulator: cannot write `{}`: {error}", path.display());
                codes::INVALID_VALUE
            })
        };
        let log = config.log.as_ref().map(create).transpose()?;
        // Empties the file, to which each launch appends.
        config.profile.as_ref().map(create).transpose()?;
        let mut gpu = Gpu::new(config.device.clone());
        gpu.approximate = config.approximate;
        gpu.order = config.order;
        gpu.timed = config.profile.is_some();
        // Handles up to 2 are default streams.
        Ok(Self { config, gpu, log, last_handle: 0x1000, ..Self::default() })
    }

    /// Returns a new handle.
    pub fn handle(&mut self) -> Handle {
        self.last_handle += 16;
        self.last_handle
    }

    /// Frees all resources of contexts.
    pub fn reset(&mut self) {
        self.gpu.reset();
        self.modules.clear();
        self.functions.clear();
        self.streams.clear();
        self.events.clear();
        self.sticky_error = None;
    }

    /// Returns the function of a handle and its kernel.
    pub fn function(&self, handle: Handle) -> Result<(&Function, &Program), Code> {
        let function = self.functions.get(&handle).ok_or(codes::INVALID_HANDLE)?;
        let program = self.modules.get(&function.module).and_then(|module| module.kernel(&function.name));
        program.map(|program| (function, program)).ok_or(codes::INVALID_HANDLE)
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
            if !self.contexts.contains(&current()) {
                return Err(codes::INVALID_CONTEXT);
            }
            self.sticky_error.map_or(Ok(()), Err)?;
        }
        Ok(())
    }
}

/// Counts, checks, runs and logs a call, and returns the value of its `CUresult`.
pub fn call(
    name: &'static str,
    needs: Needs,
    arguments: &dyn Fn() -> String,
    body: impl FnOnce(&mut State) -> Result<(), Code>,
) -> Code {
    let mut guard = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    if guard.is_none() {
        match State::new() {
            Ok(state) => *guard = Some(state),
            Err(code) => return code,
        }
    }
    let state = guard.as_mut().expect("the state was just created");
    state.note.clear();
    let result = state.inject_failure(name).and_then(|()| state.check(needs)).and_then(|()| {
        // A panic must not unwind into the C caller.
        catch_unwind(AssertUnwindSafe(|| body(state))).unwrap_or(Err(codes::UNKNOWN))
    });
    let code = result.err().unwrap_or(0);
    if let Some(log) = &mut state.log {
        // A failed write to the log must not change what the program under test sees.
        let _ = writeln!(log, "{name}({}{}) = {code}", arguments(), state.note);
    }
    code
}
