//! Integer arithmetic (PTX ISA, section 9.7.1) against integers of 128 bits.

use crate::case::{Case, Expected};
use crate::oracle::{bits_of, range, register, value};
use crate::values::Rows;

/// A function of a type's name and up to three integers of the type.
type Function = fn(&'static str, i128, i128, i128) -> Expected;

/// Returns the lowest 64 bits of an integer.
fn low(integer: i128) -> Expected {
    Expected::Bits(integer as u64)
}

/// Returns a quotient or remainder.
fn divide(a: i128, b: i128, f: fn(i128, i128) -> i128) -> Expected {
    // Division by zero gives an unspecified value (section 9.7.1.7).
    if b == 0 { Expected::Unspecified } else { low(f(a, b)) }
}

/// The operations on one operand.
const UNARY: [(&str, Function); 2] = [("neg", |_, a, _, _| low(-a)), ("abs", |_, a, _, _| low(a.abs()))];

/// The operations on two operands.
const BINARY: [(&str, Function); 8] = [
    ("add", |_, a, b, _| low(a + b)),
    ("sub", |_, a, b, _| low(a - b)),
    ("mul.lo", |_, a, b, _| low(a.wrapping_mul(b))),
    ("mul.hi", |typ, a, b, _| low(a.wrapping_mul(b) >> bits_of(typ))),
    ("div", |_, a, b, _| divide(a, b, |a, b| a / b)),
    ("rem", |_, a, b, _| divide(a, b, |a, b| a % b)),
    ("min", |_, a, b, _| low(a.min(b))),
    ("max", |_, a, b, _| low(a.max(b))),
];

/// The operations on three operands.
const TERNARY: [(&str, Function); 2] = [
    ("mad.lo", |_, a, b, c| low(a.wrapping_mul(b).wrapping_add(c))),
    ("mad.hi", |typ, a, b, c| low((a.wrapping_mul(b) >> bits_of(typ)) + c)),
];

/// The operations that saturate.
const SATURATED: [(&str, Function); 2] = [
    ("add.sat", |typ, a, b, _| low((a + b).clamp(range(typ).0, range(typ).1))),
    ("sub.sat", |typ, a, b, _| low((a - b).clamp(range(typ).0, range(typ).1))),
];

/// Returns the case of an operation on a type.
fn case(form: String, typ: &'static str, f: Function) -> Case {
    Case::new(form, Rows::Integers, move |x| {
        let at = |i: usize| x.get(i).map_or(0, |bits| value(typ, *bits));
        f(typ, at(0), at(1), at(2))
    })
}

/// Returns all cases of this file.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for typ in ["u16", "s16", "u32", "s32", "u64", "s64"] {
        let r = register(typ);
        cases.extend(BINARY.map(|(name, f)| case(format!("{name}.{typ} {r},{r},{r}"), typ, f)));
        cases.extend(TERNARY.map(|(name, f)| case(format!("{name}.{typ} {r},{r},{r},{r}"), typ, f)));
        if typ.starts_with('s') {
            cases.extend(UNARY.map(|(name, f)| case(format!("{name}.{typ} {r},{r}"), typ, f)));
        }
        if bits_of(typ) < 64 {
            let d = format!("b{}", 2 * bits_of(typ));
            cases.push(case(format!("mul.wide.{typ} {d},{r},{r}"), typ, |_, a, b, _| low(a * b)));
            // The addend has the width of the product.
            let sum = move |x: &[u64]| low(value(typ, x[0]) * value(typ, x[1]) + i128::from(x[2]));
            cases.push(Case::new(format!("mad.wide.{typ} {d},{r},{r},{d}"), Rows::Integers, sum));
        }
    }
    cases.extend(SATURATED.map(|(name, f)| case(format!("{name}.s32 b32,b32,b32"), "s32", f)));
    cases
}
