//! The emulated GPU: memory, modules and launches, without the driver's handles and error codes.

use std::collections::HashMap;

use crate::machine::counts::Counts;
use crate::machine::{Device, Fault, Launch, Machine};
use crate::program::{Linked, Program, link};
use crate::ptx::{Error, parse, syntax};

/// A GPU.
pub struct Gpu {
    /// The device and its memory.
    pub machine: Machine,
    /// Whether kernels may contain approximate instructions, and sums and products without a rounding modifier, whose bits
    /// differ from GPU to GPU.
    pub approximate: bool,
}

/// A module's kernels and variables.
pub struct Module {
    linked: Linked,
}

impl Module {
    /// The kernel of this name.
    pub fn kernel(&self, name: &str) -> Option<&Program> {
        self.linked.kernels.get(name)
    }

    /// Names of all kernels.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.linked.kernels.keys().map(String::as_str)
    }

    /// Source paths by number.
    pub(crate) fn files(&self) -> &HashMap<u32, String> {
        &self.linked.files
    }

    /// Address and size of a global or constant variable.
    pub fn variable(&self, name: &str) -> Option<(u64, usize)> {
        let found = self.linked.variables.iter().find(|(known, _, _)| known == name);
        found.map(|(_, address, bytes)| (*address, bytes.len()))
    }
}

/// Blocks, threads of a block, and bytes of dynamic shared memory of a launch.
#[derive(Clone, Copy, Debug)]
pub struct Dims {
    /// Blocks along x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block along x, y, z.
    pub block: [u32; 3],
    /// Bytes of shared memory beyond what the kernel declares.
    pub shared: usize,
}

impl Dims {
    /// `blocks` blocks of `threads` threads.
    pub fn new(blocks: u32, threads: u32) -> Self {
        Self { grid: [blocks, 1, 1], block: [threads, 1, 1], shared: 0 }
    }
}

impl Gpu {
    /// A GPU that pretends to be `device`.
    pub fn new(device: Device) -> Self {
        Self { machine: Machine::new(device), approximate: false }
    }

    /// Loads PTX.
    ///
    /// # Errors
    /// If the text is not PTX of the subset.
    pub fn load(&mut self, ptx: &str) -> Result<Module, Error> {
        self.link(&parse(ptx)?)
    }

    /// Loads a module that is parsed already.
    pub(crate) fn link(&mut self, module: &syntax::Module) -> Result<Module, Error> {
        let memory = &mut self.machine.memory;
        let mut full = false;
        let shared_base = u64::from(self.machine.device.shared_reserved());
        let linked = link(module, shared_base, |size| {
            memory.allocate(size).unwrap_or_else(|| {
                full = true;
                0
            })
        })?;
        if full {
            return Err(Error { line: 0, message: "the device has no memory for the module's variables".into() });
        }
        for program in linked.kernels.values() {
            if let (false, Some(error)) = (self.approximate, &program.inexact) {
                return Err(error.clone());
            }
        }
        for (_, address, bytes) in &linked.variables {
            let (segment, at) = self.machine.memory.find(*address, bytes.len()).expect("it was just allocated");
            segment.fill(at, bytes);
        }
        Ok(Module { linked })
    }

    /// Frees a module's variables.
    pub(crate) fn unload(&mut self, module: &Module) {
        for (_, address, _) in &module.linked.variables {
            self.machine.memory.free(*address);
        }
    }

    /// New memory; None if there is not enough.
    pub fn allocate(&mut self, size: usize) -> Option<u64> {
        self.machine.memory.allocate(size as u64)
    }

    /// Copies to the GPU; tells whether the bytes lie within one allocation.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        let found = self.machine.memory.find(address, bytes.len());
        found.map(|(segment, at)| segment.fill(at, bytes)).is_some()
    }

    /// Copies from the GPU; None if the bytes do not lie within one allocation.
    pub fn read(&mut self, address: u64, len: usize) -> Option<Vec<u8>> {
        let (segment, at) = self.machine.memory.find(address, len)?;
        Some(segment.bytes()[at..at + len].to_vec())
    }

    /// Runs a kernel to its end. `params` are the bytes of its parameters, laid out as the kernel declares them.
    ///
    /// # Errors
    /// The first fault that is found.
    ///
    /// # Panics
    /// If the module has no such kernel, or the parameters are too few bytes.
    pub fn launch(&mut self, module: &Module, kernel: &str, dims: Dims, params: &[u8]) -> Result<Counts, Box<Fault>> {
        let program = &module.linked.kernels[kernel];
        self.machine.launch(&Launch {
            program,
            files: &module.linked.files,
            grid: dims.grid,
            block: dims.block,
            dynamic_shared: dims.shared,
            params,
        })
    }
}
