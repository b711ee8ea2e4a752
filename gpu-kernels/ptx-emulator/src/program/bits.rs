//! Logic, shifts and bit fields (PTX ISA, sections 9.7.1.10 to 9.7.1.20, 9.7.8 and 9.7.9.7).

use super::builder::Builder;
use super::decode::integer;
use super::operands::{Decoded, Modifiers, exactly, not_for};
use super::{Action, lanes};
use crate::ptx::syntax::{Operand, Type};

pub(super) fn decode(builder: &mut Builder, opcode: &str, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    match opcode {
        "shf" => return funnel_shift(builder, m, o),
        "bfind" => return find_leading(builder, m, o),
        _ => {}
    }
    let typ = m.typ()?;
    m.end()?;
    match (opcode, typ) {
        ("and" | "or" | "xor" | "not", Type::Pred) => predicates(builder, opcode, o),
        ("and" | "or" | "xor" | "not" | "cnot" | "shl", Type::B(_)) => logic(builder, opcode, typ, o),
        // A shift by the width or more gives what the shifts one by one would (section 9.7.8.8).
        ("shr", Type::S(16)) => builder.binary(o, |a: i16, n: u32| a >> n.min(15)),
        ("shr", Type::S(32)) => builder.binary(o, |a: i32, n: u32| a >> n.min(31)),
        ("shr", Type::S(64)) => builder.binary(o, |a: i64, n: u32| a >> n.min(63)),
        ("shr", typ) => integer!(typ, T => builder.binary(o, |a: T, n: u32| a.checked_shr(n).unwrap_or(0))),
        ("bfe", Type::U(32)) => builder.ternary(o, |a: u32, at: u32, len: u32| extract(a.into(), at, len, 32) as u32),
        ("bfe", Type::U(64)) => builder.ternary(o, |a: u64, at: u32, len: u32| extract(a, at, len, 64)),
        ("bfe", Type::S(32)) => {
            builder.ternary(o, |a: i32, at: u32, len: u32| extract_signed(i64::from(a) as u64, at, len, 32) as i32)
        }
        ("bfe", Type::S(64)) => builder.ternary(o, |a: i64, at: u32, len: u32| extract_signed(a as u64, at, len, 64)),
        ("bfi", Type::B(32)) => {
            insert_field::<u32>(builder, o, |a, b, at, len| insert(a.into(), b.into(), at, len, 32) as u32)
        }
        ("bfi", Type::B(64)) => insert_field::<u64>(builder, o, |a, b, at, len| insert(a, b, at, len, 64)),
        ("brev", Type::B(32)) => builder.unary(o, u32::reverse_bits),
        ("brev", Type::B(64)) => builder.unary(o, u64::reverse_bits),
        ("popc", Type::B(32)) => builder.unary(o, u32::count_ones),
        ("popc", Type::B(64)) => builder.unary(o, u64::count_ones),
        ("clz", Type::B(32)) => builder.unary(o, u32::leading_zeros),
        ("clz", Type::B(64)) => builder.unary(o, u64::leading_zeros),
        ("prmt", Type::B(32)) => builder.ternary(o, permute),
        ("lop3", Type::B(32)) => lop3(builder, o),
        _ => Err(not_for(typ)),
    }
}

fn logic(builder: &mut Builder, opcode: &str, typ: Type, o: &[Operand]) -> Decoded {
    match opcode {
        "and" => integer!(typ, T => builder.binary(o, |a: T, b: T| a & b)),
        "or" => integer!(typ, T => builder.binary(o, |a: T, b: T| a | b)),
        "xor" => integer!(typ, T => builder.binary(o, |a: T, b: T| a ^ b)),
        "not" => integer!(typ, T => builder.unary(o, |a: T| !a)),
        "cnot" => integer!(typ, T => builder.unary(o, |a: T| T::from(a == 0))),
        _ => integer!(typ, T => builder.binary(o, |a: T, n: u32| a.checked_shl(n).unwrap_or(0))),
    }
}

fn predicates(builder: &mut Builder, opcode: &str, o: &[Operand]) -> Decoded {
    let f: fn(u32, u32) -> u32 = match opcode {
        "and" => |a, b| a & b,
        "or" => |a, b| a | b,
        "xor" => |a, b| a ^ b,
        _ => |a, _| !a,
    };
    let (d, a, b) = match o {
        [d, a] if opcode == "not" => (d, a, a),
        [d, a, b] if opcode != "not" => (d, a, b),
        _ => return Err("it takes another number of operands".into()),
    };
    let (a, b) = (builder.predicate(a)?, builder.predicate(b)?);
    let d = builder.dest(d, 1)?;
    Ok(Action::Compute(Box::new(move |registers, mask| {
        let (a, b) = (registers.predicates[a], registers.predicates[b]);
        lanes::set_predicate(registers, d, f(a, b), mask);
    })))
}

/// `shf.{l,r}.{clamp,wrap}.b32` (section 9.7.8.7).
fn funnel_shift(builder: &mut Builder, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    let left = m.one_of(&[("l", true), ("r", false)]).ok_or("`.l` or `.r` is missing")?;
    let wrap = m.one_of(&[("wrap", true), ("clamp", false)]).ok_or("`.wrap` or `.clamp` is missing")?;
    let typ = m.typ()?;
    m.end()?;
    if typ != Type::B(32) {
        return Err("its type is `.b32`".into());
    }
    builder.ternary(o, move |a: u32, b: u32, c: u32| {
        let n = if wrap { c & 31 } else { c.min(32) };
        let both = u64::from(b) << 32 | u64::from(a);
        if left { ((both << n) >> 32) as u32 } else { (both >> n) as u32 }
    })
}

/// `bfind{.shiftamt}` (section 9.7.1.16): the highest bit that is not the sign; all ones if there is none.
fn find_leading(builder: &mut Builder, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    let shift = m.eat("shiftamt");
    let typ = m.typ()?;
    m.end()?;
    let find = move |magnitude: u64, bits: u32| {
        let zeros = magnitude.leading_zeros() - (64 - bits);
        if zeros == bits {
            u32::MAX
        } else if shift {
            zeros
        } else {
            bits - 1 - zeros
        }
    };
    match typ {
        Type::U(32) => builder.unary(o, move |a: u32| find(a.into(), 32)),
        Type::S(32) => builder.unary(o, move |a: i32| find(u64::from((a ^ (a >> 31)) as u32), 32)),
        Type::U(64) => builder.unary(o, move |a: u64| find(a, 64)),
        Type::S(64) => builder.unary(o, move |a: i64| find((a ^ (a >> 63)) as u64, 64)),
        _ => Err(not_for(typ)),
    }
}

/// `len` ones from bit 0 on.
fn ones(len: u32) -> u64 {
    if len >= 64 { u64::MAX } else { (1 << len) - 1 }
}

/// `bfe` (section 9.7.1.18): only the lowest eight bits of position and length count.
fn extract(a: u64, at: u32, len: u32, bits: u32) -> u64 {
    let (at, len) = (at & 0xff, len & 0xff);
    if at >= bits { 0 } else { (a >> at) & ones(len) }
}

/// The field, with the bit at its upper end, or the number's sign if the field reaches beyond it, before it.
fn extract_signed(a: u64, at: u32, len: u32, bits: u32) -> i64 {
    let (at, len) = (at & 0xff, len & 0xff);
    if len == 0 {
        return 0;
    }
    let top = (at + len - 1).min(bits - 1);
    let sign = a >> top & 1 == 1;
    let field = if at >= bits { 0 } else { (a >> at) & ones(len.min(bits - at)) };
    let width = if at >= bits { 0 } else { len.min(bits - at) };
    (if sign { field | !ones(width) } else { field }) as i64
}

/// `bfi` (section 9.7.1.19): `a`'s lowest `len` bits into `b` from bit `at` on.
fn insert(a: u64, b: u64, at: u32, len: u32, bits: u32) -> u64 {
    let (at, len) = (at & 0xff, len & 0xff);
    if at >= bits {
        return b;
    }
    let field = ones(len) << at;
    b & !field | (a << at) & field
}

fn insert_field<T: lanes::Value>(
    builder: &mut Builder,
    o: &[Operand],
    f: impl Fn(T, T, u32, u32) -> T + Send + Sync + 'static,
) -> Decoded {
    let [d, a, b, at, len] = exactly(o)?;
    let values = [builder.source::<T>(a)?, builder.source::<T>(b)?];
    let field = [builder.source::<u32>(at)?, builder.source::<u32>(len)?];
    Ok(Action::Compute(lanes::map4(builder.dest(d, T::BITS)?, values, field, f)))
}

/// `prmt.b32` in its default mode (section 9.7.9.7): four bytes of eight, each by a nibble whose upper bit asks for
/// copies of the byte's sign.
fn permute(a: u32, b: u32, selector: u32) -> u32 {
    let bytes = (u64::from(b) << 32 | u64::from(a)).to_le_bytes();
    let pick = |i: usize| {
        let nibble = selector >> (4 * i) & 0xf;
        let byte = bytes[nibble as usize & 7];
        if nibble & 8 == 0 { byte } else { ((byte as i8) >> 7) as u8 }
    };
    u32::from_le_bytes([pick(0), pick(1), pick(2), pick(3)])
}

/// `lop3.b32` (section 9.7.8.6): bit `4a + 2b + c` of the table.
fn lop3(builder: &mut Builder, o: &[Operand]) -> Decoded {
    let [d, a, b, c, Operand::Int(table @ 0..=255)] = exactly(o)? else {
        return Err("its table is a constant below 256".into());
    };
    let table = *table as u32;
    let three = [d.clone(), a.clone(), b.clone(), c.clone()];
    builder.ternary(&three, move |a: u32, b: u32, c: u32| {
        let term = |i: u32| {
            let side = |bit: u32, x: u32| if i >> bit & 1 == 1 { x } else { !x };
            if table >> i & 1 == 1 { side(2, a) & side(1, b) & side(0, c) } else { 0 }
        };
        (0..8).fold(0, |bits, i| bits | term(i))
    })
}
