//! Conversions (PTX ISA, section 9.7.9.21).

use rustc_apfloat::ieee::{BFloat, Double, Half, Single};
use rustc_apfloat::{Float, FloatConvert, Round};

use crate::case::{Case, Expected, cut};
use crate::oracle::{
    Format, ROUNDINGS, bits_of, flush, flush_to_zero, is_signed, range, register, rows_of, saturate, value,
};

/// The integer types.
const INTEGERS: [&str; 8] = ["u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"];

/// Returns the modifiers that round to an integral value.
fn integral() -> [(String, Round); 4] {
    ROUNDINGS.map(|(name, round)| (format!("{name}i"), round))
}

/// Returns the kinds of registers that may hold a type. An integer may be in a wider register (section 9.4.1).
fn registers(typ: &str) -> Vec<String> {
    let wide_enough = |bits: &u32| *bits >= bits_of(typ);
    if typ.starts_with(['f', 'b']) {
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
            let from_upper = move |x| to_integer::<BFloat>(typ, x, round);
            on_registers(cases, &format!(".{modifier}"), [typ, "bf16"], from_upper);
            // Every conversion to an integer saturates, so `.sat` changes nothing.
            for sat in ["", ".sat"] {
                let to_single = move |x| to_integer::<Single>(typ, x, round);
                on_registers(cases, &format!(".{modifier}{sat}"), [typ, "f32"], to_single);
                let flushed = move |x| to_integer::<Single>(typ, flush(x), round);
                on_registers(cases, &format!(".{modifier}.ftz{sat}"), [typ, "f32"], flushed);
                let to_double = move |x| to_integer::<Double>(typ, x, round);
                on_registers(cases, &format!(".{modifier}{sat}"), [typ, "f64"], to_double);
                let to_half = move |x| to_integer::<Half>(typ, x, round);
                on_registers(cases, &format!(".{modifier}{sat}"), [typ, "f16"], to_half);
            }
        }
        for (modifier, round) in ROUNDINGS {
            let to_single = move |x| Single::from_i128_r(value(typ, x), round).value.result();
            on_registers(cases, &format!(".{modifier}"), ["f32", typ], to_single);
            for sat in [false, true] {
                let modifiers = format!(".{modifier}{}", if sat { ".sat" } else { "" });
                let to_half = move |x| half_result(Half::from_i128_r(value(typ, x), round).value, sat, false);
                on_registers(cases, &modifiers, ["f16", typ], to_half);
            }
        }
        for (modifier, round) in ROUNDINGS {
            let to_double = move |x| Double::from_i128_r(value(typ, x), round).value.result();
            on_registers(cases, &format!(".{modifier}"), ["f64", typ], to_double);
            let to_upper = move |x| BFloat::from_i128_r(value(typ, x), round).value.result();
            on_registers(cases, &format!(".{modifier}"), ["bf16", typ], to_upper);
        }
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

/// Applies `.sat` or `.relu` to a result of 16 bits.
fn half_result<F: Format>(x: F, sat: bool, relu: bool) -> Expected {
    let negative = x.is_negative() && !x.is_nan();
    let one = F::from_u128(1).value;
    match () {
        () if sat && (x.is_nan() || negative || x.is_zero()) || relu && negative => Expected::Bits(0),
        () if sat && x > one => one.result(),
        () => x.result(),
    }
}

/// Replaces infinity by the largest value of the same sign.
fn bounded<F: Format>(x: F) -> F {
    match (x.is_infinite(), x.is_negative()) {
        (true, true) => -F::largest(),
        (true, false) => F::largest(),
        _ => x,
    }
}

/// Adds the conversions from and to formats of 16 bits.
fn with_halves(cases: &mut Vec<Case>) {
    for sat in [false, true] {
        let modifier = if sat { ".sat" } else { "" };
        for (name, round) in ROUNDINGS {
            for ftz in [false, true] {
                let from_single = move |x| {
                    let x = Single::of(if ftz { flush(x) } else { x });
                    let half: Half = x.convert_r(round, &mut false).value;
                    let Expected::Bits(bits) = half_result(half, sat, false) else { return Expected::Unspecified };
                    Expected::Bits(if ftz { flush_to_zero::<Half>(bits) } else { bits })
                };
                let modifiers = format!(".{name}{}{modifier}", if ftz { ".ftz" } else { "" });
                on_registers(cases, &modifiers, ["f16", "f32"], from_single);
            }
            let from_double =
                move |x| half_result::<Half>(Double::of(x).convert_r(round, &mut false).value, sat, false);
            on_registers(cases, &format!(".{name}{modifier}"), ["f16", "f64"], from_double);
        }
        for ftz in [false, true] {
            let modifiers = format!("{}{modifier}", if ftz { ".ftz" } else { "" });
            on_registers(cases, &modifiers, ["f32", "f16"], move |x| {
                let x: Single = Half::of(x).convert(&mut false).value;
                if sat { Expected::Bits(saturate(x.to_bits() as u64)) } else { x.result() }
            });
        }
        on_registers(cases, modifier, ["f64", "f16"], move |x| {
            let x: Double = Half::of(x).convert(&mut false).value;
            if sat { Expected::Bits(saturate_double(x.to_bits() as u64)) } else { x.result() }
        });
    }
    on_registers(cases, "", ["f32", "bf16"], |x| Expected::Bits(x << 16));
    for (name, round) in [("rn", Round::NearestTiesToEven), ("rz", Round::TowardZero)] {
        for [relu, finite] in [[false, false], [true, false], [false, true], [true, true]] {
            let modifiers =
                format!(".{name}{}{}", if relu { ".relu" } else { "" }, if finite { ".satfinite" } else { "" });
            let upper = move |x| {
                let result: BFloat = Single::of(x).convert_r(round, &mut false).value;
                half_result(if finite { bounded(result) } else { result }, false, relu)
            };
            on_registers(cases, &modifiers, ["bf16", "f32"], upper);
            let half = move |x| {
                let result: Half = Single::of(x).convert_r(round, &mut false).value;
                half_result(if finite { bounded(result) } else { result }, false, relu)
            };
            if relu || finite {
                on_registers(cases, &modifiers, ["f16", "f32"], half);
            }
            packed(cases, &modifiers, "f16x2", half);
            packed(cases, &modifiers, "bf16x2", upper);
        }
    }
}

/// Adds the conversion of two values, of which the first becomes the upper half.
fn packed(cases: &mut Vec<Case>, modifiers: &str, dtype: &str, f: impl Fn(u64) -> Expected + 'static) {
    cases.push(Case::new(format!("cvt{modifiers}.{dtype}.f32 b32,b32,b32"), rows_of("f32"), move |x| {
        let [Expected::Bits(high), Expected::Bits(low)] = [f(x[0]), f(x[1])] else { return Expected::Unspecified };
        Expected::Bits(high << 16 | low)
    }));
}

/// Returns all cases of this file.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    between_integers(&mut cases);
    with_floats(&mut cases);
    between_floats(&mut cases);
    with_halves(&mut cases);
    cases
}
