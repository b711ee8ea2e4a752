//! The timing model, with fixed latencies, dependences between registers, and bank conflicts of shared memory.

use std::collections::HashMap;

use crate::program::{Action, Inst, Register};
use crate::ptx::syntax::Space;

/// A class of instructions in the timing model.
pub struct Class {
    /// The human-readable name.
    pub name: &'static str,
    /// The cycles from an instruction's issue to the first use of its result.
    pub latency: u32,
    /// The publication of the latency, or the reason of an estimate.
    pub source: &'static str,
}

/// The publications that the sources of [`CLASSES`] begin with, and what they are.
pub const PUBLICATIONS: [[&str; 2]; 4] = [
    ["PMC10448217", "an article at the library PubMed Central, with figures of V100, A100 and H100"],
    ["GPUs-ISA-Latencies", "measurements by Arafa et al., HPEC 2019, at github.com/NMSU-PEARL, in ALU/output"],
    ["gpu-arch-microbenchmark", "measurements of an RTX 2070, at github.com/sjfeng1999, in README.md"],
    ["Mesa", "NVIDIA's figures for Ampere and Ada, in src/nouveau/compiler/nak/sm80_instr_latencies.rs of Mesa"],
];

/// The source of the latency of most arithmetic.
const TABLE_3: &str = "PMC10448217, table 3";

/// Declares the classes, each with a constant for its index in [`CLASSES`].
macro_rules! classes {
    ($($index:ident: $name:literal, $latency:literal, $source:expr;)*) => {
        #[repr(usize)]
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "the variants are only indices")]
        enum Index { $($index),* }

        $(const $index: usize = Index::$index as usize;)*

        /// The classes of instructions.
        pub const CLASSES: [Class; [$($name),*].len()] =
            [$(Class { name: $name, latency: $latency, source: $source }),*];
    };
}

classes! {
    FLOAT: "float arithmetic", 4, TABLE_3;
    INTEGER: "integer arithmetic, logic", 4, TABLE_3;
    MOVE: "comparison, selection, move", 4, TABLE_3;
    CONVERSION: "conversion", 15, "an estimate, that of Mesa's opt_instr_sched_common.rs";
    DOUBLE: "double precision", 8, "GPUs-ISA-Latencies, DADD, DMUL and DFMA on TITAN V";
    DIVISION: "division, square root", 40, "an estimate of ptxas's sequence, ten dependent instructions";
    SPECIAL: "approximate function", 20, "GPUs-ISA-Latencies, between rsqrt (18) and rcp (23) on TITAN V";
    INTEGER_DIVISION: "integer division", 72, "GPUs-ISA-Latencies, div (71) and rem (72) on TITAN V";
    PARAMETER: "parameter, constant", 4, "gpu-arch-microbenchmark, first constant cache";
    SHARED: "shared memory", 24, "PMC10448217, table 3 (20), and an instruction for the address";
    LOCAL: "local memory", 32, "gpu-arch-microbenchmark, first cache";
    GLOBAL: "global or generic memory", 250, "PMC10448217, table 3, between the second cache (200) and memory (400)";
    TEXTURE: "texture, surface", 400, "PMC10448217, table 3, memory";
    ATOMIC: "atomic", 300, "PMC10448217, table 3, between the second cache (200) and memory (400)";
    COPY: "asynchronous copy", 250, "an estimate, that of global memory";
    MATRIX: "product of matrices", 18, "Mesa, a product of 16 by 8 by 16 before another one";
    MATRIX_ACCESS: "load or store of a matrix", 33, "an estimate, above that of shared memory";
    SHUFFLE: "shuffle, vote", 24, "an estimate, that of shared memory, whose pipe a shuffle takes";
    BARRIER: "barrier, fence", 20, "an estimate, below that of shared memory";
    CALL: "call, return", 20, "an estimate, five dependent instructions";
    BRANCH: "branch, exit", 4, TABLE_3;
}

/// Returns the index of an instruction's class in [`CLASSES`].
pub fn class(inst: &Inst) -> usize {
    match &inst.action {
        Action::Load(access) | Action::Store(access) => match access.space {
            Space::Param | Space::Const => PARAMETER,
            Space::Shared => SHARED,
            Space::Local => LOCAL,
            Space::Generic | Space::Global => GLOBAL,
        },
        Action::Matrix(_) => MATRIX,
        Action::MatrixAccess(_) => MATRIX_ACCESS,
        Action::Texture(_) => TEXTURE,
        Action::Shuffle(_)
        | Action::Vote { .. }
        | Action::Reduce { .. }
        | Action::Match { .. }
        | Action::Elect { .. }
        | Action::ActiveMask { .. } => SHUFFLE,
        Action::CopyAsync(_) => COPY,
        Action::Atomic(_) | Action::Atomics(_) => ATOMIC,
        Action::AsyncBarrier(_)
        | Action::ClusterArrive { .. }
        | Action::ClusterWait
        | Action::Barrier(_)
        | Action::WarpSync { .. }
        | Action::Fence(_) => BARRIER,
        Action::Call { .. }
        | Action::CallPointer { .. }
        | Action::Return
        | Action::Copy { .. }
        | Action::System { .. } => CALL,
        Action::Branch { .. } | Action::Table { .. } | Action::Exit | Action::Trap => BRANCH,
        Action::Clock { .. } | Action::Nothing => MOVE,
        Action::Compute(_) => compute_class(&inst.mnemonic),
    }
}

/// Returns the class of an instruction that only reads and writes registers.
fn compute_class(mnemonic: &str) -> usize {
    let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| mnemonic.starts_with(prefix));
    // The type of the operation ends the mnemonic. A comparison whose result is no predicate has two types.
    let is_float = mnemonic.rsplit('.').next().is_some_and(|last| last.starts_with('f') || last.starts_with("bf"));
    let divides = is(&["div.", "rem.", "sqrt.", "rcp."]);
    match () {
        () if mnemonic.ends_with("f64") && !is(&["mov."]) => DOUBLE,
        () if mnemonic.contains(".approx") => SPECIAL,
        () if divides && is_float => DIVISION,
        () if divides => INTEGER_DIVISION,
        () if is(&["cvt."]) && mnemonic.contains(".f") => CONVERSION,
        () if is(&["mov.", "set.", "setp.", "selp.", "slct.", "cvta.", "isspacep."]) => MOVE,
        () if is_float => FLOAT,
        () => INTEGER,
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

/// Returns the number of rounds that accesses of `len` bytes to shared memory take without bank conflicts, and the number
/// of rounds that conflicts add. A round serves one word from each of 32 banks of four bytes, to any number of lanes. Wider
/// accesses proceed by half or quarter warps.
///
/// A wider load takes half as many rounds if lanes `l` and `l ^ 1` have the same address for all `l`, or lanes `l` and
/// `l ^ 2`. This is what an engineer of NVIDIA says of compute capability 7 (developer forum, topic 77228).
pub fn shared_rounds(addresses: impl Iterator<Item = u64>, len: usize, is_load: bool) -> [u64; 2] {
    let addresses: Vec<u64> = addresses.collect();
    let is_paired = |bit: usize| (0..32).all(|lane| addresses[lane] == addresses[lane ^ bit]);
    let is_shared = is_load && addresses.len() == 32 && (is_paired(1) || is_paired(2));
    let per_round = (if is_shared { 256 } else { 128 } / len.max(4)).min(32);
    let rounds = |group: &[u64]| {
        let mut words: Vec<u64> =
            group.iter().flat_map(|address| (0..len.div_ceil(4) as u64).map(move |i| address / 4 + i)).collect();
        words.sort_unstable();
        words.dedup();
        (0..32).map(|bank| words.iter().filter(|word| **word % 32 == bank).count() as u64).max().unwrap_or(0)
    };
    let conflicts = addresses.chunks(per_round).map(|group| rounds(group).saturating_sub(1)).sum();
    [addresses.len().div_ceil(per_round) as u64, conflicts]
}

/// Returns the number of transactions that accesses of `len` bytes to global memory take. A transaction moves 32 bytes at a
/// multiple of 32, to any number of lanes.
pub fn transactions(addresses: impl Iterator<Item = u64>, len: usize) -> u64 {
    let sectors = |address: u64| address / 32..=(address + len.max(1) as u64 - 1) / 32;
    let mut sectors: Vec<u64> = addresses.flat_map(sectors).collect();
    sectors.sort_unstable();
    sectors.dedup();
    sectors.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_one_bank_conflict() {
        let strided = |stride: u64, len: usize| shared_rounds((0..32).map(|lane| lane * stride), len, true)[1];
        assert_eq!(strided(4, 4), 0);
        assert_eq!(strided(0, 4), 0, "all lanes read one word");
        assert_eq!(strided(8, 4), 1);
        assert_eq!(strided(128, 4), 31);
        assert_eq!(strided(132, 4), 0);
        assert_eq!(strided(16, 16), 0, "each quarter warp touches every bank once");
        assert_eq!(strided(128, 16), 4 * 7);
        assert_eq!(shared_rounds((0..5).map(|lane| 16 * lane), 16, true)[0], 1);
        assert_eq!(shared_rounds((0..32).map(|lane| 8 * lane), 8, true)[0], 2);
    }

    #[test]
    fn lanes_that_share_addresses_share_the_rounds_of_wide_loads() {
        let rounds = |address: fn(u64) -> u64, is_load| shared_rounds((0..32).map(address), 16, is_load);
        assert_eq!(rounds(|_| 64, true), [2, 0], "all lanes load one address");
        assert_eq!(rounds(|_| 64, false), [4, 0], "stores have no such rule");
        assert_eq!(rounds(|lane| lane / 16 * 32, true), [2, 0], "each half-warp loads one address");
        assert_eq!(rounds(|lane| lane / 2 * 16, true), [2, 0], "neighbours share an address");
        assert_eq!(rounds(|lane| (lane & !2) * 16, true)[0], 2, "lanes at a distance of two share an address");
        assert_eq!(rounds(|lane| lane / 2 * 128, true), [2, 2 * 7], "shared addresses conflict as well");
        assert_eq!(rounds(|lane| lane % 4 * 16, true)[0], 4, "lanes at a distance of four share an address");
        assert_eq!(shared_rounds((0..32).map(|_| 8), 8, true), [1, 0]);
    }

    /// The table is part of the meaning of each recorded bound, so a change of it has to be seen.
    #[test]
    fn each_latency_is_that_of_the_table_and_has_a_source() {
        let latencies = CLASSES.each_ref().map(|class| class.latency);
        assert_eq!(latencies, [4, 4, 4, 15, 8, 40, 20, 72, 4, 24, 32, 250, 400, 300, 250, 18, 33, 24, 20, 20, 4]);
        for Class { name, source, .. } in &CLASSES {
            let is_published = PUBLICATIONS.iter().any(|[publication, _]| source.starts_with(publication));
            assert!(is_published || source.starts_with("an estimate"), "{name}: {source}");
        }
    }

    #[test]
    fn a_class_holds_the_instructions_of_its_name() {
        let of = |mnemonic: &str| CLASSES[compute_class(mnemonic)].name;
        assert_eq!(of("fma.rn.f32"), "float arithmetic");
        assert_eq!(of("mad.lo.s32"), "integer arithmetic, logic");
        assert_eq!(of("and.b32"), "integer arithmetic, logic");
        assert_eq!(of("setp.lt.f32"), "comparison, selection, move");
        assert_eq!(of("mov.f64"), "comparison, selection, move");
        assert_eq!(of("div.rn.f32"), "division, square root");
        assert_eq!(of("rcp.approx.ftz.f32"), "approximate function");
        assert_eq!(of("rem.u64"), "integer division");
        assert_eq!(of("cvt.rn.f32.s32"), "conversion");
        assert_eq!(of("cvt.u64.u32"), "integer arithmetic, logic");
        assert_eq!(of("add.rn.f64"), "double precision");
    }
    #[test]
    fn lanes_share_transactions() {
        let strided = |stride: u64, len: usize| transactions((0..32).map(|lane| lane * stride), len);
        assert_eq!(strided(4, 4), 4);
        assert_eq!(strided(0, 4), 1, "all lanes read one word");
        assert_eq!(strided(32, 4), 32);
        assert_eq!(strided(16, 16), 16);
        assert_eq!(transactions([28].into_iter(), 8), 2, "an access can straddle two");
    }
}
