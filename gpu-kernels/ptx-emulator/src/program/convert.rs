//! Moves and conversions (PTX ISA, section 9.7.9).

use super::builder::Builder;
use super::float::{canonical, flush};
use super::lanes::{self, Compute, Slot, Value};
use super::operands::{Decoded, Modifiers, exactly, not_for};
use super::rounding::{self, Rounding};
use super::{Action, Dest, Reg, window};
use crate::ptx::syntax::{Operand, Space, Type};

/// Decodes `mov` and `cvt`.
pub(super) fn decode(builder: &mut Builder, opcode: &str, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    if opcode == "mov" { mov(builder, m, o) } else { cvt(builder, m, o) }
}

/// `mov` (sections 9.7.9.3 and 9.7.9.4).
fn mov(builder: &mut Builder, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    let typ = m.typ()?;
    m.end()?;
    let [d, a] = exactly(o)?;
    match (d, a) {
        (Operand::Vector(parts), a) => return unpack(builder, typ, parts, a),
        (d, Operand::Vector(parts)) => return pack(builder, typ, d, parts),
        (d, Operand::Special(name)) if name.starts_with("%clock") || name.starts_with("%globaltimer") => {
            return Ok(Action::Clock { d: builder.any_dest(d, typ.bits())? });
        }
        _ => {}
    }
    match typ.bits() {
        1 => {
            let (a, d) = (builder.predicate(a)?, builder.dest(d, 1)?);
            Ok(Action::Compute(Box::new(move |registers, mask| {
                lanes::set_predicate(registers, d, registers.predicates[a], mask);
            })))
        }
        16 => builder.unary(o, |a: u16| a),
        32 => builder.unary(o, |a: u32| a),
        64 => builder.unary(o, |a: u64| a),
        _ => Err(not_for(typ)),
    }
}

/// The width of each of the parts of a register of this type.
fn part_bits(typ: Type, parts: usize) -> Decoded<u32> {
    let bits = typ.bits() / parts.max(1) as u32;
    if matches!(typ, Type::B(_)) && matches!(parts, 2 | 4) && matches!(bits, 16 | 32) {
        return Ok(bits);
    }
    Err(format!("{parts} parts of a register of {} bits are not of the subset", typ.bits()))
}

/// `mov.b64 d, {a, b}`: the first part is the lowest.
fn pack(builder: &mut Builder, typ: Type, d: &Operand, parts: &[Operand]) -> Decoded {
    let bits = part_bits(typ, parts.len())?;
    let mut slots = Vec::new();
    for part in parts {
        slots.push(if bits == 16 { builder.source::<u16>(part)? } else { builder.source::<u32>(part)? });
    }
    let d = match (builder.any_dest(d, typ.bits())?, typ.bits()) {
        (Dest::Word(slot, 32), 32) => Dest::Word(slot, 32),
        (Dest::Long(slot), 64) => Dest::Long(slot),
        _ => return Err(not_for(typ)),
    };
    Ok(Action::Compute(Box::new(move |registers, mask| {
        for lane in (0..32).filter(|lane| mask >> lane & 1 == 1) {
            let value = slots.iter().rev().fold(0, |v, slot| v << bits | u64::from(registers.words[*slot][lane]));
            put(registers, d, lane, value);
        }
    })))
}

/// `mov.b64 {a, b}, d`.
fn unpack(builder: &mut Builder, typ: Type, parts: &[Operand], a: &Operand) -> Decoded {
    let bits = part_bits(typ, parts.len())?;
    let wide = typ.bits() == 64;
    let a = if wide { builder.source::<u64>(a)? } else { builder.source::<u32>(a)? };
    let mut dests = Vec::new();
    for part in parts {
        dests.push(builder.dest(part, bits)?);
    }
    Ok(Action::Compute(Box::new(move |registers, mask| {
        for lane in (0..32).filter(|lane| mask >> lane & 1 == 1) {
            let value = if wide { registers.longs[a][lane] } else { u64::from(registers.words[a][lane]) };
            for (i, d) in dests.iter().enumerate() {
                registers.words[*d][lane] = (value >> (bits * i as u32) & ((1 << bits) - 1)) as u32;
            }
        }
    })))
}

/// Writes a register of any width.
fn put(registers: &mut super::Registers, d: Dest, lane: usize, value: u64) {
    match d {
        Dest::Word(slot, 16) => registers.words[slot][lane] = value as u32 & 0xffff,
        Dest::Word(slot, _) => registers.words[slot][lane] = value as u32,
        Dest::Long(slot) => registers.longs[slot][lane] = value,
        Dest::Predicate(_) => {}
    }
}

/// `cvta{.to}.space.u64` (section 9.7.9.20).
pub(super) fn cvta(builder: &mut Builder, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    let to = m.eat("to");
    let space = m.one_of(&[
        ("global", Space::Global),
        ("const", Space::Const),
        ("shared", Space::Shared),
        ("shared::cta", Space::Shared),
        ("local", Space::Local),
        ("param", Space::Param),
    ]);
    let base = window(space.ok_or("its state space is missing")?);
    let typ = m.typ()?;
    m.end()?;
    if typ.bits() != 64 {
        return Err(not_for(typ));
    }
    builder.unary(o, move |a: u64| if to { a.wrapping_sub(base) } else { a.wrapping_add(base) })
}

/// `cvt{.round}{.ftz}{.sat}.dtype.atype d, a` (section 9.7.9.21).
pub(super) fn cvt(builder: &mut Builder, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    const INTEGRAL: [(&str, Rounding); 4] =
        [("rni", Rounding::Nearest), ("rzi", Rounding::Zero), ("rmi", Rounding::Down), ("rpi", Rounding::Up)];
    const FLOAT: [(&str, Rounding); 4] =
        [("rn", Rounding::Nearest), ("rz", Rounding::Zero), ("rm", Rounding::Down), ("rp", Rounding::Up)];
    let (integral, round) = (m.one_of(&INTEGRAL), m.one_of(&FLOAT));
    let (ftz, sat) = (m.eat("ftz"), m.eat("sat"));
    let (dtype, atype) = (m.typ()?, m.typ()?);
    if !is_known(dtype, atype, integral, round, [ftz, sat]) {
        return Err("this conversion is not of the subset".into());
    }
    m.end()?;
    let flushed = move |x: f32| if ftz { flush(x) } else { x };
    let unit = move |x: f64| if sat { if x > 0.0 { x.min(1.0) } else { 0.0 } } else { x };
    let single = move |bits: u64| f64::from(flushed(f32::from_bits(bits as u32)));
    let to_single = move |x: f64, r: Rounding| u64::from(canonical(flushed(rounding::narrow(x, r))).to_bits());
    let (types, r) = ([dtype, atype], integral.or(round));
    let rounded = move |x: f64| integral.map_or(x, |r| to_integral(x, r));
    match (dtype, atype) {
        (Type::F(32), Type::F(32)) => {
            placed(builder, types, o, move |bits| to_single(unit(rounded(single(bits))), Rounding::Nearest))
        }
        (Type::F(32), Type::F(64)) => {
            placed(builder, types, o, move |bits| to_single(unit(f64::from_bits(bits)), r.unwrap_or(Rounding::Nearest)))
        }
        (Type::F(_), Type::F(32)) => placed(builder, types, o, move |bits| unit(single(bits)).to_bits()),
        (Type::F(_), Type::F(_)) => {
            placed(builder, types, o, move |bits| unit(rounded(f64::from_bits(bits))).to_bits())
        }
        (Type::F(32), a) => placed(builder, types, o, move |bits| {
            u64::from(from_whole(wide(a, bits), r.unwrap_or(Rounding::Nearest)).to_bits())
        }),
        (Type::F(_), a) => placed(builder, types, o, move |bits| (wide(a, bits) as f64).to_bits()),
        (d, Type::F(32)) => placed(builder, types, o, move |bits| to_whole(d, rounded(single(bits)), d.bits() == 64)),
        (d, Type::F(_)) => placed(builder, types, o, move |bits| to_whole(d, rounded(f64::from_bits(bits)), true)),
        (d, a) if sat => placed(builder, types, o, move |bits| clamp(d, wide(a, bits))),
        (d, a) => placed(builder, types, o, move |bits| extended(d, extended(a, bits))),
    }
}

/// Whether a conversion is of the subset: a rounding modifier where there is something to round, `.ftz` where single precision
/// is read or narrowed to, `.sat` where it makes a difference.
fn is_known(d: Type, a: Type, integral: Option<Rounding>, round: Option<Rounding>, [ftz, sat]: [bool; 2]) -> bool {
    let whole = |typ: Type| matches!(typ, Type::U(_) | Type::S(_));
    match (d, a) {
        (Type::F(32), Type::F(32)) => round.is_none(),
        (Type::F(32), Type::F(64)) => round.is_some() && integral.is_none(),
        (Type::F(64), Type::F(32)) => round.is_none() && integral.is_none(),
        (Type::F(64), Type::F(64)) => round.is_none() && !ftz,
        (Type::F(32), a) if whole(a) => round.is_some() && integral.is_none() && !ftz && !sat,
        (Type::F(64), a) if whole(a) => round == Some(Rounding::Nearest) && integral.is_none() && !ftz && !sat,
        (d, Type::F(bits)) if whole(d) => integral.is_some() && round.is_none() && !(ftz && bits == 64) && !sat,
        (d, a) if whole(d) && whole(a) => {
            // Types whose numbers the other has too leave nothing to saturate.
            let narrower = match (d, a) {
                (Type::S(d), Type::U(a)) => a >= d,
                (Type::U(_), Type::S(_)) => true,
                (d, a) => a.bits() > d.bits(),
            };
            integral.is_none() && round.is_none() && !ftz && (narrower || !sat)
        }
        _ => false,
    }
}

/// A conversion on registers that may be wider than whole types, but no narrower (section 9.4.1).
fn placed(
    builder: &mut Builder,
    [dtype, atype]: [Type; 2],
    o: &[Operand],
    f: impl Fn(u64) -> u64 + Send + Sync + 'static,
) -> Decoded {
    fn map<A: Value<Slot = A> + Slot + Into<u64>, D: Value<Slot = D> + Slot>(
        [d, a]: [usize; 2],
        f: impl Fn(u64) -> u64 + Send + Sync + 'static,
    ) -> Compute {
        lanes::map1(d, a, move |x: A| D::truncate(f(x.into())))
    }
    let fits = |bits: u32, typ: Type| bits == typ.bits() || bits > typ.bits() && !matches!(typ, Type::F(_));
    let [d, a] = exactly(o)?;
    let wide_enough = match a {
        Operand::Name(name) => fits(builder.register(name)?.1, atype),
        Operand::Special(_) => fits(32, atype),
        Operand::Int(_) => !matches!(atype, Type::F(_)),
        _ => false,
    };
    let a = builder.any_source(a)?;
    let d = builder.any_dest(d, dtype.bits().max(16))?;
    let bits = match d {
        Dest::Word(_, bits) => bits,
        Dest::Long(_) => 64,
        Dest::Predicate(_) => 0,
    };
    if !wide_enough || !fits(bits, dtype) {
        return Err(format!("these operands are not of types {dtype:?} and {atype:?}"));
    }
    Ok(Action::Compute(match (d, a) {
        (Dest::Word(d, 16), Reg::Word(a)) => map::<u32, u32>([d, a], move |x| f(x) & 0xffff),
        (Dest::Word(d, 16), Reg::Long(a)) => map::<u64, u32>([d, a], move |x| f(x) & 0xffff),
        (Dest::Word(d, _), Reg::Word(a)) => map::<u32, u32>([d, a], f),
        (Dest::Word(d, _), Reg::Long(a)) => map::<u64, u32>([d, a], f),
        (Dest::Long(d), Reg::Word(a)) => map::<u32, u64>([d, a], f),
        (Dest::Long(d), Reg::Long(a)) => map::<u64, u64>([d, a], f),
        _ => return Err("a predicate cannot be converted".into()),
    }))
}

/// The lowest bits of a number as the type sees them, extended to 64 bits.
fn extended(typ: Type, bits: u64) -> u64 {
    let unused = 64 - typ.bits();
    match typ {
        Type::S(_) => ((bits << unused) as i64 >> unused) as u64,
        _ => bits << unused >> unused,
    }
}

/// The whole number that the type sees.
fn wide(typ: Type, bits: u64) -> i128 {
    match typ {
        Type::S(_) => i128::from(extended(typ, bits) as i64),
        _ => i128::from(extended(typ, bits)),
    }
}

/// The nearest number of the type.
fn clamp(typ: Type, value: i128) -> u64 {
    let (low, high) = match typ {
        Type::S(bits) => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
        typ => (0, (1i128 << typ.bits()) - 1),
    };
    value.clamp(low, high) as u64
}

fn to_integral(x: f64, rounding: Rounding) -> f64 {
    match rounding {
        Rounding::Nearest => x.round_ties_even(),
        Rounding::Zero => x.trunc(),
        Rounding::Down => x.floor(),
        Rounding::Up => x.ceil(),
    }
}

/// Out of range gives the nearest number; what is not a number gives zero, or, where either type has 64 bits, the number
/// whose highest bit alone is set.
fn to_whole(typ: Type, x: f64, any_wide: bool) -> u64 {
    match x.is_nan() {
        true if any_wide => extended(typ, 1 << (typ.bits() - 1)),
        true => 0,
        false => clamp(typ, x as i128),
    }
}

fn from_whole(value: i128, rounding: Rounding) -> f32 {
    let near = value as f64;
    // Of 64 bits the lowest may be lost: an odd last bit stands for them.
    let error = (value - near as i128) as f64;
    rounding::narrow(rounding::odd(near, error), rounding)
}
