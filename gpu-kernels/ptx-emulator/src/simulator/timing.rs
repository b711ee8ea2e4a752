//! The timing model, with fixed latencies, dependences between registers, and bank conflicts of shared memory.

use std::collections::HashMap;

use crate::program::{Action, Inst, Register};
use crate::ptx::syntax::Space;

/// Returns the name of an instruction's kind, and the cycles from its issue to the first use of its result.
///
/// The latencies are of the order that microbenchmarks of recent GPUs report. The latencies of divisions and square
/// roots stand for the instruction sequences that ptxas generates.
pub fn kind(inst: &Inst) -> (&'static str, u32) {
    let mnemonic = inst.mnemonic.as_str();
    let is = |prefix: &str| mnemonic.starts_with(prefix);
    let divides = is("div") || is("rem") || is("sqrt") || is("rcp");
    match &inst.action {
        Action::Load(access) | Action::Store(access) => match access.space {
            Space::Param | Space::Const => ("parameter, constant", 8),
            Space::Shared => ("shared memory", 24),
            Space::Local => ("local memory", 34),
            Space::Generic | Space::Global => ("global or generic memory", 250),
        },
        Action::Matrix(_) => ("product of matrices", 33),
        Action::MatrixAccess(_) => ("load or store of a matrix", 33),
        Action::Texture(_) => ("texture, surface", 400),
        Action::Shuffle(_)
        | Action::Vote { .. }
        | Action::Reduce { .. }
        | Action::Match { .. }
        | Action::ActiveMask { .. } => ("shuffle, vote", 24),
        Action::CopyAsync(_) => ("asynchronous copy", 250),
        Action::AsyncBarrier(_) | Action::ClusterArrive { .. } | Action::ClusterWait => ("barrier, fence", 20),
        Action::Elect { .. } => ("shuffle, vote", 24),
        Action::Atomic(_) | Action::Atomics(_) => ("atomic", 300),
        Action::Barrier(_) | Action::WarpSync { .. } | Action::Fence(_) => ("barrier, fence", 20),
        Action::Call { .. }
        | Action::CallPointer { .. }
        | Action::Return
        | Action::Copy { .. }
        | Action::System { .. } => ("call, return", 20),
        Action::Compute(_) if mnemonic.ends_with("f64") && !is("mov") => ("double precision", 16),
        Action::Compute(_) if divides && mnemonic.ends_with("f32") => ("division, square root", 40),
        Action::Compute(_) if divides => ("integer division", 100),
        Action::Compute(_) if is("cvt.") && mnemonic.contains(".f") => ("conversion", 12),
        _ => ("arithmetic, logic, comparison, move", 4),
    }
}

/// A time in cycles in two models. In the first, instructions wait for their dependences alone. In the second,
/// instructions also issue in order, one per cycle.
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
