//! What a launch executed, and how long a simple model says that it takes.

use std::collections::{BTreeMap, HashMap};

use crate::gpu::Dims;

use super::stages::stages;
use crate::program::{Action, Inst, Program, Register};
use crate::ptx::syntax::Space;

/// Cycles from an instruction's issue to its result's use: the model's table, of the order that microbenchmarks of
/// recent GPUs report. Division and root stand for the sequences that ptxas makes of them.
pub const LATENCIES: [(&str, u32); 12] = [
    ("arithmetic, logic, comparison, move", 4),
    ("conversion", 12),
    ("division, square root", 40),
    ("integer division", 100),
    ("double precision", 16),
    ("parameter, constant", 8),
    ("shared memory", 24),
    ("local memory", 34),
    ("global or generic memory", 250),
    ("shuffle, vote", 24),
    ("atomic", 300),
    ("barrier, fence", 20),
];

/// The row of [`LATENCIES`] that an instruction belongs to.
pub fn class(inst: &Inst) -> usize {
    let mnemonic = inst.mnemonic.as_str();
    let is = |prefix: &str| mnemonic.starts_with(prefix);
    match &inst.action {
        Action::Load(access) | Action::Store(access) => match access.space {
            Space::Param | Space::Const => 5,
            Space::Shared => 6,
            Space::Local => 7,
            Space::Generic | Space::Global => 8,
        },
        Action::Shuffle(_) | Action::Vote { .. } | Action::ActiveMask { .. } => 9,
        Action::Atomic(_) => 10,
        Action::Barrier(_) | Action::WarpSync { .. } | Action::Fence(_) => 11,
        Action::Compute(_) if mnemonic.ends_with("f64") && !is("mov") => 4,
        Action::Compute(_) if is("div") || is("rem") || is("sqrt") || is("rcp") => {
            if mnemonic.ends_with("f32") {
                2
            } else {
                3
            }
        }
        Action::Compute(_) if is("cvt.") && mnemonic.contains(".f") => 1,
        _ => 0,
    }
}

/// Counts by instruction of one launch.
#[derive(Debug, Default)]
pub struct Counts {
    /// Times that a warp executed it.
    pub executed: Vec<u64>,
    /// Lanes that took part in all of these.
    pub lanes: Vec<u64>,
    /// Times that a branch parted a warp.
    pub divergent: Vec<u64>,
    /// Rounds of shared memory beyond the first that bank conflicts cost.
    pub conflicts: Vec<u64>,
    /// Bytes read or written.
    pub bytes: Vec<u64>,
    /// Whether conflicts and cycles are wanted.
    pub timed: bool,
    /// Cycles of each instruction.
    pub latencies: Vec<u32>,
    /// The longest chain of dependent instructions of any block.
    pub path: u64,
    /// The cycles of the slowest block.
    pub cycles: u64,
}

impl Counts {
    /// No counts yet.
    pub fn new(program: &Program, timed: bool) -> Self {
        let zeros = || vec![0; program.code.len()];
        let latencies = program.code.iter().map(|inst| LATENCIES[class(inst)].1).collect();
        Self {
            executed: zeros(),
            lanes: zeros(),
            divergent: zeros(),
            conflicts: zeros(),
            bytes: zeros(),
            timed,
            latencies,
            path: 0,
            cycles: 0,
        }
    }
}

/// When a warp's registers are ready, by two models: dependences alone, and instructions issued in order, one a cycle.
#[derive(Clone, Default)]
pub struct Timing {
    /// `[path, cycles]` at which each register is ready.
    ready: HashMap<Register, [u64; 2]>,
    /// Nothing starts before this: the last barrier or branch.
    floor: [u64; 2],
    /// The end of the latest result.
    end: [u64; 2],
}

impl Timing {
    /// Takes an instruction into account.
    pub fn issue(&mut self, inst: &Inst, latency: u32) {
        let mut start = self.floor;
        for reg in &inst.reads {
            if let Some(ready) = self.ready.get(reg) {
                start = [start[0].max(ready[0]), start[1].max(ready[1])];
            }
        }
        let end = start.map(|start| start + u64::from(latency));
        for reg in &inst.writes {
            self.ready.insert(*reg, end);
        }
        self.end = [self.end[0].max(end[0]), self.end[1].max(end[1])];
        // In order: the next one issues a cycle later at the earliest.
        self.floor[1] = start[1] + 1;
        match inst.action {
            Action::Barrier(_) | Action::WarpSync { .. } => self.floor = self.end,
            Action::Branch { .. } | Action::Table { .. } => self.floor = [self.floor[0].max(end[0]), end[1]],
            _ => {}
        }
    }

    /// The model's time in cycles.
    pub fn now(&self) -> u64 {
        self.floor[1]
    }

    /// When all results are there: by dependences, in order.
    pub fn end(&self) -> [u64; 2] {
        self.end
    }

    /// Nothing starts before a barrier that ends then.
    pub fn wait(&mut self, until: [u64; 2]) {
        self.floor = [self.floor[0].max(until[0]), self.floor[1].max(until[1])];
        self.end = [self.end[0].max(until[0]), self.end[1].max(until[1])];
    }
}

/// Rounds beyond the first that lanes' accesses to shared memory take: 32 banks of four bytes, one word a bank a round,
/// the same word for any number of lanes at once. Wider accesses go by half or quarter warps.
pub fn conflicts(addresses: impl Iterator<Item = u64>, len: usize) -> u64 {
    let per_round = (128 / len.max(4)).min(32);
    let addresses: Vec<u64> = addresses.collect();
    let rounds = |group: &[u64]| {
        let mut words: Vec<u64> =
            group.iter().flat_map(|address| (0..len.div_ceil(4) as u64).map(move |i| address / 4 + i)).collect();
        words.sort_unstable();
        words.dedup();
        (0..32).map(|bank| words.iter().filter(|word| **word % 32 == bank).count() as u64).max().unwrap_or(0)
    };
    addresses.chunks(per_round).map(|group| rounds(group).saturating_sub(1)).sum()
}

/// One row of a table.
#[derive(Default)]
struct Row {
    executed: u64,
    lanes: u64,
    bytes: u64,
    conflicts: u64,
    divergent: u64,
    barriers: u64,
}

impl Counts {
    /// The table of a launch for a person: by kind of instruction, which tells the state spaces apart, and by stage. Barriers are
    /// counted for each warp.
    pub fn table(&self, program: &Program, files: &HashMap<u32, String>, dims: Dims) -> String {
        let mut kinds: BTreeMap<String, Row> = BTreeMap::new();
        let mut by_stage: BTreeMap<String, Row> = BTreeMap::new();
        let stages = stages(program, files);
        for pc in 0..program.code.len() {
            let kind = LATENCIES[class(&program.code[pc])].0;
            let barrier = matches!(program.code[pc].action, Action::Barrier(_));
            for row in [kinds.entry(kind.into()).or_default(), by_stage.entry(stages[pc].into()).or_default()] {
                row.executed += self.executed[pc];
                row.lanes += self.lanes[pc];
                row.bytes += self.bytes[pc];
                row.conflicts += self.conflicts[pc];
                row.divergent += self.divergent[pc];
                row.barriers += self.executed[pc] * u64::from(barrier);
            }
        }
        let blocks: u32 = dims.grid.iter().product();
        let threads: u32 = dims.block.iter().product();
        let mut text = format!(
            "kernel `{}`: {blocks} blocks of {threads} threads\n\
             longest chain of dependences {} cycles, slowest warp in order {} cycles\n\n",
            program.name, self.path, self.cycles
        );
        for (title, rows) in [("kind", kinds), ("stage", by_stage)] {
            text += &format!(
                "{title:<36} {:>12} {:>7} {:>14} {:>10} {:>10} {:>10}\n",
                "instructions", "lanes", "bytes", "conflicts", "divergent", "barriers"
            );
            let mut rows: Vec<_> = rows.into_iter().filter(|(_, row)| row.executed > 0).collect();
            rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.executed));
            for (name, row) in rows {
                let lanes = row.lanes as f64 / row.executed as f64;
                text += &format!(
                    "{name:<36} {:>12} {lanes:>7.1} {:>14} {:>10} {:>10} {:>10}\n",
                    row.executed, row.bytes, row.conflicts, row.divergent, row.barriers
                );
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bank_conflicts() {
        let strided = |stride: u64, len: usize| conflicts((0..32).map(|lane| lane * stride), len);
        assert_eq!(strided(4, 4), 0);
        assert_eq!(strided(0, 4), 0, "one word for all lanes");
        assert_eq!(strided(8, 4), 1);
        assert_eq!(strided(128, 4), 31);
        assert_eq!(strided(132, 4), 0);
        assert_eq!(strided(16, 16), 0, "quarter warps");
        assert_eq!(strided(128, 16), 4 * 7);
    }
}
