//! Moves and conversions (PTX ISA, section 9.7.9).

use super::decoder::{Decoded, Decoder, exactly};
use super::exact;
use super::float::{Mode, ROUNDINGS};
use super::forms::{Table, alternatives};
use super::half::HalfMode;
use super::half_format::{BF16, F16};
use super::instruction::{Action, WINDOW, window};
use super::lanes::AnyWidth;
use super::memory::SPACES;
use super::rounding::{self, Rounding};
use crate::ptx::syntax::{Operand, Space, Type};

/// The modifiers that round to an integral value.
const INTEGRAL: [(&str, Rounding); 4] =
    [("rni", Rounding::Nearest), ("rzi", Rounding::Zero), ("rmi", Rounding::Down), ("rpi", Rounding::Up)];

/// Adds the forms of `mov` and `cvt`.
pub(super) fn forms(table: &mut Table) {
    table.add("mov.pred|b16|u16|s16|b32|u32|s32|f32|b64|u64|s64|f64|b128", mov);
    let (frnd, irnd, int) = (alternatives(&ROUNDINGS), alternatives(&INTEGRAL), "u8|u16|u32|u64|s8|s16|s32|s64");
    // A conversion that rounds has a rounding modifier, and one of single precision may have `.ftz` (section 9.7.9.21).
    cvt(table, &format!("cvt.{irnd}?.ftz?.sat?.f32.f32"), |c, x| c.narrow(c.integral(c.single(x))));
    cvt(table, &format!("cvt.{frnd}.ftz?.sat?.f32.f64"), |c, x| c.narrow(f64::from_bits(x)));
    cvt(table, "cvt.ftz?.sat?.f64.f32", |c, x| c.saturated(c.single(x)).to_bits());
    cvt(table, &format!("cvt.{irnd}?.sat?.f64.f64"), |c, x| c.saturated(c.integral(f64::from_bits(x))).to_bits());
    cvt(table, &format!("cvt.{frnd}.f32.{int}"), |c, x| {
        from_integer(integer(c.atype, x), c.mode.rounding).to_bits().into()
    });
    cvt(table, &format!("cvt.{frnd}.f64.{int}"), |c, x| {
        let value = integer(c.atype, x);
        if c.mode.rounding == Rounding::Nearest {
            return (value as f64).to_bits();
        }
        // An integer is a sum of two halves, each of which a double-precision value holds exactly.
        let (high, low) = (value >> 32, value & 0xffff_ffff);
        exact::add(high as f64 * 2f64.powi(32), low as f64, c.mode.rounding).to_bits()
    });
    cvt(table, &format!("cvt.{irnd}.ftz?.{int}.f32"), |c, x| {
        to_integer(c.dtype, c.integral(c.single(x)), c.dtype.bits() == 64)
    });
    cvt(table, &format!("cvt.{irnd}.{int}.f64"), |c, x| to_integer(c.dtype, c.integral(f64::from_bits(x)), true));
    cvt(table, &format!("cvt.{irnd}.ftz?.sat.{int}.f32"), |c, x| {
        to_integer(c.dtype, c.integral(c.single(x)), c.dtype.bits() == 64)
    });
    cvt(table, &format!("cvt.{irnd}.sat.{int}.f64"), |c, x| to_integer(c.dtype, c.integral(f64::from_bits(x)), true));
    cvt(table, &format!("cvt.{frnd}.ftz?.sat?.f16.f32"), |c, x| c.half(c.single(x)));
    cvt(table, &format!("cvt.{frnd}.sat?.f16.f64"), |c, x| c.half(f64::from_bits(x)));
    cvt(table, "cvt.ftz?.sat?.f32.f16", |c, x| c.narrow(F16.value(x as u16)));
    cvt(table, "cvt.sat?.f64.f16", |c, x| c.saturated(F16.value(x as u16)).to_bits());
    cvt(table, &format!("cvt.{irnd}.sat?.{int}.f16"), |c, x| {
        to_integer(c.dtype, c.integral(F16.value(x as u16)), c.dtype.bits() == 64)
    });
    cvt(table, &format!("cvt.{frnd}.sat?.f16.{int}"), |c, x| c.half(exact_or_odd(integer(c.atype, x))));
    cvt(table, &format!("cvt.{irnd}.{int}.bf16"), |c, x| {
        to_integer(c.dtype, c.integral(BF16.value(x as u16)), c.dtype.bits() == 64)
    });
    cvt(table, &format!("cvt.{frnd}.bf16.{int}"), |c, x| c.half(exact_or_odd(integer(c.atype, x))));
    cvt(table, "cvt.rn|rz.relu?.satfinite?.bf16.f32", |c, x| c.half(c.single(x)));
    cvt(table, "cvt.rn|rz.relu.satfinite?.f16.f32", |c, x| c.half(c.single(x)));
    cvt(table, "cvt.rn|rz.satfinite.f16.f32", |c, x| c.half(c.single(x)));
    cvt(table, "cvt.f32.bf16", |_, x| (x & 0xffff) << 16);
    for (typ, format) in [("f16x2", F16), ("bf16x2", BF16)] {
        table.add(&format!("cvt.rn|rz.relu?.satfinite?.{typ}.f32"), move |i| {
            let (mode, rounding) = (HalfMode::of(i, format), Mode::of(i).rounding);
            let half = move |x: f32| u32::from(mode.result(f64::from(x), rounding));
            // The first source becomes the upper half.
            i.compute(move |a: f32, b: f32| half(a) << 16 | half(b))
        });
    }
    cvt(table, &format!("cvt.{int}.{int}"), |c, x| extended(c.dtype, extended(c.atype, x)));
    cvt(table, &format!("cvt.sat.{int}.{int}"), |c, x| clamp(c.dtype, integer(c.atype, x)));
}

/// Adds a form of `cvt` that maps the bits of its source by `f`.
fn cvt(table: &mut Table, pattern: &str, f: impl Fn(Conversion, u64) -> u64 + Copy + Send + Sync + 'static) {
    table.add(pattern, move |i| {
        let conversion = Conversion::of(i)?;
        i.compute(move |AnyWidth(x): AnyWidth| AnyWidth(f(conversion, x)))
    });
}

/// Adds the forms of `cvta` (section 9.7.9.20).
pub(super) fn address_forms(table: &mut Table) {
    table.add(&format!("cvta.to?.{}.u64", alternatives(&SPACES[..6])), |i| {
        let base = window(i.one_of(&SPACES).expect("the form has a state space"));
        let offset = if i.has("to") { base.wrapping_neg() } else { base };
        i.compute(move |a: u64| a.wrapping_add(offset))
    });
}

/// Adds the forms of `isspacep` (section 9.7.9.19).
pub(super) fn space_forms(table: &mut Table) {
    table.add("isspacep.global|const|shared|shared::cta|shared::cluster|local|param|param::entry", |i| {
        let space = i.one_of(&SPACES).unwrap_or(Space::Shared);
        i.compute(move |a: u64| match space {
            Space::Global => a < window(Space::Shared) || a >= window(Space::Param) + WINDOW,
            // Constant memory is part of global memory here.
            Space::Const => false,
            space => a.wrapping_sub(window(space)) < WINDOW,
        })
    });
}

/// Decodes `mov` (sections 9.7.9.3 and 9.7.9.4). The first part of a vector is the lowest.
fn mov(i: &mut Decoder) -> Decoded {
    let [d, a] = exactly(i.operands)?;
    let typ = i.typ();
    match (d, a) {
        (d, Operand::Special(name)) if name.starts_with("%clock") || name.starts_with("%globaltimer") => {
            Ok(Action::Clock { d: i.any_dest(d, typ.bits())? })
        }
        // A cluster of one block counts as none.
        (_, Operand::Special(name)) if name == "%is_explicit_cluster" => {
            let (rank, d) = (i.special("%cluster_nctarank")?, i.dest(d, 1)?);
            Ok(Action::Compute(Box::new(move |registers, mask| {
                let yes = if registers.b32[rank][0] > 1 { u32::MAX } else { 0 };
                registers.set_predicate(d, mask, yes);
            })))
        }
        (_, Operand::Special(_)) if typ.bits() != 32 => i.compute(|AnyWidth(a): AnyWidth| AnyWidth(a)),
        (Operand::Vector(parts), _) => match (typ, parts.len()) {
            (Type::B(32), 2) => i.compute(|a: u32| [a as u16, (a >> 16) as u16]),
            (Type::B(128), 2) => i.compute(|a: u128| [a as u64, (a >> 64) as u64]),
            (Type::B(64), 2) => i.compute(|a: u64| [a as u32, (a >> 32) as u32]),
            (Type::B(64), 4) => i.compute(|a: u64| [0, 16, 32, 48].map(|at| (a >> at) as u16)),
            (_, n) => Err(format!("{n} parts of `.{typ}` are not of the subset")),
        },
        (_, Operand::Vector(parts)) => match (typ, parts.len()) {
            (Type::B(32), 2) => i.compute(|[a, b]: [u16; 2]| u32::from(a) | u32::from(b) << 16),
            (Type::B(128), 2) => i.compute(|[a, b]: [u64; 2]| u128::from(a) | u128::from(b) << 64),
            (Type::B(64), 2) => i.compute(|[a, b]: [u32; 2]| u64::from(a) | u64::from(b) << 32),
            (Type::B(64), 4) => i.compute(|a: [u16; 4]| a.into_iter().rev().fold(0, |v, a| v << 16 | u64::from(a))),
            (_, n) => Err(format!("{n} parts of `.{typ}` are not of the subset")),
        },
        _ => match typ.bits() {
            1 => i.compute(|a: bool| a),
            16 => i.compute(|a: u16| a),
            32 => i.compute(|a: u32| a),
            128 => i.compute(|a: u128| a),
            _ => i.compute(|a: u64| a),
        },
    }
}

/// The types and modifiers of a `cvt`.
#[derive(Clone, Copy)]
struct Conversion {
    dtype: Type,
    atype: Type,
    integral: Option<Rounding>,
    mode: Mode,
    /// The modifiers of a result of 16 bits.
    half: HalfMode,
}

impl Conversion {
    /// Reads the modifiers, and checks the registers, which may be wider than integer types (section 9.4.1).
    fn of(i: &Decoder) -> Decoded<Self> {
        let [d, a] = exactly(i.operands)?;
        let [dtype, atype] = i.types()[..] else { return Err("expected two types".into()) };
        if i.has("sat") && !can_saturate(dtype, atype) {
            return Err(format!("`.sat` has no effect on `.{atype}`, whose values `.{dtype}` has"));
        }
        for (operand, typ) in [(d, dtype), (a, atype)] {
            let float = matches!(typ, Type::F(_) | Type::Bf16);
            let fits = match operand {
                Operand::Name(name) => match i.register(name)?.bits() {
                    bits if float => bits == typ.bits(),
                    bits => bits >= typ.bits(),
                },
                Operand::Special(_) => typ.bits() == 32 || !float && typ.bits() < 32,
                Operand::Int(_) => !float,
                _ => false,
            };
            if !fits {
                return Err(format!("expected operands of types `.{dtype}` and `.{atype}`"));
            }
        }
        Ok(Self {
            dtype,
            atype,
            integral: i.one_of(&INTEGRAL),
            mode: Mode::of(i),
            half: HalfMode::of(i, if dtype == Type::Bf16 { BF16 } else { F16 }),
        })
    }

    /// Returns the value of a single-precision source.
    #[inline]
    fn single(self, bits: u64) -> f64 {
        f64::from(self.mode.input(f32::from_bits(bits as u32)))
    }

    /// Returns the bits of a result of 16 bits.
    fn half(self, x: f64) -> u64 {
        u64::from(self.half.result(x, self.mode.rounding))
    }

    #[inline]
    fn saturated(self, x: f64) -> f64 {
        match self.mode.saturate {
            true if x > 0.0 => x.min(1.0),
            true => 0.0,
            false => x,
        }
    }

    /// Returns the bits of a single-precision result.
    #[inline]
    fn narrow(self, x: f64) -> u64 {
        u64::from(self.mode.result(rounding::narrow(x, self.mode.rounding)).to_bits())
    }

    #[inline]
    fn integral(self, x: f64) -> f64 {
        match self.integral {
            None => x,
            Some(Rounding::Nearest) => x.round_ties_even(),
            Some(Rounding::Zero) => x.trunc(),
            Some(Rounding::Down) => x.floor(),
            Some(Rounding::Up) => x.ceil(),
        }
    }
}

/// Returns whether `.sat` has an effect. Saturation affects floating-point results, and conversions from an `atype`
/// with values outside the range of `dtype`.
fn can_saturate(dtype: Type, atype: Type) -> bool {
    match (dtype, atype) {
        (Type::S(d), Type::U(a)) => a >= d,
        (Type::U(_), Type::S(_)) | (Type::F(_), _) | (_, Type::F(_)) => true,
        (d, a) => a.bits() > d.bits(),
    }
}

/// Truncates `bits` to the width of the type, and extends the result to 64 bits, by its sign if the type is signed.
#[inline]
fn extended(typ: Type, bits: u64) -> u64 {
    let unused = 64 - typ.bits();
    match typ {
        Type::S(_) => ((bits << unused) as i64 >> unused) as u64,
        _ => bits << unused >> unused,
    }
}

/// Returns the integer that `bits` encode in the type.
#[inline]
fn integer(typ: Type, bits: u64) -> i128 {
    match typ {
        Type::S(_) => i128::from(extended(typ, bits) as i64),
        _ => i128::from(extended(typ, bits)),
    }
}

/// Returns the integer of the type that is nearest to `value`.
#[inline]
fn clamp(typ: Type, value: i128) -> u64 {
    let (low, high) = match typ {
        Type::S(bits) => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
        typ => (0, (1i128 << typ.bits()) - 1),
    };
    value.clamp(low, high) as u64
}

/// Converts an integral value to the nearest integer of the type. A NaN becomes zero, or the highest bit alone if a
/// type has 64 bits (`wide`).
#[inline]
fn to_integer(typ: Type, x: f64, wide: bool) -> u64 {
    match x.is_nan() {
        true if wide => extended(typ, 1 << (typ.bits() - 1)),
        true => 0,
        false => clamp(typ, x as i128),
    }
}

/// Converts an integer to single precision.
#[inline]
fn from_integer(value: i128, rounding: Rounding) -> f32 {
    rounding::narrow(exact_or_odd(value), rounding)
}

/// Returns an integer in double precision, which may lose the lowest of 64 bits. So the value is rounded to odd.
fn exact_or_odd(value: i128) -> f64 {
    let near = value as f64;
    rounding::odd(near, (value - near as i128) as f64)
}
