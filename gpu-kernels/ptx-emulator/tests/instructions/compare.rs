//! Comparison and selection (PTX ISA, section 9.7.6).

use std::cmp::Ordering;

use rustc_apfloat::ieee::{Double, Single};

use crate::case::Case;
use crate::oracle::{Format, WIDTHS, flush, register, rows_of, value};
use crate::values::Rows;

/// A comparison by its name, and whether the comparison holds for less, equal, greater and unordered operands.
type Operator = (&'static str, [bool; 4]);

/// The comparisons of all types (section 9.3.1).
const EQUALITY: [Operator; 2] = [("eq", [false, true, false, false]), ("ne", [true, false, true, false])];
/// The comparisons of all types but untyped bits.
const ORDER: [Operator; 4] = [
    ("lt", [true, false, false, false]),
    ("le", [true, true, false, false]),
    ("gt", [false, false, true, false]),
    ("ge", [false, true, true, false]),
];
/// The comparisons of unsigned integers alone.
const UNSIGNED: [Operator; 4] = [
    ("lo", [true, false, false, false]),
    ("ls", [true, true, false, false]),
    ("hi", [false, false, true, false]),
    ("hs", [false, true, true, false]),
];
/// The comparisons of floating point alone, which include tests for a NaN (section 9.3.2).
const UNORDERED: [Operator; 8] = [
    ("equ", [false, true, false, true]),
    ("neu", [true, false, true, true]),
    ("ltu", [true, false, false, true]),
    ("leu", [true, true, false, true]),
    ("gtu", [false, false, true, true]),
    ("geu", [false, true, true, true]),
    ("num", [true, true, true, false]),
    ("nan", [false, false, false, true]),
];

/// Returns the comparisons of a type.
pub fn operators(typ: &str) -> Vec<Operator> {
    let more: &[&[Operator]] = match &typ[..1] {
        "f" => &[&ORDER, &UNORDERED],
        "u" => &[&ORDER, &UNSIGNED],
        "s" => &[&ORDER],
        _ => &[],
    };
    EQUALITY.iter().chain(more.iter().copied().flatten()).copied().collect()
}

/// Returns the order of two values of a type, or `None` if one is a NaN.
fn order(typ: &str, a: u64, b: u64) -> Option<Ordering> {
    match typ {
        "f32" => Single::of(a).partial_cmp(&Single::of(b)),
        "f64" => Double::of(a).partial_cmp(&Double::of(b)),
        typ => Some(value(typ, a).cmp(&value(typ, b))),
    }
}

/// Returns each type with each of its operators. The flag is for `.ftz`, which only `f32` may have.
fn comparisons() -> Vec<(&'static str, Operator, bool)> {
    let integers = ["b16", "u16", "s16", "b32", "u32", "s32", "b64", "u64", "s64"];
    let mut all = Vec::new();
    for typ in integers.into_iter().chain(["f32", "f64"]) {
        for operator in operators(typ) {
            all.push((typ, operator, false));
            if typ == "f32" {
                all.push((typ, operator, true));
            }
        }
    }
    all
}

/// Returns whether a comparison holds for the operands `x`.
fn holds(typ: &str, satisfied: [bool; 4], ftz: bool, x: &[u64]) -> bool {
    let [a, b] = if ftz { [flush(x[0]), flush(x[1])] } else { [x[0], x[1]] };
    satisfied[match order(typ, a, b) {
        Some(Ordering::Less) => 0,
        Some(Ordering::Equal) => 1,
        Some(Ordering::Greater) => 2,
        None => 3,
    }]
}

/// The combinations of a comparison with a predicate.
pub const COMBINATIONS: [(&str, fn(bool, bool) -> bool); 3] =
    [("and", |p, c| p & c), ("or", |p, c| p | c), ("xor", |p, c| p ^ c)];

/// Adds the cases of `setp`.
fn setp(cases: &mut Vec<Case>) {
    for (typ, (name, satisfied), ftz) in comparisons() {
        let (r, rows, modifier) = (register(typ), rows_of(typ), if ftz { ".ftz" } else { "" });
        for (d, two) in [("pred", false), ("pred|pred", true)] {
            // The second destination gets the negated comparison, combined by the same operator (section 9.7.6.2).
            let results = move |p: bool, q: bool| u64::from(p) | if two { u64::from(q) << 1 } else { 0 };
            cases.push(Case::new(format!("setp.{name}{modifier}.{typ} {d},{r},{r}"), rows, move |x| {
                let p = holds(typ, satisfied, ftz, x);
                results(p, !p)
            }));
            for (combination, combine) in COMBINATIONS {
                for c in ["pred", "!pred"] {
                    let form = format!("setp.{name}.{combination}{modifier}.{typ} {d},{r},{r},{c}");
                    cases.push(
                        Case::new(form, rows, move |x| {
                            let p = holds(typ, satisfied, ftz, x);
                            results(combine(p, x[2] == 1), combine(!p, x[2] == 1))
                        })
                        .sparse(),
                    );
                }
            }
        }
    }
}

/// Returns the cases of `testp`, which look at the exponent and the fraction (section 9.7.3.1).
fn classes<F: Format>() -> Vec<Case> {
    let exponents = (1u64 << (F::BITS as u32 - 1 - F::MANTISSA)) - 1;
    let parts = move |bits: u64| (bits >> F::MANTISSA & exponents, bits & ((1 << F::MANTISSA) - 1));
    let classes: [(&str, fn(u64, u64, u64) -> bool); 6] = [
        ("finite", |exponent, _, most| exponent < most),
        ("infinite", |exponent, fraction, most| exponent == most && fraction == 0),
        ("number", |exponent, fraction, most| exponent < most || fraction == 0),
        ("notanumber", |exponent, fraction, most| exponent == most && fraction != 0),
        ("normal", |exponent, _, most| exponent > 0 && exponent < most),
        ("subnormal", |exponent, fraction, _| exponent == 0 && fraction != 0),
    ];
    let case = |(name, holds): (&str, fn(u64, u64, u64) -> bool)| {
        Case::new(format!("testp.{name}.{} pred,b{}", F::TYPE, F::BITS), rows_of(F::TYPE), move |x| {
            let (exponent, fraction) = parts(x[0]);
            u64::from(holds(exponent, fraction, exponents))
        })
    };
    classes.map(case).into()
}

/// Returns all cases of this file.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    setp(&mut cases);
    cases.extend(classes::<Single>());
    cases.extend(classes::<Double>());
    for (typ, (name, satisfied), ftz) in comparisons() {
        for (dtype, yes) in [("u32", 0xffff_ffff), ("s32", 0xffff_ffff), ("f32", 0x3f80_0000)] {
            let (r, modifier) = (register(typ), if ftz { ".ftz" } else { "" });
            let form = format!("set.{name}{modifier}.{dtype}.{typ} b32,{r},{r}");
            cases.push(Case::new(form, rows_of(typ), move |x| if holds(typ, satisfied, ftz, x) { yes } else { 0 }));
            for (combination, combine) in COMBINATIONS {
                for c in ["pred", "!pred"] {
                    let form = format!("set.{name}.{combination}{modifier}.{dtype}.{typ} b32,{r},{r},{c}");
                    cases.push(
                        Case::new(form, rows_of(typ), move |x| {
                            if combine(holds(typ, satisfied, ftz, x), x[2] == 1) { yes } else { 0 }
                        })
                        .sparse(),
                    );
                }
            }
        }
    }
    for width in WIDTHS {
        for kind in ["b", "u", "s", "f"] {
            if kind == "f" && width == 16 {
                continue;
            }
            let selp = format!("selp.{kind}{width} b{width},b{width},b{width},pred");
            cases.push(Case::new(selp, Rows::Integers, |x| if x[2] == 1 { x[0] } else { x[1] }));
            {
                let slct = format!("slct.{kind}{width}.s32 b{width},b{width},b{width},b32");
                cases.push(Case::new(slct, Rows::Integers, |x| if value("s32", x[2]) >= 0 { x[0] } else { x[1] }));
                for ftz in [false, true] {
                    let form = format!(
                        "slct{}.{kind}{width}.f32 b{width},b{width},b{width},b32",
                        if ftz { ".ftz" } else { "" }
                    );
                    // A NaN selects the second operand.
                    cases.push(Case::new(form, Rows::Floats, move |x| {
                        let c = if ftz { flush(x[2]) } else { x[2] };
                        let order = order("f32", c, 0);
                        if matches!(order, Some(Ordering::Equal | Ordering::Greater)) { x[0] } else { x[1] }
                    }));
                }
            }
        }
    }
    cases
}
