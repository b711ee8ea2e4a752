//! Decodes instructions by the tables of their families.

use std::sync::LazyLock;

use super::decoder::{Decoded, Decoder};
use super::forms::Table;
use super::instruction::{Inst, NEVER};
use super::names::Names;
use super::{bits, compare, control, convert, float, integer, memory};
use crate::ptx::syntax::{Instruction, Operand};

/// The instructions that compute registers from registers, which `variants` lists.
pub(super) static COMPUTE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table::default();
    for forms in [integer::forms, float::forms, bits::forms, compare::forms, convert::forms] {
        forms(&mut table);
    }
    table
});

/// All other instructions but `call`, which the builder inlines.
static OTHERS: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table::default();
    for forms in [memory::forms, control::forms, convert::address_forms] {
        forms(&mut table);
    }
    table
});

/// Decodes one instruction, but for its source location. The second value is the reason why its result differs between GPUs,
/// if it does.
///
/// # Errors
/// If the instruction is not of the subset, or a name is not declared.
pub(super) fn decode(names: &mut Names, instruction: &Instruction) -> Decoded<(Inst, Option<&'static str>)> {
    let (opcode, modifiers) = (&instruction.opcode, &instruction.modifiers);
    let form = COMPUTE.find(opcode, modifiers).or_else(|| OTHERS.find(opcode, modifiers));
    let form = form.ok_or("this instruction is not of the subset")??;
    let mut decoder = Decoder::new(names, instruction);
    let action = form.decode(&mut decoder)?;
    let mut guard = None;
    if let Some((name, negated)) = &instruction.guard {
        guard = Some((decoder.predicate(&Operand::Name(name.clone()))?, *negated));
    }
    let Decoder { reads, writes, inexact, .. } = decoder;
    let (mnemonic, line) = (instruction.mnemonic(), instruction.line);
    Ok((Inst { guard, action, mnemonic, line, source_location: 0, reads, writes, reconvergence: NEVER }, inexact))
}
