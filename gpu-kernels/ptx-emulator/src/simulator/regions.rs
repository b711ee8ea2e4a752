//! A bound of the cycles of a block, from the work between its barriers.
//!
//! A region is the work of a block between two barriers of all of its threads. It takes at least as long as the fullest of
//! the multiprocessor's partitions issues, one instruction a cycle, as the longest chain of dependent instructions, and as
//! the rounds of shared memory. The bound of a block is the sum over its regions. It holds for the instructions of the PTX,
//! of which ptxas joins some and splits others.
//!
//! In a chain, an instruction only waits for those that it depends on, because ptxas reorders instructions. It does so between
//! two branches, and a load in a loop waits for the last iteration's use of its own load. So the table also has the cycles
//! of the slowest warp if each warp issues the PTX in order, which is too many where ptxas reorders.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;

use super::timing::{CLASSES, Cycles, class};
use crate::program::{Action, Inst, Program, Register};

/// The partitions of a multiprocessor, each of which issues the instructions of every fourth warp.
const PARTITIONS: usize = 4;

/// The work of a block since its last barrier.
#[derive(Default)]
pub struct Region {
    /// The number of instructions of each class that each partition has issued.
    issued: [[u64; CLASSES.len()]; PARTITIONS],
    /// The number of instructions of each partition that compute addresses alone.
    addresses: [u64; PARTITIONS],
    /// The rounds of shared memory without bank conflicts, and those that conflicts add.
    rounds: [u64; 2],
    /// The time at which the region began.
    pub(super) start: Cycles,
}

impl Region {
    /// Counts an instruction of a warp.
    pub fn issue(&mut self, warp: u32, class: usize, is_address: bool) {
        let partition = warp as usize % PARTITIONS;
        self.issued[partition][class] += 1;
        self.addresses[partition] += u64::from(is_address);
    }

    /// Counts the rounds of an access to shared memory.
    pub fn access_shared(&mut self, rounds: [u64; 2]) {
        self.rounds.iter_mut().zip(rounds).for_each(|(sum, rounds)| *sum += rounds);
    }
}

/// The lower bound of a block's cycles, with the bounds of imagined variants of its kernel.
#[derive(Clone, Debug, Default)]
pub struct Bound {
    /// The number of regions.
    pub regions: u64,
    /// The sum over the regions.
    pub cycles: u64,
    /// The sums over the regions of the instructions of the fullest partition, of the longest chains, and of the rounds of
    /// shared memory.
    pub parts: [u64; 3],
    /// The bound of each variant.
    variants: [u64; VARIANTS],
    /// The sums of the regions that end at one instruction, with the index of the barrier, or with that of the first
    /// instruction that is not there for those that end with the block.
    by_end: BTreeMap<usize, RegionSum>,
}

/// The sums over the regions of a block that end at the same instruction.
#[derive(Clone, Debug, Default)]
struct RegionSum {
    /// The number of regions.
    regions: u64,
    /// The sum of the bounds.
    cycles: u64,
    /// The sums of the parts, as in [`Bound::parts`].
    parts: [u64; 3],
    /// The sum of the cycles of the slowest warps, if each warp issues in order.
    in_order: u64,
    /// The number of instructions of all partitions, by class, and of those that compute addresses alone.
    issued: [u64; CLASSES.len()],
    addresses: u64,
}

/// The names of the variants that leave something out. The other variants leave out a class of instructions.
const IMAGINED: [&str; 4] =
    ["no bank conflicts", "no address arithmetic", "instructions spread evenly over partitions", "no dependences"];

/// The reason why a write into a string cannot fail.
const ANY_TEXT: &str = "a string takes any text";

/// The number of variants.
const VARIANTS: usize = IMAGINED.len() + CLASSES.len();

impl Bound {
    /// Adds a region with the cycles of its slowest warp, which ends at the instruction of index `end`.
    pub(super) fn add(&mut self, region: &Region, [chain, in_order]: Cycles, end: usize) {
        let issued = region.issued.map(|classes| classes.iter().sum::<u64>());
        let fullest = |issued: [u64; PARTITIONS]| issued.into_iter().max().unwrap_or(0);
        let less = |leaves_out: [u64; PARTITIONS]| {
            fullest(std::array::from_fn(|partition| issued[partition] - leaves_out[partition]))
        };
        let [rounds, conflicts] = region.rounds;
        let (issue, shared) = (fullest(issued), rounds + conflicts);
        let cycles = issue.max(chain).max(shared);
        let even = issued.iter().sum::<u64>().div_ceil(PARTITIONS as u64);
        let imagined: [u64; IMAGINED.len()] = [
            issue.max(chain).max(rounds),
            less(region.addresses).max(chain).max(shared),
            even.max(chain).max(shared),
            issue.max(shared),
        ];
        let without_class = (0..CLASSES.len()).map(|class| {
            let issue = less(region.issued.map(|classes| classes[class]));
            issue.max(chain).max(shared)
        });
        if cycles > 0 {
            let sum = self.by_end.entry(end).or_default();
            sum.regions += 1;
            sum.cycles += cycles;
            add(&mut sum.parts, &[issue, chain, shared]);
            sum.in_order += in_order;
            region.issued.iter().for_each(|classes| add(&mut sum.issued, classes));
            sum.addresses += region.addresses.iter().sum::<u64>();
        }
        self.regions += u64::from(cycles > 0);
        self.cycles += cycles;
        add(&mut self.parts, &[issue, chain, shared]);
        self.variants
            .iter_mut()
            .zip(imagined.into_iter().chain(without_class))
            .for_each(|(sum, cycles)| *sum += cycles);
    }

    /// Returns the variants of the kernel, each with the cycles that it saves, those that save most first.
    pub fn savings(&self) -> Vec<(String, u64)> {
        let classes = CLASSES.iter().map(|class| format!("no {}", class.name));
        let names = IMAGINED.iter().map(|name| (*name).to_owned()).chain(classes);
        let mut savings: Vec<_> = names.zip(self.variants.map(|cycles| self.cycles - cycles)).collect();
        savings.retain(|(_, saved)| *saved > 0);
        savings.sort_by_key(|(_, saved)| std::cmp::Reverse(*saved));
        savings
    }

    /// Returns the bound as a human-readable table, which is empty if the launch was not timed. `end` returns the line of
    /// the PTX at which a region ends and the op of the barrier there, or `None` for a region that ends with the block.
    pub(super) fn table<'a>(&self, end: impl Fn(usize) -> Option<(u32, &'a str)>) -> String {
        if self.regions == 0 {
            return String::new();
        }
        let [issue, chain, shared] = self.parts;
        let mut text = format!(
            "bound of the slowest block: {} cycles in {} regions (issue {issue}, chain {chain}, shared memory {shared})\n",
            self.cycles, self.regions
        );
        writeln!(
            text,
            "{:<44} {:>9} {:>10} {:>10} {:>10} {:>10} {:>10} {:>12} {:>10}  most of them",
            "region", "times", "cycles", "issue", "chain", "shared", "in order", "instructions", "addresses"
        )
        .expect(ANY_TEXT);
        for (&at, sum) in &self.by_end {
            let name =
                end(at).map_or_else(|| "up to the end".to_owned(), |(line, op)| format!("up to PTX line {line}, {op}"));
            let RegionSum { regions, cycles, parts: [issue, chain, shared], in_order, issued, addresses } = sum;
            let mut classes: Vec<_> = CLASSES.iter().zip(issued).filter(|(_, count)| **count > 0).collect();
            classes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            let most: Vec<_> = classes.iter().take(4).map(|(class, count)| format!("{} {count}", class.name)).collect();
            writeln!(
                text,
                "{name:<44} {regions:>9} {cycles:>10} {issue:>10} {chain:>10} {shared:>10} {in_order:>10} {:>12} {addresses:>10}  {}",
                issued.iter().sum::<u64>(),
                most.join(", ")
            )
            .expect(ANY_TEXT);
        }
        for (name, saved) in self.savings() {
            let share = 100.0 * saved as f64 / self.cycles as f64;
            writeln!(text, "{name:<44} saves {saved:>12} cycles, {share:>5.1} %").expect(ANY_TEXT);
        }
        text + "\n"
    }
}

/// Adds each number to the sum at its index.
fn add(sums: &mut [u64], numbers: &[u64]) {
    sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
}

/// Returns for each instruction its class, and whether it computes addresses alone.
pub fn classes(program: &Program) -> Vec<(usize, bool)> {
    let addresses = address_arithmetic(program);
    program.code.iter().enumerate().map(|(pc, inst)| (class(inst), addresses.contains(&pc))).collect()
}

/// Returns the instructions whose results reach addresses of accesses alone.
fn address_arithmetic(program: &Program) -> HashSet<usize> {
    let code = &program.code;
    let mut readers: HashMap<Register, Vec<usize>> = HashMap::new();
    for (pc, inst) in code.iter().enumerate() {
        inst.reads.iter().for_each(|register| readers.entry(*register).or_default().push(pc));
    }
    let is_compute = |inst: &Inst| matches!(inst.action, Action::Compute(_)) && !inst.writes.is_empty();
    let mut found: HashSet<usize> =
        code.iter().enumerate().filter(|(_, inst)| is_compute(inst)).map(|(pc, _)| pc).collect();
    // An instruction is out if a result of it has another use. Those that it reads from are looked at again.
    loop {
        let is_address = |reader: usize, register: Register| {
            let slot = program.slots.get(&register).copied().unwrap_or(register);
            match &code[reader].action {
                Action::Load(access) => access.base == Some(slot),
                Action::Store(access) => access.base == Some(slot) && !access.elements.contains(&slot),
                _ => found.contains(&reader),
            }
        };
        let only_addresses = |register: &Register| {
            readers.get(register).is_some_and(|readers| readers.iter().all(|&reader| is_address(reader, *register)))
        };
        let kept: HashSet<usize> =
            found.iter().copied().filter(|&pc| code[pc].writes.iter().all(only_addresses)).collect();
        if kept.len() == found.len() {
            return kept;
        }
        found = kept;
    }
}
