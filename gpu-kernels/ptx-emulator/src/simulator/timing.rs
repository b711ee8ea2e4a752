//! The timing model, with fixed latencies, dependences between registers, and bank conflicts of shared memory.

use std::collections::HashMap;

use crate::program::{Action, Inst, Register};
use crate::ptx::syntax::Space;

/// The kinds of instructions with the cycles from issue to the first use of the result.
///
/// The latencies are of the order that microbenchmarks of recent GPUs report. Those of divisions and square roots stand
/// for the instruction sequences that ptxas generates.
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

/// Returns the index in [`LATENCIES`] of an instruction's kind.
pub fn kind(inst: &Inst) -> usize {
    let mnemonic = inst.mnemonic.as_str();
    let is = |prefix: &str| mnemonic.starts_with(prefix);
    let divides = is("div") || is("rem") || is("sqrt") || is("rcp");
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
        Action::Compute(_) if divides && mnemonic.ends_with("f32") => 2,
        Action::Compute(_) if divides => 3,
        Action::Compute(_) if is("cvt.") && mnemonic.contains(".f") => 1,
        _ => 0,
    }
}

/// A time in cycles if instructions wait for dependences alone, and if they also issue in order, one per cycle.
pub type Cycles = [u64; 2];

/// Returns the later of two times in each model.
pub fn later(a: Cycles, b: Cycles) -> Cycles {
    [a[0].max(b[0]), a[1].max(b[1])]
}

/// The progress of a warp in the timing model.
#[derive(Clone, Default)]
pub struct Timing {
    /// The time at which each register is ready.
    ready: HashMap<Register, Cycles>,
    /// The earliest start of the next instruction, which barriers and branches move.
    floor: Cycles,
    /// The time at which all results are ready.
    pub end: Cycles,
}

impl Timing {
    pub fn issue(&mut self, inst: &Inst, latency: u32) {
        let start = inst.reads.iter().filter_map(|reg| self.ready.get(reg)).copied().fold(self.floor, later);
        let end = start.map(|start| start + u64::from(latency));
        for reg in &inst.writes {
            self.ready.insert(*reg, end);
        }
        self.end = later(self.end, end);
        self.floor[1] = start[1] + 1;
        match inst.action {
            Action::Barrier(_) | Action::WarpSync { .. } => self.floor = self.end,
            Action::Branch { .. } | Action::Table { .. } => self.floor = [self.floor[0].max(end[0]), end[1]],
            _ => {}
        }
    }

    /// Returns the cycle at which the next instruction can issue in order.
    pub fn now(&self) -> u64 {
        self.floor[1]
    }

    /// Waits for a barrier that ends at `until`.
    pub fn wait(&mut self, until: Cycles) {
        self.floor = later(self.floor, until);
        self.end = later(self.end, until);
    }
}

/// Returns the number of rounds beyond the first that accesses of `len` bytes to shared memory take. A round serves one
/// word from each of 32 banks of four bytes, to any number of lanes. Wider accesses proceed by half or quarter warps.
pub fn bank_conflicts(addresses: impl Iterator<Item = u64>, len: usize) -> u64 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_one_bank_conflict() {
        let strided = |stride: u64, len: usize| bank_conflicts((0..32).map(|lane| lane * stride), len);
        assert_eq!(strided(4, 4), 0);
        assert_eq!(strided(0, 4), 0, "all lanes read one word");
        assert_eq!(strided(8, 4), 1);
        assert_eq!(strided(128, 4), 31);
        assert_eq!(strided(132, 4), 0);
        assert_eq!(strided(16, 16), 0, "each quarter warp touches every bank once");
        assert_eq!(strided(128, 16), 4 * 7);
    }
}
