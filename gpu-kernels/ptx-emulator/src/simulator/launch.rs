//! The description of a launch.

use std::collections::HashMap;
use std::fmt;

use crate::program::Program;

/// The shape of a launch.
#[derive(Clone, Copy, Debug)]
pub struct Dims {
    /// Blocks along x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block along x, y, z.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory per block, in addition to what the kernel declares.
    pub shared: usize,
}

impl Dims {
    /// Returns a one-dimensional shape of `blocks` blocks of `threads` threads, without dynamic shared memory.
    pub fn new(blocks: u32, threads: u32) -> Self {
        Self { grid: [blocks, 1, 1], block: [threads, 1, 1], shared: 0 }
    }

    /// Returns the number of blocks, or `None` if it overflows.
    pub fn blocks(&self) -> Option<u32> {
        self.grid.iter().try_fold(1u32, |product, n| product.checked_mul(*n))
    }

    /// Returns the number of threads of a block, or `None` if it overflows.
    pub fn threads(&self) -> Option<u32> {
        self.block.iter().try_fold(1u32, |product, n| product.checked_mul(*n))
    }
}

/// A kernel with the shape and the settings of its launch.
#[derive(Clone, Copy)]
pub struct Launch<'a> {
    /// The kernel.
    pub program: &'a Program,
    /// The module's source files by the number that `.file` gives them.
    pub files: &'a HashMap<u32, String>,
    /// The shape of the grid.
    pub dims: Dims,
    /// The seed that permutes the order of blocks and warps, or 0 for ascending order.
    pub order: u64,
    /// Whether bank conflicts and cycles are modelled.
    pub timed: bool,
}

impl Launch<'_> {
    /// Returns a human-readable description of instruction `pc`: its PTX line, its mnemonic and its source lines.
    pub fn describe(&self, pc: usize) -> String {
        let inst = &self.program.code[pc];
        let mut text = format!("PTX line {}: `{}`", inst.line, inst.mnemonic);
        for (i, (file, line)) in self.program.source_locations[inst.source_location].0.iter().enumerate() {
            let file = self.files.get(file).map_or("?", String::as_str);
            let how = if i == 0 { "from" } else { "inlined at" };
            // The compiler writes line 0 for code that it merged from several lines.
            let line = if *line == 0 { String::new() } else { format!(":{line}") };
            text = format!("{text}\n    {how} {file}{line}");
        }
        text
    }
}

impl fmt::Debug for Launch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch").field("kernel", &self.program.name).field("dims", &self.dims).finish_non_exhaustive()
    }
}
