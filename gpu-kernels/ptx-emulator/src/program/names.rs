//! What names mean, and registers for constants.

use super::builder::{Builder, Meaning};
use super::{NEVER, Reg, Special};
use crate::ptx::syntax::Space;

impl Builder<'_> {
    pub(super) fn new_label(&mut self) -> usize {
        self.labels.push(NEVER);
        self.labels.len() - 1
    }

    pub(super) fn label(&mut self, name: &str) -> usize {
        if let Some(label) = self.frame.labels.get(name) {
            return *label;
        }
        let label = self.new_label();
        self.frame.labels.insert(name.to_string(), label);
        label
    }

    pub(super) fn table(&self, name: &str) -> Option<Vec<String>> {
        self.frame.tables.get(name).cloned()
    }

    pub(super) fn meaning(&self, name: &str) -> Option<Meaning> {
        let shared = || self.shared.get(name).map(|address| Meaning::Address(Space::Shared, *address));
        let module = || self.symbols.addresses.get(name).map(|(space, at)| Meaning::Address(*space, *at));
        self.frame.names.get(name).copied().or_else(shared).or_else(module)
    }

    pub(super) fn new_predicate(&mut self) -> Reg {
        self.program.registers.predicates.push(0);
        Reg::Predicate(self.program.registers.predicates.len() - 1)
    }

    pub(super) fn new_word(&mut self, value: u32) -> Reg {
        self.program.registers.words.push([value; 32]);
        Reg::Word(self.program.registers.words.len() - 1)
    }

    pub(super) fn new_long(&mut self, value: u64) -> Reg {
        self.program.registers.longs.push([value; 32]);
        Reg::Long(self.program.registers.longs.len() - 1)
    }

    /// The slot of a constant predicate.
    pub(super) fn constant_predicate(&mut self, value: bool) -> usize {
        self.program.registers.predicates.push(if value { u32::MAX } else { 0 });
        self.program.registers.predicates.len() - 1
    }

    /// The slot of a constant word.
    pub(super) fn constant_word(&mut self, value: u32) -> usize {
        if !self.words.contains_key(&value) {
            self.new_word(value);
            self.words.insert(value, self.program.registers.words.len() - 1);
        }
        self.words[&value]
    }

    /// The slot of a constant of 64 bits.
    pub(super) fn constant_long(&mut self, value: u64) -> usize {
        if !self.longs.contains_key(&value) {
            self.new_long(value);
            self.longs.insert(value, self.program.registers.longs.len() - 1);
        }
        self.longs[&value]
    }

    /// The word that holds a special register.
    pub(super) fn special(&mut self, special: Special) -> usize {
        let known = self.program.specials.iter().find(|(_, s)| *s == special);
        if let Some((slot, _)) = known {
            return *slot;
        }
        self.new_word(0);
        let slot = self.program.registers.words.len() - 1;
        self.program.specials.push((slot, special));
        slot
    }
}
