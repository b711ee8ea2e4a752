//! Video instructions, on bytes and words of a register (PTX ISA, section 9.7.18).

use super::decoder::{Decoded, Decoder};
use super::forms::Table;
use super::instruction::Action;
use crate::ptx::syntax::{Operand, Type};

/// An operation on two values.
type Function = fn(i64, i64) -> i64;

/// The scalar operations on two values.
const SCALAR: [(&str, Function); 5] = [
    ("vadd", |a, b| a + b),
    ("vsub", |a, b| a - b),
    ("vabsdiff", |a, b| (a - b).abs()),
    ("vmin", i64::min),
    ("vmax", i64::max),
];

/// The operations on each part of a register.
const PARTS: [(&str, Function); 6] = [
    ("vadd", |a, b| a + b),
    ("vsub", |a, b| a - b),
    ("vavrg", |a, b| (a + b + i64::from(a + b >= 0)) >> 1),
    ("vabsdiff", |a, b| (a - b).abs()),
    ("vmin", i64::min),
    ("vmax", i64::max),
];

const COMPARISONS: [(&str, Function); 6] = [
    ("eq", |a, b| (a == b).into()),
    ("ne", |a, b| (a != b).into()),
    ("lt", |a, b| (a < b).into()),
    ("le", |a, b| (a <= b).into()),
    ("gt", |a, b| (a > b).into()),
    ("ge", |a, b| (a >= b).into()),
];

/// Adds the forms of video instructions.
pub(super) fn forms(table: &mut Table) {
    let types = "u32|s32.u32|s32.u32|s32";
    for (name, function) in SCALAR {
        table.add(&format!("{name}.{types}.sat?.add|min|max?"), move |i| scalar(i, function));
    }
    let comparisons = "eq|ne|lt|le|gt|ge";
    table.add(&format!("vset.u32|s32.u32|s32.{comparisons}.add|min|max?"), |i| {
        let function = i.one_of(&COMPARISONS).expect("the form has a comparison");
        scalar(i, function)
    });
    for (name, function) in [("vshl", (|a, b| a << b) as Function), ("vshr", |a, b| a >> b)] {
        table.add(&format!("{name}.u32|s32.u32|s32.u32.sat?.clamp|wrap.add|min|max?"), move |i| scalar(i, function));
    }
    table.add("vmad.u32|s32.u32|s32.u32|s32.po?.sat?.shr7|shr15?", multiply_add);
    for (name, function) in PARTS {
        for count in [2, 4] {
            table.add(&format!("{name}{count}.{types}.sat?.add?"), move |i| parts(i, count, function));
        }
    }
    for count in [2, 4] {
        table.add(&format!("vset{count}.u32|s32.u32|s32.{comparisons}.add?"), move |i| {
            let function = i.one_of(&COMPARISONS).expect("the form has a comparison");
            parts(i, count, function)
        });
    }
}

/// A selected part of an operand.
#[derive(Clone, Copy)]
struct Selected {
    slot: usize,
    /// The first bit and the number of bits.
    at: u32,
    bits: u32,
    signed: bool,
}

impl Selected {
    /// Returns the value of the part in a word.
    fn of(self, word: u32) -> i64 {
        let bits = u64::from(word >> self.at) << (64 - self.bits);
        if self.signed { bits as i64 >> (64 - self.bits) } else { (bits >> (64 - self.bits)) as i64 }
    }
}

/// Returns the types of the operands, as whether they have signs.
fn signs(i: &Decoder) -> Vec<bool> {
    i.types().into_iter().map(|typ| matches!(typ, Type::S(_))).collect()
}

/// Returns the first bit and the width of a selector such as `b2` or `h1`.
fn selector(part: &str) -> Decoded<(u32, u32)> {
    match part {
        "b0" | "b1" | "b2" | "b3" => Ok((8 * (u32::from(part.as_bytes()[1]) - u32::from(b'0')), 8)),
        "h0" => Ok((0, 16)),
        "h1" => Ok((16, 16)),
        _ => Err(format!("`.{part}` selects no part of a register")),
    }
}

/// Decodes a source with an optional selector and a minus.
fn selected(i: &mut Decoder, operand: &Operand, signed: bool) -> Decoded<Selected> {
    let (operand, (at, bits)) = match operand {
        Operand::Part(name, part) => (Operand::Name(name.clone()), selector(part)?),
        operand => (operand.clone(), (0, 32)),
    };
    Ok(Selected { slot: i.source(&operand, 32)?, at, bits, signed })
}

/// The result of a scalar operation, before it is combined with the third operand.
#[derive(Clone, Copy)]
enum Combination {
    None,
    Add,
    Min,
    Max,
    /// The result replaces this part of the third operand.
    Insert(u32, u32),
}

/// Clamps a value to the range of a type of some bits.
fn clamped(value: i64, bits: u32, signed: bool) -> i64 {
    let (low, high) = if signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) };
    value.clamp(low, high)
}

/// Decodes `vop.dtype.atype.btype{.sat} d{.part}, a{.part}, b{.part}{, c}`, where the shifts and `vset` differ in their
/// types.
fn scalar(i: &mut Decoder, function: Function) -> Decoded {
    let signs = signs(i);
    // The result of `vset` has no type of its own, and the amount of a shift is unsigned.
    let compares = i.opcode == "vset";
    let [d_signed, a_signed, b_signed] = match signs[..] {
        [d, a, b] => [d, a, b],
        [a, b] => [false, a, b],
        _ => return Err("expected types".into()),
    };
    let operands = i.operands;
    let [d, a, b, rest @ ..] = operands else { return Err("expected a result and two sources".into()) };
    let (a, b) = (selected(i, a, a_signed)?, selected(i, b, b_signed)?);
    let third = rest.first().map(|c| i.source(c, 32)).transpose()?;
    let (d, combination) = match d {
        Operand::Part(name, part) => {
            let (at, bits) = selector(part)?;
            (Operand::Name(name.clone()), Combination::Insert(at, bits))
        }
        d => {
            let table = [("add", Combination::Add), ("min", Combination::Min), ("max", Combination::Max)];
            (d.clone(), i.one_of(&table).unwrap_or(Combination::None))
        }
    };
    if third.is_none() != matches!(combination, Combination::None) {
        return Err("expected a third source with `.add`, `.min`, `.max` or a selected part of the result".into());
    }
    let d = i.dest(&d, 32)?;
    let (saturates, wraps, clamps) = (i.has("sat"), i.has("wrap"), i.has("clamp"));
    Ok(Action::Compute(Box::new(move |registers, mask| {
        for lane in (0..32).filter(|lane| mask >> lane & 1 == 1) {
            let word = |slot: usize| registers.b32[slot][lane];
            let (x, mut y) = (a.of(word(a.slot)), b.of(word(b.slot)));
            if wraps || clamps {
                y = if wraps { y & 31 } else { y.min(32) };
            }
            let mut value = function(x, y);
            if saturates {
                let bits = if let Combination::Insert(_, bits) = combination { bits } else { 32 };
                value = clamped(value, bits, d_signed);
            }
            let result = value as u32;
            let c = third.map_or(0, word);
            let extended = |word: u32| if d_signed && !compares { i64::from(word as i32) } else { i64::from(word) };
            let combined = match combination {
                Combination::None => result,
                Combination::Add => result.wrapping_add(c),
                Combination::Min => extended(result).min(extended(c)) as u32,
                Combination::Max => extended(result).max(extended(c)) as u32,
                Combination::Insert(at, bits) => {
                    let field = (u32::MAX >> (32 - bits)) << at;
                    c & !field | result << at & field
                }
            };
            registers.b32[d][lane] = combined;
        }
    })))
}

/// Decodes `vmad.dtype.atype.btype{.po}{.sat}{.shift} d, a, b, c`.
fn multiply_add(i: &mut Decoder) -> Decoded {
    let signs = signs(i);
    let [d_signed, a_signed, b_signed] = signs[..] else { return Err("expected three types".into()) };
    let operands = i.operands;
    let [d, a, b, c] = operands else { return Err("expected four operands".into()) };
    let (a, b) = (selected(i, a, a_signed)?, selected(i, b, b_signed)?);
    let (c, d) = (i.source(c, 32)?, i.dest(d, 32)?);
    let shift = i.one_of(&[("shr7", 7), ("shr15", 15)]).unwrap_or(0);
    let (plus_one, saturates) = (i.has("po"), i.has("sat"));
    Ok(Action::Compute(Box::new(move |registers, mask| {
        for lane in (0..32).filter(|lane| mask >> lane & 1 == 1) {
            let word = |slot: usize| registers.b32[slot][lane];
            let addend = if a_signed || b_signed { i64::from(word(c) as i32) } else { i64::from(word(c)) };
            let product = i128::from(a.of(word(a.slot))) * i128::from(b.of(word(b.slot)));
            let sum = (product + i128::from(addend) + i128::from(plus_one)) >> shift;
            let sum = sum as i64;
            registers.b32[d][lane] = if saturates { clamped(sum, 32, d_signed) as u32 } else { sum as u32 };
        }
    })))
}

/// Returns the parts that a selector such as `h10` or `b3210` chooses, the last letter for the lowest part.
fn chosen(part: &str, count: usize, last: u8) -> Decoded<Vec<usize>> {
    let digits: Vec<u8> = part.bytes().skip(1).rev().map(|digit| digit.wrapping_sub(b'0')).collect();
    let kind = if count == 2 { 'h' } else { 'b' };
    if !part.starts_with(kind) || digits.len() != count || digits.iter().any(|digit| *digit > last) {
        return Err(format!("`.{part}` selects no parts of the registers"));
    }
    Ok(digits.into_iter().map(usize::from).collect())
}

/// Decodes `vopN.dtype.atype.btype{.sat|.add} d{.mask}, a{.asel}, b{.bsel}, c` on two or four parts.
fn parts(i: &mut Decoder, count: usize, function: Function) -> Decoded {
    let signs = signs(i);
    let [d_signed, a_signed, b_signed] = match signs[..] {
        [d, a, b] => [d, a, b],
        [a, b] => [false, a, b],
        _ => return Err("expected types".into()),
    };
    let operands = i.operands;
    let [d, a, b, c] = operands else { return Err("expected four operands".into()) };
    // Selectors number the parts of `a` first and then those of `b`.
    let last = 2 * count as u8 - 1;
    let mut source = |operand: &Operand, default: usize| {
        let (operand, parts) = match operand {
            Operand::Part(name, part) => (Operand::Name(name.clone()), chosen(part, count, last)?),
            operand => (operand.clone(), (default..default + count).collect()),
        };
        Ok::<_, String>((i.source(&operand, 32)?, parts))
    };
    let ((a, a_parts), (b, b_parts)) = (source(a, 0)?, source(b, count)?);
    let (d, written) = match d {
        Operand::Part(name, part) => {
            let kind = if count == 2 { 'h' } else { 'b' };
            let digits: Option<Vec<usize>> = part.strip_prefix(kind).and_then(|digits| {
                digits.chars().map(|digit| digit.to_digit(10).map(|digit| digit as usize)).collect()
            });
            let digits = digits.filter(|digits| digits.iter().all(|digit| *digit < count));
            (Operand::Name(name.clone()), digits.ok_or_else(|| format!("`.{part}` is no mask of parts"))?)
        }
        d => (d.clone(), (0..count).collect()),
    };
    let (c, d) = (i.source(c, 32)?, i.dest(&d, 32)?);
    let (bits, saturates, adds) = (32 / count as u32, i.has("sat"), i.has("add"));
    Ok(Action::Compute(Box::new(move |registers, mask| {
        for lane in (0..32).filter(|lane| mask >> lane & 1 == 1) {
            let word = |slot: usize| registers.b32[slot][lane];
            let both = u64::from(word(b)) << 32 | u64::from(word(a));
            let value = |part: usize, signed: bool| {
                let shifted = (both >> (part as u32 * bits)) << (64 - bits);
                if signed { shifted as i64 >> (64 - bits) } else { (shifted >> (64 - bits)) as i64 }
            };
            let mut result = word(c);
            for part in &written {
                let found = function(value(a_parts[*part], a_signed), value(b_parts[*part], b_signed));
                let found = if saturates { clamped(found, bits, d_signed) } else { found };
                if adds {
                    result = result.wrapping_add(found as u32);
                } else {
                    let (at, field) = (*part as u32 * bits, (1u32 << bits) - 1);
                    result = result & !(field << at) | (found as u32 & field) << at;
                }
            }
            registers.b32[d][lane] = result;
        }
    })))
}
