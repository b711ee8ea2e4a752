//! Comparisons of `f16`, `bf16` and pairs of them (PTX ISA, section 9.7.7).

use super::compare::{COMBINATIONS, FLOAT, operator, satisfied};
use super::decoder::{Decoded, Decoder};
use super::forms::Table;
use super::half::HalfMode;
use super::half_format::{BF16, F16, HalfFormat};
use super::lanes::Negatable;
use crate::ptx::syntax::Operand;

/// Adds the forms of this file.
pub(super) fn forms(table: &mut Table) {
    for (typ, format, ftz) in [("f16", F16, ".ftz?"), ("bf16", BF16, "")] {
        table.add(&format!("setp.{FLOAT}.and|or|xor?{ftz}.{typ}"), move |i| setp(i, format));
        table.add(&format!("setp.{FLOAT}.and|or|xor?{ftz}.{typ}x2"), move |i| setp_pair(i, format));
        // `set` gives all ones or the value 1 where the comparison holds.
        let one = if typ == "f16" { 0x3c00 } else { 0x3f80 };
        for (dtypes, yes) in [(typ, one), ("u16|s16", 0xffff)] {
            table.add(&format!("set.{FLOAT}{ftz}.{dtypes}.{typ}"), move |i| {
                let holds = holds(i, format);
                i.compute(move |a: u16, b: u16| if holds(a, b) { yes } else { 0u16 })
            });
        }
        table.add(&format!("set.{FLOAT}{ftz}.u32|s32.{typ}"), move |i| {
            let holds = holds(i, format);
            i.compute(move |a: u16, b: u16| if holds(a, b) { u32::MAX } else { 0 })
        });
        let pair = format!("{typ}x2");
        for (dtypes, yes) in [(pair.as_str(), u32::from(one)), ("u32|s32", 0xffff)] {
            table.add(&format!("set.{FLOAT}{ftz}.{dtypes}.{pair}"), move |i| {
                let holds = holds(i, format);
                let half = move |a: u32, b: u32, at: u32| {
                    if holds((a >> at) as u16, (b >> at) as u16) { yes << at } else { 0 }
                };
                i.compute(move |a: u32, b: u32| half(a, b, 0) | half(a, b, 16))
            });
        }
    }
}

/// Returns whether the comparison of an instruction holds for two values.
fn holds(i: &Decoder, format: HalfFormat) -> impl Fn(u16, u16) -> bool + Copy + Send + Sync + 'static {
    let (mode, operator) = (HalfMode::of(i, format), operator(i));
    move |a, b| satisfied(operator, mode.input(a), mode.input(b))
}

/// Decodes `setp` of two values, like that of other types.
fn setp(i: &mut Decoder, format: HalfFormat) -> Decoded {
    let (holds, two) = (holds(i, format), matches!(i.operands, [Operand::Pair(_), ..]));
    let Some(combine) = combination(i) else {
        return if two { i.compute(move |a: u16, b: u16| [holds(a, b), !holds(a, b)]) } else { i.compute(holds) };
    };
    if two {
        return i.compute(move |a: u16, b: u16, Negatable(c): Negatable| {
            [combine(holds(a, b), c), combine(!holds(a, b), c)]
        });
    }
    i.compute(move |a: u16, b: u16, Negatable(c): Negatable| combine(holds(a, b), c))
}

/// Decodes `setp` of two pairs. The first predicate is for the lower halves, the second for the upper ones.
fn setp_pair(i: &mut Decoder, format: HalfFormat) -> Decoded {
    let holds = holds(i, format);
    let both = move |a: u32, b: u32| [0, 16].map(|at| holds((a >> at) as u16, (b >> at) as u16));
    match combination(i) {
        None => i.compute(both),
        Some(combine) => i.compute(move |a: u32, b: u32, Negatable(c): Negatable| both(a, b).map(|p| combine(p, c))),
    }
}

/// Returns the combination of a comparison with a predicate, if the instruction has one.
fn combination(i: &Decoder) -> Option<impl Fn(bool, bool) -> bool + Copy + Send + Sync + 'static> {
    let table = i.one_of(&COMBINATIONS)?;
    Some(move |p: bool, c: bool| table >> (2 * u8::from(p) + u8::from(c)) & 1 == 1)
}
