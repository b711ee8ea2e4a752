//! Conversions (PTX ISA, section 9.7.9.21).

use rustc_apfloat::ieee::{Double, Single};
use rustc_apfloat::{Float, FloatConvert, Round};

use crate::case::{Case, Expected, cut};
use crate::oracle::{Format, ROUNDINGS, bits_of, flush, is_signed, range, register, rows_of, saturate, value};

/// The integer types.
const INTEGERS: [&str; 8] = ["u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"];

/// Returns the modifiers that round to an integral value.
fn integral() -> [(String, Round); 4] {
    ROUNDINGS.map(|(name, round)| (format!("{name}i"), round))
}

/// Returns the kinds of registers that may hold a type. An integer may be in a wider register (section 9.4.1).
fn registers(typ: &str) -> Vec<String> {
    let wide_enough = |bits: &u32| *bits >= bits_of(typ);
    if typ.starts_with('f') {
        return vec![register(typ)];
    }
    [16, 32, 64].iter().filter(|bits| wide_enough(bits)).map(|bits| format!("b{bits}")).collect()
}

/// Returns the integer, converted to type `dtype` and extended to 64 bits.
fn placed(dtype: &str, integer: i128) -> Expected {
    let bits = cut(integer as u64, bits_of(dtype));
    Expected::Bits(if is_signed(dtype) { value(dtype, bits) as u64 } else { bits })
}

/// Adds a case for each pair of registers.
fn on_registers(
    cases: &mut Vec<Case>,
    modifiers: &str,
    [dtype, atype]: [&str; 2],
    f: impl Fn(u64) -> Expected + Copy + 'static,
) {
    for d in registers(dtype) {
        for a in registers(atype) {
            let form = format!("cvt{modifiers}.{dtype}.{atype} {d},{a}");
            cases.push(Case::new(form, rows_of(atype), move |x| f(x[0])));
        }
    }
}

/// Adds the conversions between integers.
fn between_integers(cases: &mut Vec<Case>) {
    for dtype in INTEGERS {
        for atype in INTEGERS {
            on_registers(cases, "", [dtype, atype], move |x| placed(dtype, value(atype, x)));
            let ((low, high), (from, to)) = (range(dtype), range(atype));
            if from < low || to > high {
                on_registers(cases, ".sat", [dtype, atype], move |x| placed(dtype, value(atype, x).clamp(low, high)));
            }
        }
    }
}

/// Rounds a value to an integer and clamps it to the range of type `dtype`. A NaN becomes zero, or the highest bit
/// alone if one of the types has 64 bits.
fn to_integer<F: Format>(dtype: &str, bits: u64, round: Round) -> Expected {
    let x = F::of(bits);
    let (low, high) = range(dtype);
    if x.is_nan() {
        let wide = F::BITS == 64 || bits_of(dtype) == 64;
        return placed(dtype, if wide { 1 << (bits_of(dtype) - 1) } else { 0 });
    }
    // `to_i128_r` saturates, so even a value beyond the range of `i128` is clamped correctly.
    placed(dtype, x.to_i128_r(128, round, &mut false).value.clamp(low, high))
}

/// Adds the conversions between integers and floating point.
fn with_floats(cases: &mut Vec<Case>) {
    for typ in INTEGERS {
        for (modifier, round) in integral() {
            on_registers(cases, &format!(".{modifier}"), [typ, "f32"], move |x| to_integer::<Single>(typ, x, round));
            let flushed = move |x| to_integer::<Single>(typ, flush(x), round);
            on_registers(cases, &format!(".{modifier}.ftz"), [typ, "f32"], flushed);
            on_registers(cases, &format!(".{modifier}"), [typ, "f64"], move |x| to_integer::<Double>(typ, x, round));
        }
        for (modifier, round) in ROUNDINGS {
            let to_single = move |x| Single::from_i128_r(value(typ, x), round).value.result();
            on_registers(cases, &format!(".{modifier}"), ["f32", typ], to_single);
        }
        let nearest = Round::NearestTiesToEven;
        on_registers(cases, ".rn", ["f64", typ], move |x| Double::from_i128_r(value(typ, x), nearest).value.result());
    }
}

/// Applies `.sat` in double precision.
fn saturate_double(bits: u64) -> u64 {
    if bits > 0x7ff0 << 48 { 0 } else { bits.min(1f64.to_bits()) }
}

/// Adds the conversions between formats of floating point.
fn between_floats(cases: &mut Vec<Case>) {
    for [ftz, sat] in [[false, false], [false, true], [true, false], [true, true]] {
        let modifiers = format!("{}{}", if ftz { ".ftz" } else { "" }, if sat { ".sat" } else { "" });
        let input = move |x: u64| if ftz { flush(x) } else { x };
        let single = move |x: Single| {
            let bits = input(x.to_bits() as u64);
            if sat { Expected::Bits(saturate(bits)) } else { Single::of(bits).result() }
        };
        let double = move |x: Double| {
            let bits = x.to_bits() as u64;
            if sat { Expected::Bits(saturate_double(bits)) } else { x.result() }
        };
        on_registers(cases, &modifiers, ["f32", "f32"], move |x| single(Single::of(input(x))));
        on_registers(cases, &modifiers, ["f64", "f32"], move |x| {
            double(Single::of(input(x)).convert(&mut false).value)
        });
        for (modifier, round) in ROUNDINGS {
            let narrow = move |x| single(Double::of(x).convert_r(round, &mut false).value);
            on_registers(cases, &format!(".{modifier}{modifiers}"), ["f32", "f64"], narrow);
        }
        for (modifier, round) in integral() {
            let whole = move |x| single(Single::of(input(x)).round_to_integral(round).value);
            on_registers(cases, &format!(".{modifier}{modifiers}"), ["f32", "f32"], whole);
            if !ftz {
                let whole = move |x| double(Double::of(x).round_to_integral(round).value);
                on_registers(cases, &format!(".{modifier}{modifiers}"), ["f64", "f64"], whole);
            }
        }
        if !ftz {
            on_registers(cases, &modifiers, ["f64", "f64"], move |x| double(Double::of(x)));
        }
    }
}

/// Returns all cases of this file.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    between_integers(&mut cases);
    with_floats(&mut cases);
    between_floats(&mut cases);
    cases
}
