//! The profile of a launch, with executed instructions and modelled cycles.

use std::collections::{BTreeMap, HashMap};

use super::launch::Launch;
use super::regions::Bound;
use super::timing::{CLASSES, Cycles, class, later};
use crate::program::Program;

/// The counts of one instruction, or the sums over several.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// The number of times that a warp executed the instruction.
    pub executed: u64,
    /// The number of active lanes, summed over these executions.
    pub lanes: u64,
    /// The number of bytes read and written.
    pub bytes: u64,
    /// The number of extra rounds that bank conflicts of shared memory cost.
    pub conflicts: u64,
    /// The number of transactions with global memory, of 32 bytes each, or 0 if the launch was not timed.
    pub transactions: u64,
    /// The number of times that a branch diverged.
    pub divergent: u64,
    /// The number of times that a warp executed a barrier.
    pub barriers: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.executed += other.executed;
        self.lanes += other.lanes;
        self.bytes += other.bytes;
        self.conflicts += other.conflicts;
        self.transactions += other.transactions;
        self.divergent += other.divergent;
        self.barriers += other.barriers;
    }
}

/// The profile of a launch.
#[derive(Debug)]
pub struct Profile<'a> {
    launch: Launch<'a>,
    /// The counts of each instruction of the kernel.
    pub instructions: Vec<Counts>,
    /// The longest chain of dependent instructions of any block in cycles, or 0 if the launch was not timed.
    pub critical_path: u64,
    /// The cycles of the slowest block if each warp issues in order, or 0 if the launch was not timed.
    pub cycles: u64,
    /// The bound of the block that takes the longest by it, or an empty one if the launch was not timed.
    pub bound: Bound,
    /// The index of this block.
    slowest: u32,
}

impl<'a> Profile<'a> {
    /// Returns the empty profile of a launch.
    pub(super) fn new(launch: Launch<'a>) -> Self {
        let instructions = vec![Counts::default(); launch.program.code.len()];
        Self { launch, instructions, critical_path: 0, cycles: 0, bound: Bound::default(), slowest: 0 }
    }

    /// Includes block `index`, which ends at time `end`.
    pub(super) fn end_block(&mut self, end: Cycles, bound: &Bound, index: u32) {
        if self.launch.block.is_some_and(|block| block != index) {
            return;
        }
        [self.critical_path, self.cycles] = later([self.critical_path, self.cycles], end);
        // The first of equally slow blocks counts, in whatever order they end.
        let (cycles, slowest) = (self.bound.cycles, self.slowest);
        if bound.cycles > cycles || cycles > 0 && bound.cycles == cycles && index < slowest {
            (self.bound, self.slowest) = (bound.clone(), index);
        }
    }

    /// Includes the profile of other blocks of the launch.
    pub(super) fn include(&mut self, other: &Self) {
        self.instructions.iter_mut().zip(&other.instructions).for_each(|(sum, counts)| sum.add(counts));
        self.end_block([other.critical_path, other.cycles], &other.bound, other.slowest);
    }

    /// Returns the profile as a human-readable table, by kind of instruction and by op.
    ///
    /// An instruction belongs to the innermost file of its inline chain whose path contains one of the texts `ops`, or
    /// to the outermost file if no path does. Without any `ops`, it belongs to the innermost file. A `mod.rs` is never
    /// taken for an op, because it holds code that the ops of its folder share.
    pub fn table(&self, ops: &[impl AsRef<str>]) -> String {
        let program = self.launch.program;
        let mut by_kind: BTreeMap<&str, Counts> = BTreeMap::new();
        let mut by_op: BTreeMap<&str, Counts> = BTreeMap::new();
        let op_names = op_names(program, self.launch.files, ops);
        for ((inst, counts), op) in program.code.iter().zip(&self.instructions).zip(&op_names) {
            by_kind.entry(CLASSES[class(inst)].name).or_default().add(counts);
            by_op.entry(*op).or_default().add(counts);
        }
        let (blocks, threads) = (self.launch.dims.blocks().unwrap_or(0), self.launch.dims.threads().unwrap_or(0));
        let cycles = match self.launch.block.filter(|block| *block >= blocks) {
            Some(block) => format!("no cycles, because block {block} is beyond this grid"),
            None => format!(
                "longest chain of dependences {} cycles, slowest block in order {} cycles",
                self.critical_path, self.cycles
            ),
        };
        let mut text = format!("kernel `{}`: {blocks} blocks of {threads} threads\n{cycles}\n\n", program.name);
        for (title, rows) in [("kind", by_kind), ("op", by_op)] {
            let mut rows: Vec<_> = rows.into_iter().collect();
            rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.executed));
            text += &section(title, rows.iter().map(|(name, row)| (*name, row)));
        }
        text + &self.bound.table(|pc| Some((program.code.get(pc)?.line, *op_names.get(pc)?)))
    }

    /// Returns the profile as a human-readable table by source line, in the order of files and lines. An instruction belongs
    /// to the innermost line of its inline chain, or to its PTX line if the PTX names no source.
    pub fn lines(&self) -> String {
        let program = self.launch.program;
        let mut by_line: BTreeMap<(&str, u32), Counts> = BTreeMap::new();
        for (inst, counts) in program.code.iter().zip(&self.instructions) {
            let innermost = program.source_locations[inst.source_location].0.first();
            let source = innermost.and_then(|(file, line)| Some((self.launch.files.get(file)?.as_str(), *line)));
            by_line.entry(source.unwrap_or(("PTX", inst.line))).or_default().add(counts);
        }
        let names: Vec<_> = by_line.keys().map(|(file, line)| format!("{}:{line}", last(file, 30))).collect();
        section("line", names.iter().map(String::as_str).zip(by_line.values()))
    }
}

/// Returns a part of a table, with a row for each executed count.
fn section<'a>(title: &str, rows: impl Iterator<Item = (&'a str, &'a Counts)>) -> String {
    let mut text = format!(
        "{title:<36} {:>12} {:>7} {:>14} {:>12} {:>10} {:>10} {:>10}\n",
        "instructions", "lanes", "bytes", "transactions", "conflicts", "divergent", "barriers"
    );
    for (name, row) in rows.filter(|(_, row)| row.executed > 0) {
        let lanes = row.lanes as f64 / row.executed as f64;
        text += &format!(
            "{name:<36} {:>12} {lanes:>7.1} {:>14} {:>12} {:>10} {:>10} {:>10}\n",
            row.executed, row.bytes, row.transactions, row.conflicts, row.divergent, row.barriers
        );
    }
    text + "\n"
}

/// Returns the end of a path, whose last `len` bytes fit into a column.
fn last(path: &str, len: usize) -> &str {
    let start = path.len().saturating_sub(len);
    (start..path.len()).find_map(|start| path.get(start..)).unwrap_or(path)
}

/// Returns for each instruction the name of its op, as [`Profile::table`] describes it.
///
/// PTX without inline chains does not tell which op called a helper, so no op is guessed there.
fn op_names<'a>(program: &Program, files: &'a HashMap<u32, String>, ops: &[impl AsRef<str>]) -> Vec<&'a str> {
    let chained = program.source_locations.iter().any(|location| location.0.len() > 1);
    let is_op = |path: &&String| !path.ends_with("/mod.rs") && ops.iter().any(|op| path.contains(op.as_ref()));
    let names: Vec<&str> = program
        .source_locations
        .iter()
        .map(|location| {
            let paths = || location.0.iter().filter_map(|(file, _)| files.get(file));
            let op = if ops.is_empty() { paths().next() } else { paths().find(is_op) };
            let outermost = || paths().next_back().filter(|_| chained);
            let unknown = if location.0.is_empty() { "without a line" } else { "elsewhere" };
            op.or_else(outermost).map_or(unknown, |path| module_path(path))
        })
        .collect();
    program.code.iter().map(|inst| names[inst.source_location]).collect()
}

/// Returns the part of a path after its last `src/`, without `.rs`.
fn module_path(path: &str) -> &str {
    let path = path.rsplit_once("src/").map_or(path, |(_, path)| path);
    path.strip_suffix(".rs").unwrap_or(path)
}
