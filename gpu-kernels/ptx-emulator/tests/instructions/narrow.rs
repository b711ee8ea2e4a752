//! Conversions to and from `tf32`, `bf16` and the formats of 8 bits, and packed conversions (PTX ISA, sections 9.7.9.21
//! and 9.7.9.22), against LLVM's software arithmetic.

use rustc_apfloat::ieee::{BFloat, Double, Float8E4M3FN, Float8E5M2, Half, Single};
use rustc_apfloat::{Float, FloatConvert, Round};

use crate::case::{Case, Expected, cut};
use crate::oracle::{Format, ROUNDINGS};
use crate::values::Rows;

const NEAREST: Round = Round::NearestTiesToEven;

/// Returns the value of 19 significant bits that is nearest to a magnitude, and the upper one of two if `away` chooses it
/// by whether the lower one is odd. The bits after the largest value are those of infinity.
fn nearest_tf32(magnitude: u64, away: fn(bool) -> bool) -> u64 {
    let value = |bits: u64| if bits >= 0x7f80_0000 { 2f64.powi(128) } else { f32::from_bits(bits as u32).into() };
    let below = magnitude >> 13 << 13;
    let above = below + (1 << 13);
    let (down, up) = (value(magnitude) - value(below), value(above) - value(magnitude));
    if up < down || up == down && away(below >> 13 & 1 == 1) { above } else { below }
}

/// Adds the conversions to `tf32`, whose 19 bits are the upper ones of a register.
fn tf32(cases: &mut Vec<Case>) {
    let modes: [(&str, fn(u64) -> u64); 3] = [
        ("rna", |magnitude| nearest_tf32(magnitude, |_| true)),
        ("rn", |magnitude| nearest_tf32(magnitude, |odd| odd)),
        ("rz", |magnitude| magnitude >> 13 << 13),
    ];
    for (name, round) in modes {
        for relu in [false, true] {
            if relu && name == "rna" {
                continue;
            }
            let form = format!("cvt.{name}{}.tf32.f32 b32,b32", if relu { ".relu" } else { "" });
            cases.push(Case::new(form, Rows::Floats, move |x| match x[0] & 0x7fff_ffff {
                0x7f80_0001.. => 0x7fff_ffff,
                _ if relu && x[0] >> 31 == 1 => 0,
                0x7f80_0000 => x[0],
                magnitude => round(magnitude) | x[0] & 1 << 31,
            }));
        }
    }
}

/// Converts to a format of 8 bits, with the largest value instead of infinity.
fn byte<F: Float>(x: Single, relu: bool) -> u64
where
    Single: FloatConvert<F>,
{
    let result: F = x.convert_r(NEAREST, &mut false).value;
    let negative = x.is_negative() && !x.is_nan();
    let bits = match () {
        () if x.is_nan() => 0x7f,
        () if relu && negative => 0,
        () if result.is_infinite() || result.is_nan() => F::largest().to_bits() as u64 | u64::from(negative) << 7,
        () => result.to_bits() as u64,
    };
    cut(bits, 8)
}

/// Adds the conversions of pairs to and from a format of 8 bits.
fn bytes<F: Float + FloatConvert<Half>>(cases: &mut Vec<Case>, name: &str)
where
    Single: FloatConvert<F>,
{
    for relu in [false, true] {
        let modifier = if relu { ".relu" } else { "" };
        let form = format!("cvt.rn.satfinite{modifier}.{name}.f32 b16,b32,b32");
        let single = move |x: &[u64]| byte::<F>(Single::of(x[0]), relu) << 8 | byte::<F>(Single::of(x[1]), relu);
        cases.push(Case::new(form, Rows::Floats, single));
        let form = format!("cvt.rn.satfinite{modifier}.{name}.f16x2 b16,b32");
        cases.push(Case::new(form, Rows::Halves, move |x| {
            let half = |at: u32| {
                let x: Single = Half::of(x[0] >> at & 0xffff).convert(&mut false).value;
                byte::<F>(x, relu)
            };
            half(16) << 8 | half(0)
        }));
        let form = format!("cvt.rn{modifier}.f16x2.{name} b32,b16");
        cases.push(Case::new(form, Rows::Integers, move |x| {
            let half = |at: u32| {
                let x = F::from_bits(u128::from(x[0] >> at & 0xff));
                let half: Half = x.convert(&mut false).value;
                match () {
                    () if half.is_nan() => 0x7fff,
                    () if relu && half.is_negative() => 0,
                    () => half.to_bits() as u64,
                }
            };
            half(8) << 16 | half(0)
        }));
    }
}

/// Adds the conversions between `f16`, `bf16` and `f64`, and those to integral values.
fn halves(cases: &mut Vec<Case>) {
    cases.push(Case::new("cvt.f64.bf16 b64,b16", Rows::Halves, |x| {
        let x: Double = BFloat::of(x[0]).convert(&mut false).value;
        x.result()
    }));
    for (name, round) in ROUNDINGS {
        cases.push(Case::new(format!("cvt.{name}.bf16.f64 b16,b64"), Rows::Doubles, move |x| {
            let x: BFloat = Double::of(x[0]).convert_r(round, &mut false).value;
            x.result()
        }));
        cases.push(Case::new(format!("cvt.{name}.bf16.f16 b16,b16"), Rows::Halves, move |x| {
            let x: BFloat = Half::of(x[0]).convert_r(round, &mut false).value;
            x.result()
        }));
        cases.push(Case::new(format!("cvt.{name}.f16.bf16 b16,b16"), Rows::Halves, move |x| {
            let x: Half = BFloat::of(x[0]).convert_r(round, &mut false).value;
            x.result()
        }));
        cases.push(Case::new(format!("cvt.{name}i.f16.f16 b16,b16"), Rows::Halves, move |x| {
            Half::of(x[0]).round_to_integral(round).value.result()
        }));
        cases.push(Case::new(format!("cvt.{name}i.bf16.bf16 b16,b16"), Rows::Halves, move |x| {
            BFloat::of(x[0]).round_to_integral(round).value.result()
        }));
    }
}

/// Adds `cvt.pack`.
fn packed(cases: &mut Vec<Case>) {
    for bits in [16, 8, 4, 2] {
        for (kind, low, high) in [('u', 0, (1i64 << bits) - 1), ('s', -(1i64 << (bits - 1)), (1i64 << (bits - 1)) - 1)]
        {
            let clamped = move |x: u64| cut(i64::from(x as u32 as i32).max(low).min(high) as u64, bits);
            let (form, third) = match bits {
                16 => (format!("cvt.pack.sat.{kind}{bits}.s32 b32,b32,b32"), false),
                _ => (format!("cvt.pack.sat.{kind}{bits}.s32.b32 b32,b32,b32,b32"), true),
            };
            cases.push(Case::new(form, Rows::Integers, move |x| {
                let rest = if third { x[2] << (2 * bits) } else { 0 };
                Expected::Bits(rest | clamped(x[0]) << bits | clamped(x[1]))
            }));
        }
    }
}

/// Returns all cases of this file.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    tf32(&mut cases);
    bytes::<Float8E4M3FN>(&mut cases, "e4m3x2");
    bytes::<Float8E5M2>(&mut cases, "e5m2x2");
    halves(&mut cases);
    packed(&mut cases);
    cases
}
