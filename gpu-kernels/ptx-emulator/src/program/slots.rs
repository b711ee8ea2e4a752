//! The slots of a kernel's registers in the files of a warp.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::ops::Range;

use super::instruction::Inst;
use super::liveness::{Mentions, intervals};
use super::names::{Meaning, Names};
use super::registers::Register;
use crate::ptx::syntax::{Body, Instruction, Operand, Statement};

/// The slots that registers share.
pub(super) struct Slots {
    /// The register with the slot of each name.
    pub(super) names: HashMap<String, Register>,
    /// The numbers of slots for predicates, in the file of 32 bits, and in the file of 64 bits.
    counts: [usize; 3],
}

impl Slots {
    /// Returns shared slots for the registers of a kernel without calls, or `None` if each register needs its own. `code` has
    /// the kernel's instructions, decoded with a slot for each register.
    pub(super) fn share(body: &Body, names: &Names, code: &[Inst]) -> Option<Self> {
        let mut registers: Vec<(&str, Register)> = names.frame.names.iter().filter_map(register).collect();
        registers.sort_unstable_by_key(|(name, register)| (register.slot(), *name));
        let numbers: HashMap<&str, usize> = registers.iter().enumerate().map(|(i, (name, _))| (*name, i)).collect();
        let instructions = body.statements.iter().filter_map(|statement| match statement {
            Statement::Instruction(instruction) => Some(instruction),
            Statement::Label(_) => None,
        });
        let mut mentions: Vec<Mentions> = instructions
            .zip(code)
            .map(|(instruction, inst)| find_mentions(instruction, inst, &numbers, &registers))
            .collect();
        // The last instruction is the exit after the body.
        mentions.push(Mentions::default());
        if mentions.len() != code.len() {
            return None;
        }
        let intervals = intervals(code, &mentions, registers.len())?;
        let mut slots = Self { names: HashMap::new(), counts: [0; 3] };
        for file in 0..3 {
            let members: Vec<usize> = (0..registers.len()).filter(|i| file_of(registers[*i].1) == Some(file)).collect();
            let (assigned, count) = colour(members.iter().map(|i| intervals[*i].clone()));
            slots.counts[file] = count;
            for (i, slot) in members.into_iter().zip(assigned) {
                slots.names.insert(registers[i].0.to_string(), with_slot(registers[i].1, slot));
            }
        }
        Some(slots)
    }

    /// Returns names whose files have the slots. Constants and special registers come after them.
    pub(super) fn new_names(&self) -> Names {
        let mut names = Names::default();
        for (bits, count) in [1, 32, 64].into_iter().zip(self.counts) {
            for _ in 0..count {
                names.new_register(bits, 0);
            }
        }
        names
    }

    /// Returns the slot of each register, where `names` gives every register its own.
    pub(super) fn of_registers(&self, names: &Names) -> HashMap<Register, Register> {
        let registers = names.frame.names.iter().filter_map(register);
        registers.filter_map(|(name, register)| Some((register, *self.names.get(name)?))).collect()
    }
}

fn register<'n>((name, meaning): (&'n String, &Meaning)) -> Option<(&'n str, Register)> {
    match meaning {
        Meaning::Register(register) => Some((name, *register)),
        Meaning::Address(..) => None,
    }
}

/// Returns the index of a register's file in [`Slots::counts`], or `None` for a register of two slots, which shares none.
fn file_of(register: Register) -> Option<usize> {
    match register {
        Register::Predicate(_) => Some(0),
        Register::B16(_) | Register::B32(_) => Some(1),
        Register::B64(_) => Some(2),
        Register::B128(_) => None,
    }
}

fn with_slot(register: Register, slot: usize) -> Register {
    match register {
        Register::Predicate(_) => Register::Predicate(slot),
        Register::B16(_) => Register::B16(slot),
        Register::B32(_) => Register::B32(slot),
        Register::B64(_) => Register::B64(slot),
        Register::B128(_) => Register::B128(slot),
    }
}

/// Returns a slot for each interval, so that overlapping ones have different slots, and the number of slots.
fn colour(intervals: impl Iterator<Item = Range<usize>>) -> (Vec<usize>, usize) {
    let intervals: Vec<_> = intervals.collect();
    let mut order: Vec<usize> = (0..intervals.len()).collect();
    order.sort_by_key(|i| intervals[*i].start);
    let (mut slots, mut count) = (vec![0; intervals.len()], 0);
    let mut free = BTreeSet::new();
    let mut taken: BinaryHeap<Reverse<(usize, usize)>> = BinaryHeap::new();
    for i in order {
        while let Some(Reverse((_, slot))) = taken.peek().filter(|taken| taken.0.0 <= intervals[i].start) {
            free.insert(*slot);
            taken.pop();
        }
        slots[i] = free.pop_first().unwrap_or_else(|| {
            count += 1;
            count - 1
        });
        taken.push(Reverse((intervals[i].end, slots[i])));
    }
    (slots, count)
}

/// Returns the registers that an instruction mentions. Any that is not known to be only written counts as read.
fn find_mentions(
    instruction: &Instruction,
    inst: &Inst,
    numbers: &HashMap<&str, usize>,
    registers: &[(&str, Register)],
) -> Mentions {
    let (mut first, mut others) = (Vec::new(), Vec::new());
    if let Some((operand, rest)) = instruction.operands.split_first() {
        names(operand, &mut first);
        for operand in rest {
            names(operand, &mut others);
        }
    }
    others.extend(instruction.guard.iter().map(|(name, _)| name.as_str()));
    let number = |name: &&str| numbers.get(name).copied();
    let mut mentions = Mentions { reads: others.iter().filter_map(number).collect(), writes: Vec::new() };
    for i in first.iter().filter_map(number) {
        let written = inst.writes.contains(&registers[i].1) && !inst.reads.contains(&registers[i].1);
        if written { &mut mentions.writes } else { &mut mentions.reads }.push(i);
    }
    mentions
}

/// Adds the names in an operand.
fn names<'a>(operand: &'a Operand, found: &mut Vec<&'a str>) {
    match operand {
        Operand::Name(name) | Operand::Not(name) | Operand::Offset(name, _) | Operand::Part(name, _) => {
            found.push(name);
        }
        Operand::Address(base, _) => names(base, found),
        Operand::Vector(list) | Operand::List(list) => list.iter().for_each(|operand| names(operand, found)),
        Operand::Pair(pair) => pair.iter().for_each(|operand| names(operand, found)),
        Operand::Special(_) | Operand::Int(_) | Operand::F32(_) | Operand::F64(_) => {}
    }
}
