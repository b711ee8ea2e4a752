//! The state of the driver, and the objects in it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::mem::ManuallyDrop;
use std::path::PathBuf;

use super::codes::{self, Code};
use super::config::Config;
use super::objects::{
    Allocation, Array, Context, DevicePtr, Event, Function, Graph, GraphExec, Handle, Linker, Loaded, Node, Pool,
    Primary, Stream,
};
use super::operation::HostCall;
use super::report::report;
use crate::gpu::Gpu;
use crate::program::Program;

/// The state of the driver, which all threads share.
#[derive(Default)]
pub struct DriverState {
    pub config: Config,
    pub gpu: Gpu,
    pub initialised: bool,
    /// The primary context of each device.
    pub primaries: Vec<Primary>,
    pub contexts: HashMap<Handle, Context>,
    pub modules: HashMap<Handle, Loaded>,
    pub functions: HashMap<Handle, Function>,
    pub linkers: HashMap<Handle, Linker>,
    pub streams: BTreeMap<Handle, Stream>,
    pub events: HashMap<Handle, Event>,
    pub allocations: BTreeMap<DevicePtr, Allocation>,
    /// The number of allocations so far.
    pub allocated: u64,
    /// The bytes that each device has allocated.
    pub used: Vec<u64>,
    pub arrays: HashMap<Handle, Array>,
    pub pools: HashMap<Handle, Pool>,
    /// The default pool and the current pool of each device.
    pub device_pools: Vec<(Handle, Handle)>,
    pub graphs: HashMap<Handle, Graph>,
    pub nodes: HashMap<Handle, Node>,
    pub execs: HashMap<Handle, GraphExec>,
    /// Functions of the host that are about to run, with the stream that waits for each and the error of its context, or 0.
    pub host_calls: Vec<(Handle, HostCall, Code)>,
    /// The error after a panic, which all calls in a context return from then on.
    pub broken: Option<Code>,
    /// The number of calls of each function.
    pub calls: HashMap<String, u64>,
    /// The text that the current call adds to its line of the log.
    pub note: String,
    pub log: Option<File>,
    /// The file to which the profile of each launch is written.
    pub profile: Option<File>,
    /// The kernels that have had a warning.
    pub warned: HashSet<String>,
    last_handle: Handle,
}

thread_local! {
    /// The context stack of the calling thread (section "Context Management"). It is never dropped, because destructors of
    /// the program's own values call the driver when the thread ends.
    static CONTEXTS: RefCell<ManuallyDrop<Vec<Handle>>> = const { RefCell::new(ManuallyDrop::new(Vec::new())) };

    /// Whether the calling thread is in a function with a suffix such as `_ptsz`, for which stream 0 is the thread's own.
    static PER_THREAD: Cell<bool> = const { Cell::new(false) };
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
    CONTEXTS.with_borrow_mut(|contexts| contexts.pop()).unwrap_or(0)
}

/// Runs a function for which stream 0 is the thread's own.
pub fn with_thread_stream<T>(run: impl FnOnce() -> T) -> T {
    let before = PER_THREAD.replace(true);
    let result = run();
    PER_THREAD.set(before);
    result
}

/// Returns whether stream 0 is the calling thread's own.
pub fn uses_thread_stream() -> bool {
    PER_THREAD.get()
}

impl DriverState {
    /// Returns the state at the start of the program, with the settings of the environment.
    pub fn new() -> Result<Self, Code> {
        let text = std::env::var("PTX_EMULATOR").unwrap_or_default();
        let config = Config::parse(&text).map_err(|message| {
            report(format_args!("PTX_EMULATOR: {message}"));
            codes::INVALID_VALUE
        })?;
        let create = |path: &PathBuf| {
            File::create(path).map_err(|error| {
                report(format_args!("cannot write `{}`: {error}", path.display()));
                codes::INVALID_VALUE
            })
        };
        let log = config.log.as_ref().map(create).transpose()?;
        let profile = config.profile.as_ref().map(create).transpose()?;
        let devices = config.devices as usize;
        let gpu = config.gpu();
        let (primaries, used) = (vec![Primary::default(); devices], vec![0; devices]);
        // Handles up to 2 are default streams.
        let mut state = Self { config, gpu, log, profile, primaries, used, last_handle: 0x1000, ..Self::default() };
        for device in 0..devices {
            let pool = Pool { device: device as i32, ..Pool::default() };
            let handle = state.register(|state, handle| state.pools.insert(handle, pool));
            state.device_pools.push((handle, handle));
        }
        Ok(state)
    }

    /// Calls `add` with a new handle, and returns the handle.
    pub fn register<T>(&mut self, add: impl FnOnce(&mut Self, Handle) -> T) -> Handle {
        self.last_handle += 16;
        let handle = self.last_handle;
        add(self, handle);
        handle
    }

    /// Returns the current context of the calling thread.
    pub fn context(&mut self) -> Result<&mut Context, Code> {
        self.contexts.get_mut(&current()).ok_or(codes::INVALID_CONTEXT)
    }

    /// Returns the device of the current context.
    pub fn device(&mut self) -> Result<usize, Code> {
        self.context().map(|context| context.device as usize)
    }

    /// Returns the function of a handle and its kernel.
    pub fn function(&self, handle: Handle) -> Result<(&Function, &Program), Code> {
        let function = self.functions.get(&handle).ok_or(codes::INVALID_HANDLE)?;
        let program = self.modules.get(&function.module).and_then(|loaded| loaded.module.kernel(&function.name));
        program.map(|program| (function, program)).ok_or(codes::INVALID_HANDLE)
    }

    /// Returns the allocation that contains an address, with its first address.
    pub fn allocation(&self, address: DevicePtr) -> Option<(DevicePtr, Allocation)> {
        let (start, allocation) = self.allocations.range(..=address).next_back()?;
        (address - start < allocation.size as u64).then_some((*start, *allocation))
    }
}
