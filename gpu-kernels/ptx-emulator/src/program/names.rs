//! The names, labels and registers that a kernel's instructions refer to.

use std::collections::HashMap;

use super::instruction::{NEVER, Special};
use super::registers::{Register, Registers};
use crate::ptx::syntax::{Prototype, Space};

/// The meaning of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Register(Register),
    /// An address in a state space.
    Address(Space, u64),
}

/// The names of the function that is being built.
#[derive(Default)]
pub(super) struct Frame {
    /// The registers, variables and parameters.
    pub(super) names: HashMap<String, Meaning>,
    /// The labels, by index into [`Names::labels`].
    pub(super) labels: HashMap<String, usize>,
    /// The labels of each `.branchtargets`.
    pub(super) tables: HashMap<String, Vec<String>>,
    /// The prototypes of calls by pointer.
    pub(super) prototypes: HashMap<String, Prototype>,
    /// The label that `ret` jumps to, or `None` in the kernel itself.
    pub(super) end: Option<usize>,
}

/// The names, labels and registers of a kernel.
#[derive(Default)]
pub(super) struct Names {
    /// The names of the module's scope.
    pub(super) module: HashMap<String, Meaning>,
    /// The names of variables that are not supported, each with the reason.
    pub(super) missing: HashMap<String, String>,
    pub(super) frame: Frame,
    /// The instruction that each label stands before, or [`NEVER`] until the label is placed.
    pub(super) labels: Vec<usize>,
    /// The registers of a warp at its start.
    pub(super) registers: Registers,
    /// The special registers in use, and their slots.
    pub(super) specials: Vec<(usize, Special)>,
    /// Whether the kernel asks for the shared memory that the system reserves.
    pub(super) reserved_shared: bool,
    /// The slot of the carry.
    carry: Option<usize>,
    /// The slots of constants, by width in bits and value.
    constants: HashMap<(u32, u64), usize>,
}

impl Names {
    /// Returns the meaning of a name in the current function.
    pub(super) fn meaning(&self, name: &str) -> Option<Meaning> {
        self.frame.names.get(name).or_else(|| self.module.get(name)).copied()
    }

    pub(super) fn new_label(&mut self) -> usize {
        self.labels.push(NEVER);
        self.labels.len() - 1
    }

    /// Returns the label of this name in the current function.
    pub(super) fn label(&mut self, name: &str) -> usize {
        if let Some(label) = self.frame.labels.get(name) {
            return *label;
        }
        let label = self.new_label();
        self.frame.labels.insert(name.to_string(), label);
        label
    }

    /// Adds a register of at least `bits` bits that holds `value` in every lane.
    pub(super) fn new_register(&mut self, bits: u32, value: u64) -> Register {
        fn push<T>(file: &mut Vec<T>, value: T) -> usize {
            file.push(value);
            file.len() - 1
        }
        match bits {
            128 => {
                let low = push(&mut self.registers.b64, [value; 32]);
                push(&mut self.registers.b64, [0; 32]);
                Register::B128(low)
            }
            1 => Register::Predicate(push(&mut self.registers.predicates, if value == 0 { 0 } else { u32::MAX })),
            64 => Register::B64(push(&mut self.registers.b64, [value; 32])),
            32 => Register::B32(push(&mut self.registers.b32, [value as u32; 32])),
            _ => Register::B16(push(&mut self.registers.b32, [value as u32 & 0xffff; 32])),
        }
    }

    /// Returns the slot of the predicate that holds the carry of each lane.
    pub(super) fn carry(&mut self) -> usize {
        if let Some(slot) = self.carry {
            return slot;
        }
        let slot = self.new_register(1, 0).slot();
        self.carry = Some(slot);
        slot
    }

    pub(super) fn constant(&mut self, bits: u32, value: u64) -> usize {
        if let Some(slot) = self.constants.get(&(bits, value)) {
            return *slot;
        }
        let slot = self.new_register(bits, value).slot();
        self.constants.insert((bits, value), slot);
        slot
    }

    pub(super) fn special(&mut self, special: Special) -> usize {
        if let Some((slot, _)) = self.specials.iter().find(|(_, (name, _))| *name == special.0) {
            return *slot;
        }
        let slot = self.new_register(32, 0).slot();
        self.specials.push((slot, special));
        slot
    }
}
