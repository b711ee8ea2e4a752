//! Comparison and selection (PTX ISA, section 9.7.6).

use std::cmp::Ordering;

use super::builder::Builder;
use super::decode::integer;
use super::float::flush;
use super::operands::{Decoded, Modifiers, exactly, not_for};
use super::{Action, Registers, lanes};
use crate::ptx::syntax::{Operand, Type};

/// The lanes where a comparison holds.
type Test = Box<dyn Fn(&Registers) -> u32 + Send + Sync>;

/// All comparison operators (section 9.3.1 and 9.3.2).
const OPERATORS: [&str; 18] = [
    "eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan",
];

/// Which orders of `a` to `b` satisfy the operator; None is the order of what cannot be compared.
fn satisfied(operator: &str, order: Option<Ordering>) -> bool {
    use Ordering::{Equal, Greater, Less};
    match (operator, order) {
        // Those that end in `u` hold too if either is not a number (section 9.3.2).
        ("equ" | "neu" | "ltu" | "leu" | "gtu" | "geu" | "nan", None) => true,
        ("nan" | "num", order) => (operator == "num") == order.is_some(),
        (_, None) => false,
        (_, Some(order)) => match operator {
            "eq" | "equ" => order == Equal,
            "ne" | "neu" => order != Equal,
            "lt" | "ltu" | "lo" => order == Less,
            "le" | "leu" | "ls" => order != Greater,
            "gt" | "gtu" | "hi" => order == Greater,
            _ => order != Less,
        },
    }
}

/// The test of a comparison operator on two operands.
fn test(builder: &mut Builder, operator: &str, typ: Type, ftz: bool, a: &Operand, b: &Operand) -> Decoded<Test> {
    let known = match typ {
        Type::F(_) => "eq ne lt le gt ge equ neu ltu leu gtu geu num nan",
        Type::S(_) => "eq ne lt le gt ge",
        Type::U(_) => "eq ne lt le gt ge lo ls hi hs",
        _ => "eq ne",
    };
    if !known.split(' ').any(|name| name == operator) {
        return Err(format!("comparison `.{operator}` is not one of type {typ:?}"));
    }
    if ftz && typ != Type::F(32) {
        return Err("`.ftz` is for single precision".into());
    }
    /// A test with the operator resolved once.
    macro_rules! resolved {
        ($T:ty, $prepare:expr) => {{
            let sources = [builder.source::<$T>(a)?, builder.source::<$T>(b)?];
            let [less, equal, greater] =
                [Ordering::Less, Ordering::Equal, Ordering::Greater].map(|order| satisfied(operator, Some(order)));
            let unordered = satisfied(operator, None);
            let prepare = $prepare;
            Ok(Box::new(move |registers: &Registers| {
                lanes::holds::<$T>(registers, sources, |a, b| {
                    let (a, b) = (prepare(a), prepare(b));
                    a < b && less || a == b && equal || a > b && greater || !(a <= b || a > b) && unordered
                })
            }) as Test)
        }};
    }
    match typ {
        Type::F(32) => resolved!(f32, move |x: f32| if ftz { flush(x) } else { x }),
        Type::F(64) => resolved!(f64, |x: f64| x),
        typ => integer!(typ, T => resolved!(T, |x: T| x)),
    }
}

fn operator(m: &mut Modifiers) -> Decoded<&'static str> {
    m.one_of(&OPERATORS.map(|name| (name, name))).ok_or_else(|| "its comparison is missing".into())
}

/// `.and`, `.or` or `.xor` of a result with a third predicate.
fn combination(m: &mut Modifiers) -> Option<fn(u32, u32) -> u32> {
    m.one_of::<fn(u32, u32) -> u32>(&[("and", |a, b| a & b), ("or", |a, b| a | b), ("xor", |a, b| a ^ b)])
}

/// Decodes comparisons and selections.
pub(super) fn decode(builder: &mut Builder, opcode: &str, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    match opcode {
        "setp" => setp(builder, m, o),
        "set" => set(builder, m, o),
        "selp" => selp(builder, m, o),
        _ => slct(builder, m, o),
    }
}

/// `setp.op{.bool}{.ftz}.type p{|q}, a, b{, {!}c}` (section 9.7.6.2).
fn setp(builder: &mut Builder, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    let operator = operator(m)?;
    let combine = combination(m);
    let ftz = m.eat("ftz");
    let typ = m.typ()?;
    m.end()?;
    let (d, a, b, c) = match (o, combine) {
        ([d, a, b], None) => (d, a, b, None),
        ([d, a, b, c], Some(combine)) => (d, a, b, Some((builder.signed_predicate(c)?, combine))),
        _ => return Err("it takes another number of operands".into()),
    };
    let test = test(builder, operator, typ, ftz, a, b)?;
    let (p, q) = match d {
        Operand::Pair(p, q) => (builder.dest(p, 1)?, Some(builder.dest(q, 1)?)),
        d => (builder.dest(d, 1)?, None),
    };
    Ok(Action::Compute(Box::new(move |registers, mask| {
        let (mut holds, mut fails) = (test(registers), 0);
        if q.is_some() {
            fails = !holds;
        }
        if let Some(((c, negated), combine)) = c {
            let c = registers.predicates[c] ^ if negated { u32::MAX } else { 0 };
            (holds, fails) = (combine(holds, c), combine(fails, c));
        }
        lanes::set_predicate(registers, p, holds, mask);
        if let Some(q) = q {
            lanes::set_predicate(registers, q, fails, mask);
        }
    })))
}

/// `set.op{.ftz}.dtype.stype d, a, b` (section 9.7.6.1): all ones or 1.0 where the comparison holds.
fn set(builder: &mut Builder, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    let operator = operator(m)?;
    let ftz = m.eat("ftz");
    let (dtype, stype) = (m.typ()?, m.typ()?);
    m.end()?;
    let yes = match dtype {
        Type::U(32) | Type::S(32) => u32::MAX,
        Type::F(32) => 1f32.to_bits(),
        _ => return Err(not_for(dtype)),
    };
    let [d, a, b] = exactly(o)?;
    let test = test(builder, operator, stype, ftz, a, b)?;
    let d = builder.dest(d, 32)?;
    Ok(Action::Compute(Box::new(move |registers, mask| {
        let holds = test(registers);
        for lane in (0..32).filter(|lane| mask >> lane & 1 == 1) {
            registers.words[d][lane] = if holds >> lane & 1 == 1 { yes } else { 0 };
        }
    })))
}

/// `selp.type d, a, b, c` (section 9.7.6.3).
fn selp(builder: &mut Builder, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    let typ = m.typ()?;
    m.end()?;
    let [d, a, b, p] = exactly(o)?;
    let p = builder.predicate(p)?;
    match typ.bits() {
        16 => select::<u16>(builder, d, a, b, p),
        32 => select::<u32>(builder, d, a, b, p),
        64 => select::<u64>(builder, d, a, b, p),
        _ => Err(not_for(typ)),
    }
}

fn select<T: lanes::Value>(builder: &mut Builder, d: &Operand, a: &Operand, b: &Operand, p: usize) -> Decoded {
    let sources = [builder.source::<T>(a)?, builder.source::<T>(b)?];
    Ok(Action::Compute(lanes::select::<T>(builder.dest(d, T::BITS)?, sources, p)))
}

/// `slct.dtype.s32 d, a, b, c` (section 9.7.6.4): `a` where `c >= 0`.
fn slct(builder: &mut Builder, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    let (dtype, ctype) = (m.typ()?, m.typ()?);
    m.end()?;
    match (dtype.bits(), ctype) {
        (32, Type::S(32)) => builder.ternary(o, |a: u32, b: u32, c: i32| if c >= 0 { a } else { b }),
        (64, Type::S(32)) => builder.ternary(o, |a: u64, b: u64, c: i32| if c >= 0 { a } else { b }),
        _ => Err(not_for(ctype)),
    }
}
