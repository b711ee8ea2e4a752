//! What the driver remembers from call to call.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::codes::{self, Code};
use super::config::Config;
use crate::gpu::{Gpu, Module};
use crate::simulator::Device;

/// A handle: what the API calls a pointer to an opaque struct.
pub type Handle = usize;

/// A kernel that the program asked for.
#[derive(Clone)]
pub struct Function {
    pub module: Handle,
    pub name: String,
    /// The most dynamic shared memory that it may be launched with.
    pub max_dynamic_shared: u32,
}

/// The driver.
pub struct State {
    pub config: Config,
    pub device: Device,
    pub gpu: Gpu,
    pub modules: HashMap<Handle, Module>,
    pub functions: HashMap<Handle, Function>,
    pub contexts: HashSet<Handle>,
    /// The primary context and how often it is retained.
    pub primary: (Handle, u32),
    pub streams: HashSet<Handle>,
    pub events: HashMap<Handle, Option<Instant>>,
    /// What the launches so far did wrong: from then on every call fails.
    pub broken: Option<Code>,
    initialised: bool,
    calls: HashMap<String, u64>,
    log: Option<File>,
    next: Handle,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

thread_local! {
    static CURRENT: Cell<Handle> = const { Cell::new(0) };
    static PUSHED: RefCell<Vec<Handle>> = const { RefCell::new(Vec::new()) };
    static NOTE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The calling thread's context, 0 if none.
pub fn current() -> Handle {
    CURRENT.get()
}

/// Makes a context the calling thread's.
pub fn set_current(context: Handle) {
    CURRENT.set(context);
}

/// Puts a context on top of the calling thread's.
pub fn push(context: Handle) {
    PUSHED.with_borrow_mut(|pushed| pushed.push(CURRENT.replace(context)));
}

/// Takes the calling thread's context away and goes back to the one below.
pub fn pop() -> Handle {
    CURRENT.replace(PUSHED.with_borrow_mut(Vec::pop).unwrap_or(0))
}

/// Adds to the log line of the call.
pub fn note(text: &str) {
    NOTE.with_borrow_mut(|note| note.push_str(text));
}

/// What a call needs before it can do anything.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub enum Needs {
    Nothing,
    Initialised,
    Context,
}

impl State {
    fn new() -> Result<Self, Code> {
        let text = std::env::var("PTX_EMULATOR").unwrap_or_default();
        let config = Config::parse(&text).map_err(|error| {
            eprintln!("emulator: {error}");
            codes::INVALID_VALUE
        })?;
        let open = |path: &std::path::PathBuf| {
            File::create(path).map_err(|error| {
                eprintln!("emulator: cannot write `{}`: {error}", path.display());
                codes::INVALID_VALUE
            })
        };
        let log = config.log.as_ref().map(open).transpose()?;
        // Each launch adds its counts.
        config.counts.as_ref().map(open).transpose()?;
        let device = config.device.clone().unwrap_or_default();
        let mut gpu = Gpu::new(device.clone());
        gpu.approximate = config.approximate;
        gpu.order = config.order;
        gpu.timed = config.counts.is_some();
        Ok(Self {
            config,
            device,
            gpu,
            modules: HashMap::new(),
            functions: HashMap::new(),
            contexts: HashSet::new(),
            primary: (0, 0),
            streams: HashSet::new(),
            events: HashMap::new(),
            broken: None,
            initialised: false,
            calls: HashMap::new(),
            log,
            next: 0x1000,
        })
    }

    /// A handle that no one has.
    pub fn handle(&mut self) -> Handle {
        self.next += 16;
        self.next
    }

    /// Forgets everything that belongs to contexts: the memory is free again.
    pub fn reset(&mut self) {
        self.gpu.reset();
        self.modules.clear();
        self.functions.clear();
        self.streams.clear();
        self.events.clear();
        self.broken = None;
    }

    /// `cuInit`.
    pub fn initialise(&mut self) -> Result<(), Code> {
        if self.config.device.is_none() {
            return Err(codes::NO_DEVICE);
        }
        self.initialised = true;
        Ok(())
    }

    /// The code that the configuration wants of this call.
    fn injected(&mut self, name: &str) -> Result<(), Code> {
        // `cuMemAlloc` means `cuMemAlloc_v2` too.
        let plain = name.split('_').next().unwrap_or(name).to_string();
        let count = self.calls.entry(plain.clone()).or_default();
        *count += 1;
        let wanted = |f: &&super::config::Failure| f.function == plain && f.call.is_none_or(|call| call == *count);
        self.config.failures.iter().find(wanted).map_or(Ok(()), |failure| Err(failure.code))
    }
}

/// Makes a call: logs it, lets it fail if that is wanted, checks what it needs, then runs it.
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
    let state = guard.as_mut().expect("it was just made");
    NOTE.with_borrow_mut(String::clear);
    let result = state.injected(name).and_then(|()| {
        if needs >= Needs::Initialised && !state.initialised {
            return Err(codes::NOT_INITIALIZED);
        }
        if needs == Needs::Context {
            if !state.contexts.contains(&current()) {
                return Err(codes::INVALID_CONTEXT);
            }
            state.broken.map_or(Ok(()), Err)?;
        }
        // No panic may leave a function of C.
        catch_unwind(AssertUnwindSafe(|| body(state))).unwrap_or(Err(codes::UNKNOWN))
    });
    let code = result.err().unwrap_or(0);
    if let Some(log) = &mut state.log {
        let note = NOTE.with_borrow(Clone::clone);
        // A full disk is not the program's under test.
        let _ = writeln!(log, "{name}({}{note}) = {code}", arguments());
    }
    code
}
