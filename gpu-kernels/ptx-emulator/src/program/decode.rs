//! The decoding of instructions by the tables of their families, and the list of all variants in these tables.

use std::slice::from_ref;
use std::sync::LazyLock;

use super::canonical::canonical;
use super::decoder::{Decoded, Decoder};
use super::forms::Table;
use super::instruction::{Inst, NEVER};
use super::names::{Meaning, Names};
use super::{
    asynchronous, carry, compare, compare_half, control, convert, float, half, hints, integer, matrix, matrix_memory,
    memory, narrow, textures, video,
};
use crate::ptx::syntax::{Instruction, Operand};

/// The instructions that compute registers from registers, which [`variants`] lists.
static COMPUTE: LazyLock<Table> = LazyLock::new(|| {
    Table::of(&[
        integer::forms,
        float::forms,
        half::forms,
        compare::forms,
        compare_half::forms,
        convert::forms,
        narrow::forms,
    ])
});

/// All other instructions but `call`, which becomes several actions.
static OTHERS: LazyLock<Table> = LazyLock::new(|| {
    Table::of(&[
        memory::forms,
        control::forms,
        convert::address_forms,
        convert::space_forms,
        carry::forms,
        textures::forms,
        matrix::forms,
        matrix_memory::forms,
        asynchronous::forms,
        video::forms,
        hints::forms,
    ])
});

/// Returns the tables of all instructions but `call`.
pub(super) fn tables() -> [&'static Table; 2] {
    [&COMPUTE, &OTHERS]
}

/// Decodes an instruction without its source location. The text is the reason why the result differs between GPUs, or
/// `None` if all GPUs give the same result.
pub(super) fn decode(names: &mut Names, instruction: &Instruction) -> Decoded<(Inst, Option<&'static str>)> {
    let mnemonic = instruction.mnemonic();
    let instruction = &canonical(instruction);
    let (opcode, modifiers) = (&instruction.opcode, &instruction.modifiers);
    let forms = [&COMPUTE, &OTHERS].map(|table| table.find(opcode, modifiers));
    let best = forms.iter().position(|form| matches!(form, Some(Ok(_)))).or(forms.iter().position(Option::is_some));
    let form = best.and_then(|best| forms.into_iter().nth(best)?).ok_or("this instruction is not of the subset")??;
    let mut decoder = Decoder::new(names, instruction);
    let action = form.decode(&mut decoder)?;
    let mut guard = None;
    if let Some((name, negated)) = &instruction.guard {
        guard = Some((decoder.predicate(&Operand::Name(name.clone()))?, *negated));
    }
    let Decoder { reads, writes, inexact, .. } = decoder;
    let line = instruction.line;
    Ok((Inst { guard, action, mnemonic, line, source_location: 0, reads, writes, reconvergence: NEVER }, inexact))
}

/// An instruction that the decoder accepts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Variant {
    /// The opcode, modifiers and kinds of operands, the destination first, as in
    /// `setp.lt.and.f32 pred|pred,b32,b32,!pred`. A constant (`const`) is listed only as the last of five operands.
    /// Elsewhere it may replace any source.
    pub form: String,
    /// Whether the result is the same on every GPU.
    pub exact: bool,
}

/// Returns all variants, sorted. Tests must cover each variant. The list is complete, because the decoder is tried with
/// every combination of modifiers and operands.
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
        let Some(Ok(form)) = COMPUTE.find(opcode, &instruction.modifiers) else { continue };
        for (kinds, operands) in &shapes {
            instruction.operands.clone_from(operands);
            let mut decoder = Decoder::new(&mut names, &instruction);
            if form.decode(&mut decoder).is_ok() {
                let exact = decoder.inexact.is_none();
                found.push(Variant { form: format!("{} {kinds}", instruction.mnemonic()), exact });
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
    // The product appends every shape of the second list to every shape of the first.
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
