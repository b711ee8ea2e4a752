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
const TERNARY: [(&str, Function); 3] = [
    ("sad", |_, a, b, c| low((a - b).abs() + c)),
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

/// Returns field `i` of `bits` bits as an integer.
fn field(x: u64, i: u32, bits: u32, signed: bool) -> i128 {
    let value = i128::from(x >> (i * bits)) & ((1 << bits) - 1);
    if signed && value >> (bits - 1) == 1 { value - (1 << bits) } else { value }
}

/// Adds the multiplications of 24 bits and the dot products.
fn products(cases: &mut Vec<Case>) {
    let rows = Rows::Integers;
    for (typ, signed) in [("u32", false), ("s32", true)] {
        for (half, shift) in [("lo", 0), ("hi", 16)] {
            let product = move |x: &[u64]| (field(x[0], 0, 24, signed) * field(x[1], 0, 24, signed)) >> shift;
            cases.push(Case::new(format!("mul24.{half}.{typ} b32,b32,b32"), rows, move |x| low(product(x))));
            let sum = move |x: &[u64]| low(product(x) + i128::from(x[2]));
            cases.push(Case::new(format!("mad24.{half}.{typ} b32,b32,b32,b32"), rows, sum));
        }
        for (other, other_signed) in [("u32", false), ("s32", true)] {
            let four = move |x: &[u64]| {
                let product = |i| field(x[0], i, 8, signed) * field(x[1], i, 8, other_signed);
                low((0..4).map(product).sum::<i128>() + i128::from(x[2]))
            };
            cases.push(Case::new(format!("dp4a.{typ}.{other} b32,b32,b32,b32"), rows, four));
            for (half, first) in [("lo", 0), ("hi", 2)] {
                let two = move |x: &[u64]| {
                    let product = |i| field(x[0], i, 16, signed) * field(x[1], first + i, 8, other_signed);
                    low((0..2).map(product).sum::<i128>() + i128::from(x[2]))
                };
                cases.push(Case::new(format!("dp2a.{half}.{typ}.{other} b32,b32,b32,b32"), rows, two));
            }
        }
    }
    for (typ, signed) in [("u16x2", false), ("s16x2", true)] {
        let functions: [(&str, fn(i128, i128) -> i128); 3] = [
            ("add", |a, b| a + b),
            ("min", |a, b| if a < b { a } else { b }),
            ("max", |a, b| if a > b { a } else { b }),
        ];
        for (name, f) in functions {
            let both = move |x: &[u64], relu: bool| {
                let half = |i| f(field(x[0], i, 16, signed), field(x[1], i, 16, signed));
                let half = |i| if relu && half(i) < 0 { 0 } else { half(i) as u64 & 0xffff };
                half(0) | half(1) << 16
            };
            cases.push(Case::new(format!("{name}.{typ} b32,b32,b32"), rows, move |x| both(x, false)));
            if signed && name != "add" {
                cases.push(Case::new(format!("{name}.relu.{typ} b32,b32,b32"), rows, move |x| both(x, true)));
                let word = move |x: &[u64]| low(f(value("s32", x[0]), value("s32", x[1])).max(0));
                cases.push(Case::new(format!("{name}.relu.s32 b32,b32,b32"), rows, word));
            }
        }
    }
    let clamp = |sum: i128| low(sum.clamp(range("s32").0, range("s32").1));
    cases.push(Case::new("mad24.hi.sat.s32 b32,b32,b32,b32", rows, move |x| {
        // The upper 32 of 48 bits are a signed integer.
        clamp(value("s32", ((field(x[0], 0, 24, true) * field(x[1], 0, 24, true)) >> 16) as u64) + value("s32", x[2]))
    }));
    cases.push(Case::new("mad.hi.sat.s32 b32,b32,b32,b32", rows, move |x| {
        clamp(((value("s32", x[0]) * value("s32", x[1])) >> 32) + value("s32", x[2]))
    }));
}

/// Returns all cases of this file.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    products(&mut cases);
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
