//! The emulated GPU, with memory, modules and launches, but without the driver's handles and error codes.

use std::num::NonZero;
use std::thread;

use crate::program::{Global, Linked, Program, link};
use crate::ptx::{Error, parse, syntax};
use crate::simulator::{Buffer, Checks, DeviceProperties, Dims, Fault, Launch, Profile, Simulator, Texture, Watchdog};

/// An emulated GPU.
pub struct Gpu {
    simulator: Simulator,
    /// The seed that permutes the order of blocks and warps, or 0 for ascending order.
    pub order: u64,
    /// The largest number of threads of the host that run the blocks of a launch, by default one for each core. No result
    /// depends on it.
    pub threads: usize,
    /// Whether launches model bank conflicts and cycles.
    pub timed: bool,
    /// The index of the block whose cycles profiles state, or `None` for the block with the largest bound.
    pub block: Option<u32>,
    /// Whether kernels may contain approximate instructions, and sums and products without a rounding modifier. The
    /// bits of such results differ between GPUs.
    pub approximate: bool,
    /// The checks of running kernels.
    pub checks: Checks,
    /// The limits of each launch.
    pub watchdog: Watchdog,
}

/// The kernels and variables of a loaded module.
pub struct Module {
    linked: Linked,
}

impl Module {
    /// Returns the kernel of this name.
    pub fn kernel(&self, name: &str) -> Option<&Program> {
        self.linked.kernels.get(name)
    }

    /// Returns all kernels, sorted by name.
    pub fn kernels(&self) -> Vec<&Program> {
        let mut kernels: Vec<_> = self.linked.kernels.values().collect();
        kernels.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        kernels
    }

    /// Returns the address and the size in bytes of a global or constant variable.
    pub fn variable(&self, name: &str) -> Option<(u64, usize)> {
        let found = self.linked.variables.iter().find(|variable| variable.name == name);
        found.map(|Global { address, size, .. }| (*address, *size))
    }
}

impl Default for Gpu {
    fn default() -> Self {
        Self::new(DeviceProperties::default())
    }
}

impl Gpu {
    /// Returns a GPU with the properties of `device`.
    pub fn new(device: DeviceProperties) -> Self {
        let simulator = Simulator::new(device);
        Self {
            simulator,
            order: 0,
            threads: thread::available_parallelism().map_or(1, NonZero::get),
            timed: false,
            block: None,
            approximate: true,
            checks: Checks::default(),
            watchdog: Watchdog::default(),
        }
    }

    /// Returns the properties of the GPU.
    pub fn device(&self) -> &DeviceProperties {
        &self.simulator.device
    }

    /// Loads a module from PTX.
    ///
    /// # Errors
    /// If the PTX has a syntax error, or if memory is too small for the module's variables. The error names the line.
    /// A kernel with an instruction that is not supported is refused when it is launched.
    pub fn load(&mut self, ptx: &str) -> Result<Module, Error> {
        self.link(&parse(ptx)?)
    }

    /// Loads a parsed module.
    pub(crate) fn link(&mut self, module: &syntax::Module) -> Result<Module, Error> {
        let shared_base = u64::from(self.device().shared_reserved());
        let memory = &mut self.simulator.memory;
        let mut full = false;
        let linked = link(module, shared_base, |size| {
            memory.allocate_zeroed(size).unwrap_or_else(|| {
                full = true;
                0
            })
        });
        if full {
            let message = "the device has no memory for the module's variables".into();
            self.unload(Module { linked });
            return Err(Error { line: 0, message, unsupported: false });
        }
        for Global { address, bytes, .. } in &linked.variables {
            self.write(*address, bytes);
        }
        Ok(Module { linked })
    }

    /// Frees the variables of a module.
    pub fn unload(&mut self, module: Module) {
        for variable in module.linked.variables {
            self.free(variable.address);
        }
    }

    /// Returns the text that kernels have printed with `printf` since the last call.
    pub fn take_output(&mut self) -> String {
        std::mem::take(&mut self.simulator.output)
    }

    /// Returns the warnings of the launches since the last call, at most one for each launch.
    pub fn take_warnings(&mut self) -> Vec<Fault> {
        std::mem::take(&mut self.simulator.warnings)
    }

    /// Allocates `size` bytes and returns their address, or `None` if `size` is 0 or exceeds the free memory.
    pub fn allocate(&mut self, size: usize) -> Option<u64> {
        self.simulator.memory.allocate(size as u64)
    }

    /// Allocates `size` bytes of host memory, which the host and kernels access at the returned address. Returns `None` if
    /// `size` is 0 or exceeds the memory of the host.
    pub(crate) fn allocate_host(&mut self, size: usize) -> Option<u64> {
        self.simulator.memory.allocate_host(size as u64)
    }

    /// Lets kernels access host memory at its address on the host. Returns false if an allocation overlaps it.
    pub(crate) fn register_host(&mut self, memory: Buffer) -> bool {
        self.simulator.memory.register(memory)
    }

    /// Frees the allocation at `address` and returns whether there was one.
    pub fn free(&mut self, address: u64) -> bool {
        self.simulator.memory.free(address)
    }

    /// Frees all allocations.
    pub fn reset(&mut self) {
        self.simulator = Simulator::new(self.device().clone());
    }

    /// Returns the number of bytes of memory that are not allocated.
    pub fn free_memory(&self) -> usize {
        self.simulator.memory.free as usize
    }

    /// Returns whether one allocation contains `len` bytes at `address`.
    pub fn contains(&mut self, address: u64, len: usize) -> bool {
        self.simulator.memory.find(address, len).is_ok()
    }

    /// Copies bytes to the GPU. Returns false and copies nothing if no allocation contains all of them.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        self.simulator.memory.find(address, bytes.len()).map(|(segment, at)| segment.fill(at, bytes)).is_ok()
    }

    /// Copies `len` bytes from the GPU, or returns `None` if no allocation contains all of them.
    pub fn read(&mut self, address: u64, len: usize) -> Option<Vec<u8>> {
        let (segment, at) = self.simulator.memory.find(address, len).ok()?;
        Some(segment.bytes()[at..at + len].to_vec())
    }

    /// Adds a texture, or a surface, whose sampler has no effect. Returns its handle, which kernels take as a parameter of
    /// 64 bits. To bind a texture to a `.texref` variable, write the handle to the eight bytes of the variable.
    pub fn add_texture(&mut self, texture: Texture) -> u64 {
        self.simulator.textures.add(texture)
    }

    /// Removes a texture or surface, and returns whether there was one. Its memory stays allocated.
    pub fn remove_texture(&mut self, handle: u64) -> bool {
        self.simulator.textures.remove(handle)
    }

    /// Returns the reason why a kernel cannot be launched, if there is one.
    pub(crate) fn refusal<'a>(&self, program: &'a Program) -> Option<&'a Error> {
        program.unsupported.as_ref().or(program.inexact.as_ref().filter(|_| !self.approximate))
    }

    /// Runs a kernel to its end. `params` are the bytes of its parameters in the layout that the kernel declares.
    ///
    /// # Errors
    /// If the kernel has an instruction that is not supported, or an approximate one and [`Gpu::approximate`] is false,
    /// or if the launch has a fault. The error is the first fault.
    ///
    /// # Panics
    /// If the module has no such kernel, if a block has no threads, or if there are fewer parameter bytes than the
    /// kernel declares.
    pub fn launch<'a>(
        &mut self,
        module: &'a Module,
        kernel: &str,
        dims: Dims,
        params: &[u8],
    ) -> Result<Profile<'a>, Box<Fault>> {
        let (program, files) = (&module.linked.kernels[kernel], &module.linked.files);
        if let Some(error) = self.refusal(program) {
            return Err(Fault::refused(&program.name, error));
        }
        let Self { order, threads, timed, block, checks, watchdog, .. } = *self;
        self.simulator.launch(Launch { program, files, dims, order, threads, timed, block, checks, watchdog }, params)
    }
}
