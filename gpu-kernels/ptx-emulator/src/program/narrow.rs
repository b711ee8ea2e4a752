//! Conversions to and from `tf32`, `bf16` and the formats of 8 bits, and packed conversions (PTX ISA, sections 9.7.9.21
//! and 9.7.9.22).

use super::decoder::{Decoded, Decoder, exactly};
use super::elements::{ByteFormat, E4M3, E5M2};
use super::float::ROUNDINGS;
use super::forms::{Table, alternatives};
use super::half_format::{BF16, F16, HalfFormat};
use super::rounding::Rounding;

/// The formats of 8 bits by the names of their pairs.
const BYTE_FORMATS: [(&str, ByteFormat); 2] = [("e4m3x2", E4M3), ("e5m2x2", E5M2)];

/// The integer types of `cvt.pack`, with their width and whether they have a sign.
const PACKED: [(&str, (u32, bool)); 8] = [
    ("u16", (16, false)),
    ("s16", (16, true)),
    ("u8", (8, false)),
    ("s8", (8, true)),
    ("u4", (4, false)),
    ("s4", (4, true)),
    ("u2", (2, false)),
    ("s2", (2, true)),
];

/// The modifiers that round to an integral value.
const INTEGRAL: [(&str, Rounding); 4] =
    [("rni", Rounding::Nearest), ("rzi", Rounding::Zero), ("rmi", Rounding::Down), ("rpi", Rounding::Up)];

/// Adds the forms of this file.
pub(super) fn forms(table: &mut Table) {
    table.add("cvt.rna.tf32.f32", |i| i.compute(|a: f32| tf32(a, |bits| bits.wrapping_add(0x1000))));
    table.add("cvt.rn|rz.relu?.tf32.f32", |i| {
        let (nearest, relu) = (i.has("rn"), i.has("relu"));
        i.compute(move |a: f32| {
            let even = |bits: u32| bits.wrapping_add(0xfff + (bits >> 13 & 1));
            let bits = tf32(a, |bits| if nearest { even(bits) } else { bits });
            if relu && (a < 0.0 || bits == 0x8000_0000) { 0 } else { bits }
        })
    });
    for (name, format) in BYTE_FORMATS {
        let narrow = move |x: f64, relu: bool| u16::from(if relu && x <= 0.0 { 0 } else { format.bits(x) });
        table.add(&format!("cvt.rn.satfinite.relu?.{name}.f32"), move |i| {
            let relu = i.has("relu");
            // The first source becomes the upper byte.
            i.compute(move |a: f32, b: f32| narrow(a.into(), relu) << 8 | narrow(b.into(), relu))
        });
        table.add(&format!("cvt.rn.satfinite.relu?.{name}.f16x2"), move |i| {
            let relu = i.has("relu");
            i.compute(move |a: u32| {
                let half = |at: u32| narrow(F16.value((a >> at) as u16), relu);
                half(16) << 8 | half(0)
            })
        });
        table.add(&format!("cvt.rn.relu?.f16x2.{name}"), move |i| {
            let relu = i.has("relu");
            i.compute(move |a: u16| {
                let half = |at: u32| {
                    let value = format.value((a >> at) as u8);
                    u32::from(if relu && value <= 0.0 { 0 } else { F16.bits(value, Rounding::Nearest) })
                };
                half(8) << 16 | half(0)
            })
        });
    }
    bf16_forms(table);
    packed_forms(table);
}

/// Rounds to 19 bits by a function of the bits. A NaN becomes the one that GPUs return.
fn tf32(a: f32, round: impl Fn(u32) -> u32) -> u32 {
    let bits = a.to_bits();
    match bits & 0x7fff_ffff {
        0x7f80_0000 => bits,
        0x7f80_0001.. => 0x7fff_ffff,
        _ => round(bits) & !0x1fff,
    }
}

/// Adds the conversions of `bf16` beyond those from and to `f32`, and those between values of 16 bits.
fn bf16_forms(table: &mut Table) {
    let rnd = alternatives(&ROUNDINGS);
    let rounding = |i: &Decoder| i.one_of(&ROUNDINGS).unwrap_or(Rounding::Nearest);
    table.lanes("cvt.f64.bf16", |a: u16| BF16.value(a));
    table.add(&format!("cvt.{rnd}.bf16.f64"), move |i| {
        let rounding = rounding(i);
        i.compute(move |a: f64| BF16.bits(a, rounding))
    });
    for (name, from, to) in [("bf16.f16", F16, BF16), ("f16.bf16", BF16, F16)] {
        table.add(&format!("cvt.{rnd}.{name}"), move |i| {
            let rounding = rounding(i);
            i.compute(move |a: u16| to.bits(from.value(a), rounding))
        });
    }
    for (name, format) in [("f16", F16), ("bf16", BF16)] {
        table.add(&format!("cvt.{}.{name}.{name}", alternatives(&INTEGRAL)), move |i| {
            let rounding = i.one_of(&INTEGRAL).unwrap_or(Rounding::Nearest);
            i.compute(move |a: u16| integral(format, a, rounding))
        });
    }
}

/// Rounds a value of 16 bits to an integral value.
fn integral(format: HalfFormat, bits: u16, rounding: Rounding) -> u16 {
    let value = format.value(bits);
    let rounded = match rounding {
        Rounding::Nearest => value.round_ties_even(),
        Rounding::Zero => value.trunc(),
        Rounding::Down => value.floor(),
        Rounding::Up => value.ceil(),
    };
    format.bits(rounded.copysign(value), Rounding::Nearest)
}

/// Adds `cvt.pack`, which clamps two integers and appends them to the lower bits of a third operand.
fn packed_forms(table: &mut Table) {
    table.add("cvt.pack.sat.u16|s16.s32", |i| {
        exactly::<3>(i.operands)?;
        let clamp = clamped(i)?;
        i.compute(move |a: i32, b: i32| clamp(a) << 16 | clamp(b))
    });
    table.add("cvt.pack.sat.u8|s8|u4|s4|u2|s2.s32.b32", |i| {
        let (bits, _) = i.one_of(&PACKED).ok_or("expected a type")?;
        let clamp = clamped(i)?;
        i.compute(move |a: i32, b: i32, c: u32| c << (2 * bits) | clamp(a) << bits | clamp(b))
    });
}

/// Returns the function that clamps an integer to the type of the modifiers and cuts it to its width.
fn clamped(i: &Decoder) -> Decoded<impl Fn(i32) -> u32 + Copy + Send + Sync + 'static> {
    let (bits, signed) = i.one_of(&PACKED).ok_or("expected a type")?;
    let (low, high) = if signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) };
    Ok(move |x: i32| x.clamp(low, high) as u32 & (u32::MAX >> (32 - bits)))
}
