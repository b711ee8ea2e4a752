//! Comparison and selection (PTX ISA, section 9.7.6).

use super::decoder::{Decoded, Decoder};
use super::float::flush;
use super::forms::Table;
use super::lanes::{Negatable, Source};
use crate::ptx::syntax::Operand;

/// The comparison operators of sections 9.3.1 and 9.3.2, and whether each holds for less, equal, greater and unordered
/// operands. Two operands are unordered if one is a NaN.
const OPERATORS: [(&str, [bool; 4]); 18] = [
    ("eq", [false, true, false, false]),
    ("ne", [true, false, true, false]),
    ("lt", [true, false, false, false]),
    ("le", [true, true, false, false]),
    ("gt", [false, false, true, false]),
    ("ge", [false, true, true, false]),
    ("lo", [true, false, false, false]),
    ("ls", [true, true, false, false]),
    ("hi", [false, false, true, false]),
    ("hs", [false, true, true, false]),
    ("equ", [false, true, false, true]),
    ("neu", [true, false, true, true]),
    ("ltu", [true, false, false, true]),
    ("leu", [true, true, false, true]),
    ("gtu", [false, false, true, true]),
    ("geu", [false, true, true, true]),
    ("num", [true, true, true, false]),
    ("nan", [false, false, false, true]),
];
/// The combinations of a comparison `p` with a predicate `c`. Bit `2p + c` is the result.
pub(super) const COMBINATIONS: [(&str, u8); 3] = [("and", 0b1000), ("or", 0b1110), ("xor", 0b0110)];

/// The operators of untyped bits, of signed and unsigned integers, and of floating point.
const EQUALITY: &str = "eq|ne";
const SIGNED: &str = "eq|ne|lt|le|gt|ge";
const UNSIGNED: &str = "eq|ne|lt|le|gt|ge|lo|ls|hi|hs";
pub(super) const FLOAT: &str = "eq|ne|lt|le|gt|ge|equ|neu|ltu|leu|gtu|geu|num|nan";

/// Adds the forms of comparison and selection.
pub(super) fn forms(table: &mut Table) {
    comparisons(table, EQUALITY, "b16", |x: u16| x);
    comparisons(table, EQUALITY, "b32", |x: u32| x);
    comparisons(table, EQUALITY, "b64", |x: u64| x);
    comparisons(table, SIGNED, "s16", |x: i16| x);
    comparisons(table, SIGNED, "s32", |x: i32| x);
    comparisons(table, SIGNED, "s64", |x: i64| x);
    comparisons(table, UNSIGNED, "u16", |x: u16| x);
    comparisons(table, UNSIGNED, "u32", |x: u32| x);
    comparisons(table, UNSIGNED, "u64", |x: u64| x);
    comparisons(table, FLOAT, "f32", |x: f32| x);
    comparisons(table, FLOAT, "ftz.f32", flush);
    comparisons(table, FLOAT, "f64", |x: f64| x);
    table.lanes("selp.b16|u16|s16", |a: u16, b: u16, p: bool| if p { a } else { b });
    table.lanes("selp.b32|u32|s32|f32", |a: u32, b: u32, p: bool| if p { a } else { b });
    table.lanes("selp.b64|u64|s64|f64", |a: u64, b: u64, p: bool| if p { a } else { b });
    // `slct` selects `a` where `c` is not negative (section 9.7.6.4).
    table.lanes("slct.b32|u32|s32|f32.s32", |a: u32, b: u32, c: i32| if c >= 0 { a } else { b });
    table.lanes("slct.b64|u64|s64|f64.s32", |a: u64, b: u64, c: i32| if c >= 0 { a } else { b });
    table.lanes("slct.b32|u32|s32|f32.f32", |a: u32, b: u32, c: f32| if c >= 0.0 { a } else { b });
    table.lanes("slct.b64|u64|s64|f64.f32", |a: u64, b: u64, c: f32| if c >= 0.0 { a } else { b });
    table.lanes("slct.ftz.b32|u32|s32|f32.f32", |a: u32, b: u32, c: f32| if flush(c) >= 0.0 { a } else { b });
    table.lanes("slct.ftz.b64|u64|s64|f64.f32", |a: u64, b: u64, c: f32| if flush(c) >= 0.0 { a } else { b });
    table.lanes("slct.b16|u16|s16.s32", |a: u16, b: u16, c: i32| if c >= 0 { a } else { b });
    table.lanes("slct.b16|u16|s16.f32", |a: u16, b: u16, c: f32| if c >= 0.0 { a } else { b });
    table.lanes("slct.ftz.b16|u16|s16.f32", |a: u16, b: u16, c: f32| if flush(c) >= 0.0 { a } else { b });
    table.lanes("testp.finite.f32", |a: f32| a.is_finite());
    table.lanes("testp.infinite.f32", |a: f32| a.is_infinite());
    table.lanes("testp.number.f32", |a: f32| !a.is_nan());
    table.lanes("testp.notanumber.f32", |a: f32| a.is_nan());
    table.lanes("testp.normal.f32", |a: f32| a.is_normal());
    table.lanes("testp.subnormal.f32", |a: f32| a.is_subnormal());
    table.lanes("testp.finite.f64", |a: f64| a.is_finite());
    table.lanes("testp.infinite.f64", |a: f64| a.is_infinite());
    table.lanes("testp.number.f64", |a: f64| !a.is_nan());
    table.lanes("testp.notanumber.f64", |a: f64| a.is_nan());
    table.lanes("testp.normal.f64", |a: f64| a.is_normal());
    table.lanes("testp.subnormal.f64", |a: f64| a.is_subnormal());
}

/// Adds `setp` and `set` with these operators for operands of a type, whose values `prepare` maps first.
fn comparisons<T: Source + PartialOrd>(
    table: &mut Table,
    operators: &str,
    typ: &str,
    prepare: impl Fn(T) -> T + Copy + Send + Sync + 'static,
) {
    let holds = move |operator: [bool; 4]| move |a: T, b: T| satisfied(operator, prepare(a), prepare(b));
    table.add(&format!("setp.{operators}.and|or|xor?.{typ}"), move |i| setp(i, holds(operator(i))));
    let (ftz, typ) = typ.split_once('.').map_or(("", typ), |(_, typ)| (".ftz", typ));
    // `set` gives all ones or 1.0 where the comparison holds (section 9.7.6.1).
    for (dtypes, yes) in [("u32|s32", u32::MAX), ("f32", 1f32.to_bits())] {
        table.add(&format!("set.{operators}{ftz}.{dtypes}.{typ}"), move |i| {
            let holds = holds(operator(i));
            i.compute(move |a: T, b: T| if holds(a, b) { yes } else { 0 })
        });
        table.add(&format!("set.{operators}.and|or|xor{ftz}.{dtypes}.{typ}"), move |i| {
            let holds = holds(operator(i));
            let combination = i.one_of(&COMBINATIONS).expect("the form has a combination");
            i.compute(move |a: T, b: T, Negatable(c): Negatable| {
                let at = 2 * u8::from(holds(a, b)) + u8::from(c);
                if combination >> at & 1 == 1 { yes } else { 0 }
            })
        });
    }
}

/// Returns whether an operator holds for two values.
#[inline(always)]
pub(super) fn satisfied<T: PartialOrd + Copy>([less, equal, greater, unordered]: [bool; 4], a: T, b: T) -> bool {
    a < b && less || a == b && equal || a > b && greater || !(a <= b || a > b) && unordered
}

pub(super) fn operator(i: &Decoder) -> [bool; 4] {
    i.one_of(&OPERATORS).expect("the form has an operator")
}

/// Decodes `setp.op{.bool}{.ftz}.type p{|q}, a, b{, {!}c}` (section 9.7.6.2). Without `c`, `q` is the negation
/// of `p`. With `c`, `q` combines `c` with the negated comparison.
fn setp<T: Source>(i: &mut Decoder, holds: impl Fn(T, T) -> bool + Send + Sync + 'static) -> Decoded {
    let two = matches!(i.operands, [Operand::Pair(_), ..]);
    let Some(table) = i.one_of(&COMBINATIONS) else {
        return if two { i.compute(move |a: T, b: T| [holds(a, b), !holds(a, b)]) } else { i.compute(holds) };
    };
    let combine = move |p: bool, c: bool| table >> (2 * u8::from(p) + u8::from(c)) & 1 == 1;
    if two {
        return i.compute(move |a: T, b: T, Negatable(c): Negatable| {
            let p = holds(a, b);
            [combine(p, c), combine(!p, c)]
        });
    }
    i.compute(move |a: T, b: T, Negatable(c): Negatable| combine(holds(a, b), c))
}
