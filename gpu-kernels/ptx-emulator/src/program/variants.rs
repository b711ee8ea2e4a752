//! All instructions that compute registers from registers, as the decoder accepts them: what tests must cover.
//!
//! They are found by asking the decoder itself. It says which modifiers it looks for after those that it has, so that no list
//! of them can fall behind; and it is tried with every combination of operands.

use std::collections::HashMap;

use super::builder::{Builder, Meaning};
use super::decode::ARITHMETIC;
use super::link::Symbols;
use super::operands::Modifiers;
use crate::ptx::syntax::{Instruction, Operand, Place};

/// An instruction that the decoder accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Opcode, modifiers and kinds of operands, the destination first, as in `setp.lt.and.f32 pred|pred,b32,b32,!pred`. A
    /// constant (`const`) is listed only as the last of five operands; elsewhere it may replace any source.
    pub form: String,
    /// Whether its result is the same on every GPU.
    pub exact: bool,
}

/// All variants, sorted.
pub fn variants() -> Vec<Variant> {
    let (symbols, functions) = (Symbols::default(), HashMap::new());
    let mut builder = Builder::new(&symbols, &functions);
    let (word, long, predicate) = (builder.new_word(0), builder.new_long(0), builder.new_predicate());
    for (name, reg, bits) in [("b16", word, 16), ("b32", word, 32), ("b64", long, 64), ("pred", predicate, 1)] {
        builder.frame.names.insert(name.into(), Meaning::Register(reg, bits));
    }
    let shapes = shapes();
    let mut found = Vec::new();
    for (opcode, _) in ARITHMETIC {
        visit(&mut builder, &shapes, opcode, &mut Vec::new(), &mut found);
    }
    found.sort_by(|a, b| a.form.cmp(&b.form));
    found
}

/// Operands and what they are called.
type Shape = (String, Vec<Operand>);

fn shapes() -> Vec<Shape> {
    let name = |name: &str| Operand::Name(name.into());
    let kind = |kind: &str| (kind.to_string(), name(kind));
    let registers = ["pred", "b16", "b32", "b64"].map(kind);
    let two = ("pred|pred".into(), Operand::Pair(Box::new(name("pred")), Box::new(name("pred"))));
    let vector =
        |kind: &str, n: usize| (format!("{{{}}}", [kind].repeat(n).join(",")), Operand::Vector(vec![name(kind); n]));
    let vectors = ["b16", "b32", "b64"].iter().flat_map(|kind| [vector(kind, 2), vector(kind, 4)]);
    let (negated, constant) = (("!pred".into(), Operand::Not("pred".into())), ("const".into(), Operand::Int(9)));
    // Destinations, then each of them with one source more, and so on.
    let extend = |shapes: &[Shape], more: &[(String, Operand)]| -> Vec<Shape> {
        let pairs = shapes.iter().flat_map(|shape| more.iter().map(move |operand| (shape, operand)));
        let longer = |operands: &Vec<Operand>, operand: &Operand| operands.iter().chain([operand]).cloned().collect();
        pairs.map(|((text, all), (kind, operand))| (format!("{text},{kind}"), longer(all, operand))).collect()
    };
    let single = |operands: &[(String, Operand)]| -> Vec<Shape> {
        operands.iter().map(|(text, operand)| (text.clone(), vec![operand.clone()])).collect()
    };
    let vectors: Vec<_> = vectors.collect();
    let mut shapes = extend(&single(&registers), &vectors);
    shapes.extend(extend(&single(&vectors), &registers));
    let mut shorter = single(&registers);
    shorter.extend(single(&[two]));
    for sources in 1..=4 {
        let mut last = registers.to_vec();
        last.push(negated.clone());
        if sources == 4 {
            last.push(constant.clone());
        }
        shapes.extend(extend(&shorter, &last));
        shorter = extend(&shorter, &registers);
    }
    shapes
}

/// Adds the variants whose mnemonics begin like this.
fn visit(builder: &mut Builder, shapes: &[Shape], opcode: &str, modifiers: &mut Vec<String>, found: &mut Vec<Variant>) {
    let family = ARITHMETIC.iter().find(|(name, _)| *name == opcode).expect("the opcode is one of these").1;
    let instruction = Instruction {
        guard: None,
        opcode: opcode.into(),
        modifiers: modifiers.clone(),
        operands: Vec::new(),
        line: 0,
        place: Place::default(),
    };
    let mut asked = Modifiers::of(&instruction);
    let _ = family(builder, opcode, &mut asked, &[]);
    if asked.complete {
        for (kinds, operands) in shapes {
            builder.inexact = None;
            if family(builder, opcode, &mut Modifiers::of(&instruction), operands).is_ok() {
                let exact = builder.inexact.is_none();
                found.push(Variant { form: format!("{} {kinds}", instruction.mnemonic()), exact });
            }
        }
    }
    asked.wanted.sort();
    asked.wanted.dedup();
    for name in asked.wanted {
        modifiers.push(name);
        visit(builder, shapes, opcode, modifiers, found);
        modifiers.pop();
    }
    builder.reads.clear();
    builder.writes.clear();
}
