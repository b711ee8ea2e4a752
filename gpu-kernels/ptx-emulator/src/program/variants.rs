//! All instructions that compute registers from registers, as the decoder accepts them. Tests must cover each.
//!
//! The decoder itself makes the list. It is tried with every combination of modifiers that its tables have, and with every
//! combination of operands, so that the list cannot fall behind.

use std::slice::from_ref;

use super::decode::{COMPUTE, decode};
use super::names::{Meaning, Names};
use crate::ptx::syntax::{Instruction, Operand};

/// An instruction that the decoder accepts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Variant {
    /// The opcode, modifiers and kinds of operands, the destination first, as in `setp.lt.and.f32 pred|pred,b32,b32,!pred`. A
    /// constant (`const`) is listed only as the last of five operands; elsewhere it may replace any source.
    pub form: String,
    /// Whether the result is the same on every GPU.
    pub exact: bool,
}

/// Returns all variants, sorted.
pub fn variants() -> Vec<Variant> {
    let mut names = Names::default();
    for (name, bits) in [("b16", 16), ("b32", 32), ("b64", 64), ("pred", 1)] {
        let register = names.new_register(bits, 0);
        names.frame.names.insert(name.into(), Meaning::Register(register));
    }
    let shapes = shapes();
    let mut found = Vec::new();
    for (opcode, modifiers) in COMPUTE.mnemonics() {
        let mut instruction = Instruction { opcode: opcode.into(), modifiers, ..Instruction::default() };
        for (kinds, operands) in &shapes {
            instruction.operands.clone_from(operands);
            if let Ok((inst, inexact)) = decode(&mut names, &instruction) {
                found.push(Variant { form: format!("{} {kinds}", inst.mnemonic), exact: inexact.is_none() });
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The operands of an instruction, and their kinds as [`Variant::form`] writes them.
type Shape = (String, Vec<Operand>);

/// Returns all combinations of operands that an instruction could have.
fn shapes() -> Vec<Shape> {
    let name = |kind: &str| Operand::Name(kind.into());
    let one = |kind: &str, operand: Operand| (kind.to_string(), vec![operand]);
    let vector = |kind: &str, n: usize| {
        let kinds = format!("{{{}}}", [kind].repeat(n).join(","));
        (kinds, vec![Operand::Vector(vec![name(kind); n])])
    };
    let registers = ["pred", "b16", "b32", "b64"].map(|kind| one(kind, name(kind)));
    let pair = one("pred|pred", Operand::Pair(Box::new([name("pred"), name("pred")])));
    let vectors: Vec<_> = ["b16", "b32", "b64"].iter().flat_map(|kind| [vector(kind, 2), vector(kind, 4)]).collect();
    let negated = one("!pred", Operand::Not("pred".into()));
    let constant = one("const", Operand::Int(9));
    // Appends every shape of the second list to every shape of the first.
    let product = |first: &[Shape], second: &[Shape]| -> Vec<Shape> {
        let join = |(a, x): &Shape, (b, y): &Shape| (format!("{a},{b}"), [&x[..], y].concat());
        first.iter().flat_map(|a| second.iter().map(move |b| join(a, b))).collect()
    };
    let mut shapes = [product(&registers, &vectors), product(&vectors, &registers)].concat();
    let mut shorter = [&registers[..], &[pair]].concat();
    for sources in 1..=4 {
        let mut last = [&registers[..], from_ref(&negated)].concat();
        if sources == 4 {
            last.push(constant.clone());
        }
        shapes.extend(product(&shorter, &last));
        shorter = product(&shorter, &registers);
    }
    shapes
}
