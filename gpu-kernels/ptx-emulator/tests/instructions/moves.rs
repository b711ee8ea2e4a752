//! Moves (PTX ISA, sections 9.7.9.3 and 9.7.9.4).

use crate::case::Case;
use crate::values::Rows;

/// Returns all cases of this file.
pub fn cases() -> Vec<Case> {
    let types = ["b16", "u16", "s16", "b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64"];
    let plain = types.map(|typ| format!("mov.{typ} {r},{r}", r = format!("b{}", &typ[1..])));
    // The first part holds the lowest bits, so the concatenated parts equal the register.
    let parts = ["b32 b32,{b16,b16}", "b64 b64,{b32,b32}", "b64 b64,{b16,b16,b16,b16}"];
    let packs = parts.map(|part| format!("mov.{part}"));
    let unpacks = parts.map(|part| {
        let (typ, operands) = part.split_once(' ').expect("a type and operands");
        let (whole, vector) = operands.split_once(',').expect("two operands");
        format!("mov.{typ} {vector},{whole}")
    });
    let forms = plain.into_iter().chain(packs).chain(unpacks).chain(["mov.pred pred,pred".into()]);
    forms.map(|form| Case::new(form, Rows::Integers, |x| x[0])).collect()
}
