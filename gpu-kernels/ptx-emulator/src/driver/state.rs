//! The state of the driver, loads and launches, and the frame of each call.

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
use crate::ptx;
use crate::simulator::{Checks, Dims, Fault, FaultKind, MAX_THREADS};

/// The shared memory in bytes that a block may have without opting in to more.
pub const SHARED_PER_BLOCK: u32 = 48 * 1024;

/// The largest number of threads of a block along z.
pub const MAX_BLOCK_DIM_Z: u32 = 64;

/// The largest number of blocks of a grid along y, and along z.
pub const MAX_GRID_DIM_YZ: u32 = 0xffff;

/// Returns the newest PTX version that a CUDA version supports (PTX ISA, chapter "Release Notes").
fn newest_ptx((major, minor): (u32, u32)) -> (u32, u32) {
    match major {
        ..=8 => (5, minor),
        9 => (6, minor),
        10 => (6, 3 + minor),
        11 => (7, minor),
        // CUDA 12.6 has the PTX version of CUDA 12.5.
        12 => (8, if minor < 6 { minor } else { minor - 1 }),
        major => (major - 4, minor),
    }
}

/// A handle, which the API declares as a pointer to an opaque struct.
pub type Handle = usize;

#[derive(Clone)]
pub struct Function {
    pub module: Handle,
    pub name: String,
    /// The largest dynamic shared memory in bytes that a launch may ask for.
    pub max_dynamic_shared: u32,
}

#[derive(Default)]
pub struct DriverState {
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
    /// The file to which the profile of each launch is written.
    profile: Option<File>,
    last_handle: Handle,
    /// The kernels that have had a warning.
    warned: HashSet<String>,
}

static STATE: Mutex<Option<DriverState>> = Mutex::new(None);

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

impl DriverState {
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
        let profile = config.profile.as_ref().map(create).transpose()?;
        let mut gpu = Gpu::new(config.device.clone());
        gpu.checks = config.checks;
        gpu.approximate = config.approximate.unwrap_or(config.checks < Checks::Strict);
        gpu.order = config.order;
        gpu.watchdog = config.watchdog;
        gpu.timed = config.profile.is_some();
        // Handles up to 2 are default streams.
        Ok(Self { config, gpu, log, profile, last_handle: 0x1000, ..Self::default() })
    }

    /// Calls `add` with a new handle, and returns the handle.
    pub fn register<T>(&mut self, add: impl FnOnce(&mut Self, Handle) -> T) -> Handle {
        self.last_handle += 16;
        add(self, self.last_handle);
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

    /// Compiles PTX and returns the handle of the module, or the code and the compiler's message.
    pub fn load(&mut self, text: &str) -> Result<Handle, (Code, String)> {
        let invalid = |error: ptx::Error| (codes::INVALID_PTX, format!("ptx input, {error}"));
        let module = ptx::parse(text).map_err(invalid)?;
        if module.version > newest_ptx(self.config.driver) {
            let ((major, minor), newest) = (module.version, newest_ptx(self.config.driver));
            let message =
                format!(".version {major}.{minor} is unsupported, expected at most {}.{}", newest.0, newest.1);
            return Err((codes::UNSUPPORTED_PTX_VERSION, message));
        }
        if module.target > self.config.device.architecture() {
            let (major, minor) = self.config.device.capability;
            let message = format!(".target sm_{} is unsupported, expected at most sm_{major}{minor}", module.target);
            return Err((codes::INVALID_PTX, message));
        }
        let module = self.gpu.link(&module).map_err(invalid)?;
        Ok(self.register(|state, handle| state.modules.insert(handle, module)))
    }

    /// Launches a kernel with the bytes `argument(i, len)` as argument `i`. A fault becomes the sticky error.
    pub fn launch(
        &mut self,
        handle: Handle,
        dims: Dims,
        cooperative: bool,
        argument: impl Fn(usize, usize) -> Result<Vec<u8>, Code>,
    ) -> Result<(), Code> {
        let (function, program) = self.function(handle)?;
        if let Some(error) = self.gpu.refusal(program) {
            eprintln!("emulator: {}", Fault::refused(&program.name, error));
            return Err(codes::NOT_SUPPORTED);
        }
        let (threads, blocks) = (dims.threads().unwrap_or(0), dims.blocks().unwrap_or(0));
        if !(1..=program.max_threads.unwrap_or(MAX_THREADS).min(MAX_THREADS)).contains(&threads)
            || dims.block[2] > MAX_BLOCK_DIM_Z
            || blocks == 0
            || dims.grid[1].max(dims.grid[2]) > MAX_GRID_DIM_YZ
            || dims.shared > function.max_dynamic_shared as usize
        {
            return Err(codes::INVALID_VALUE);
        }
        let (device, shared) = (&self.config.device, program.shared_size.saturating_add(dims.shared));
        let resident = device.resident_blocks(threads, shared).saturating_mul(device.sms);
        if resident == 0 {
            return Err(codes::LAUNCH_OUT_OF_RESOURCES);
        }
        if cooperative && blocks > resident {
            return Err(codes::COOPERATIVE_LAUNCH_TOO_LARGE);
        }
        let (module, name) = (function.module, function.name.clone());
        let mut params = vec![0; program.param_size];
        for (i, (offset, size)) in program.params.iter().enumerate() {
            let bytes = argument(i, *size)?;
            params[*offset..offset + size].copy_from_slice(&bytes);
        }
        let hex: String = params.iter().map(|byte| format!("{byte:02x}")).collect();
        self.note = format!(", kernel={name}, params={hex}");
        let launched = self.gpu.launch(&self.modules[&module], &name, dims, &params);
        // Nothing flushes the library's buffer when the program exits. A failed write must not change its results.
        let mut stdout = std::io::stdout();
        let _ = stdout.write_all(self.gpu.take_output().as_bytes()).and_then(|()| stdout.flush());
        for warning in self.gpu.take_warnings() {
            if self.warned.insert(name.clone()) {
                eprintln!("emulator: warning: {warning}");
            }
        }
        match launched {
            Ok(profile) => {
                if let Some(file) = &mut self.profile
                    && let Err(error) = file.write_all(profile.table(&self.config.ops).as_bytes())
                {
                    eprintln!("emulator: cannot write the profile: {error}");
                }
            }
            Err(fault) => {
                eprintln!("emulator: {fault}");
                self.sticky_error = Some(match fault.kind {
                    FaultKind::OutOfBounds => codes::ILLEGAL_ADDRESS,
                    FaultKind::Misaligned => codes::MISALIGNED_ADDRESS,
                    FaultKind::Resources => codes::LAUNCH_OUT_OF_RESOURCES,
                    FaultKind::NoProgress | FaultKind::Residency | FaultKind::Timeout => codes::LAUNCH_TIMEOUT,
                    FaultKind::Assert => codes::ASSERT,
                    _ => codes::LAUNCH_FAILED,
                });
            }
        }
        Ok(())
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
    body: impl FnOnce(&mut DriverState) -> Result<(), Code>,
) -> Code {
    let mut guard = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    if guard.is_none() {
        match DriverState::new() {
            Ok(state) => *guard = Some(state),
            Err(code) => return code,
        }
    }
    let state = guard.as_mut().expect("the state was just created");
    state.note.clear();
    let result = state.inject_failure(name).and_then(|()| state.check(needs)).and_then(|()| {
        // A panic must not unwind into the C caller. It may have left the state inconsistent, so later calls fail too.
        catch_unwind(AssertUnwindSafe(|| body(state))).unwrap_or_else(|_| {
            state.sticky_error = Some(codes::UNKNOWN);
            Err(codes::UNKNOWN)
        })
    });
    let code = result.err().unwrap_or(0);
    if let Some(log) = &mut state.log {
        // A failed write to the log must not change the program's results.
        let _ = writeln!(log, "{name}({}{}) = {code}", arguments(), state.note);
    }
    code
}
