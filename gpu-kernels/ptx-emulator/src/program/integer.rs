//! Integer arithmetic, logic, shifts and bit fields (PTX ISA, sections 9.7.1, 9.7.8 and 9.7.9.7).

use super::decoder::{Decoded, Decoder, exactly};
use super::forms::{Table, typed_forms};
use super::instruction::{Action, Reduction};
use crate::ptx::syntax::Operand;

/// Adds the forms of integer arithmetic.
fn arithmetic(table: &mut Table) {
    typed_forms! { table, (T, Wide) in [(u16, u32) (s16, i32) (u32, u64) (s32, i64) (u64, u128) (s64, i128)] {
        "add" => T::wrapping_add,
        "sub" => T::wrapping_sub,
        "mul.lo" => T::wrapping_mul,
        "mul.hi" => |a: T, b: T| ((Wide::from(a) * Wide::from(b)) >> T::BITS) as T,
        "mad.lo" => |a: T, b: T, c: T| a.wrapping_mul(b).wrapping_add(c),
        "mad.hi" => |a: T, b: T, c: T| (((Wide::from(a) * Wide::from(b)) >> T::BITS) as T).wrapping_add(c),
        // Division by zero gives an unspecified value (section 9.7.1.7). GPUs give all ones.
        "div" => |a: T, b: T| if b == 0 { !0 } else { a.wrapping_div(b) },
        // The remainder by zero is unspecified as well (section 9.7.1.8). The emulator gives the dividend.
        "rem" => |a: T, b: T| if b == 0 { a } else { a.wrapping_rem(b) },
        "min" => <T as Ord>::min,
        "max" => <T as Ord>::max,
    } }
    typed_forms! { table, (T, Wide) in [(u16, u32) (s16, i32) (u32, u64) (s32, i64)] {
        "mul.wide" => |a: T, b: T| Wide::from(a) * Wide::from(b),
        "mad.wide" => |a: T, b: T, c: Wide| (Wide::from(a) * Wide::from(b)).wrapping_add(c),
    } }
    typed_forms! { table, T in [s16 s32 s64] {
        "neg" => T::wrapping_neg,
        "abs" => T::wrapping_abs,
    } }
    // Saturation is for `.s32` alone (sections 9.7.1.1 and 9.7.1.2).
    table.lanes("add.sat.s32", i32::saturating_add);
    table.lanes("sub.sat.s32", i32::saturating_sub);
}

/// Returns the sign-extended or zero-extended lowest 24 bits of a value.
#[inline]
fn low24(a: u32, signed: bool) -> i64 {
    if signed { i64::from((a << 8) as i32 >> 8) } else { i64::from(a & 0xff_ffff) }
}

/// Adds the multiplications of 24 bits (sections 9.7.1.5 and 9.7.1.6). The product has 48 bits.
fn multiplications_of_24_bits(table: &mut Table) {
    for (typ, signed) in [("u32", false), ("s32", true)] {
        for (half, shift) in [("lo", 0), ("hi", 16)] {
            let product = move |a, b| ((low24(a, signed) * low24(b, signed)) >> shift) as u32;
            table.lanes(&format!("mul24.{half}.{typ}"), product);
            table.lanes(&format!("mad24.{half}.{typ}"), move |a, b, c: u32| product(a, b).wrapping_add(c));
        }
    }
    table.lanes("mad24.hi.sat.s32", |a: u32, b: u32, c: i32| {
        (((low24(a, true) * low24(b, true)) >> 16) as i32).saturating_add(c)
    });
    table.lanes("mad.hi.sat.s32", |a: i32, b: i32, c: i32| {
        ((i64::from(a) * i64::from(b)) >> 32).saturating_add(i64::from(c)).clamp(i32::MIN.into(), i32::MAX.into())
            as i32
    });
}

/// Adds the dot products of bytes and of words with bytes (sections 9.7.1.23 and 9.7.1.24).
fn dot_products(table: &mut Table) {
    fn part(x: u32, at: u32, bits: u32, signed: bool) -> u32 {
        let shifted = x >> at << (32 - bits);
        if signed { (shifted as i32 >> (32 - bits)) as u32 } else { shifted >> (32 - bits) }
    }
    for (a_type, a_signed) in [("u32", false), ("s32", true)] {
        for (b_type, b_signed) in [("u32", false), ("s32", true)] {
            table.lanes(&format!("dp4a.{a_type}.{b_type}"), move |a: u32, b: u32, c: u32| {
                (0..4).fold(c, |sum, i| {
                    sum.wrapping_add(part(a, 8 * i, 8, a_signed).wrapping_mul(part(b, 8 * i, 8, b_signed)))
                })
            });
            for (half, first) in [("lo", 0), ("hi", 16)] {
                table.lanes(&format!("dp2a.{half}.{a_type}.{b_type}"), move |a: u32, b: u32, c: u32| {
                    (0..2).fold(c, |sum, i| {
                        let byte = part(b, first + 8 * i, 8, b_signed);
                        sum.wrapping_add(part(a, 16 * i, 16, a_signed).wrapping_mul(byte))
                    })
                });
            }
        }
    }
}

/// Adds the forms of other integer instructions that only hand-written code has.
fn rare(table: &mut Table) {
    typed_forms! { table, T in [u16 u32 u64 s16 s32 s64] {
        "sad" => |a: T, b: T, c: T| c.wrapping_add(if a < b { b.wrapping_sub(a) } else { a.wrapping_sub(b) }),
    } }
    table.lanes("bmsk.clamp.b32", |at: u32, len: u32| mask(at.min(32), len.min(32)));
    table.lanes("bmsk.wrap.b32", |at: u32, len: u32| mask(at & 31, len & 31));
    table.lanes("szext.clamp.u32", |a: u32, n: u32| a & mask(0, n.min(32)));
    table.lanes("szext.wrap.u32", |a: u32, n: u32| a & mask(0, n & 31));
    table.lanes("szext.clamp.s32", |a: u32, n: u32| sign_extended(a, n.min(32)));
    table.lanes("szext.wrap.s32", |a: u32, n: u32| sign_extended(a, n & 31));
    table.lanes("fns.b32", find_nth_set);
    table.lanes("prmt.b32.f4e", |a: u32, b: u32, n: u32| (pair(a, b) >> (8 * (n & 3))) as u32);
    table.lanes("prmt.b32.b4e", |a: u32, b: u32, n: u32| {
        permute(a, b, [0x5670, 0x6701, 0x7012, 0x0123][n as usize & 3])
    });
    table.lanes("prmt.b32.rc8", |a: u32, b: u32, n: u32| permute(a, b, 0x1111 * (n & 3)));
    table.lanes("prmt.b32.ecl", |a: u32, b: u32, n: u32| {
        permute(a, b, [0x3210, 0x3211, 0x3222, 0x3333][n as usize & 3])
    });
    table.lanes("prmt.b32.ecr", |a: u32, b: u32, n: u32| {
        permute(a, b, [0x0000, 0x1110, 0x2210, 0x3210][n as usize & 3])
    });
    table.lanes("prmt.b32.rc16", |a: u32, b: u32, n: u32| permute(a, b, [0x1010, 0x3232][n as usize & 1]));
}

/// Adds the operations on pairs of 16 bits, and the maxima and minima that `.relu` clamps at zero.
fn pairs(table: &mut Table) {
    type Function = fn(i32, i32) -> i32;
    let functions: [(&str, Function); 3] = [("add", |a, b| a + b), ("min", i32::min), ("max", i32::max)];
    for (name, function) in functions {
        for (typ, signed) in [("u16x2", false), ("s16x2", true)] {
            let half = move |a: u32, at: u32| {
                let half = (a >> at) as u16;
                if signed { i32::from(half as i16) } else { half.into() }
            };
            let both = move |a: u32, b: u32, least: i32| {
                [0, 16]
                    .iter()
                    .fold(0, |all, at| all | (function(half(a, *at), half(b, *at)).max(least) as u32 & 0xffff) << at)
            };
            table.lanes(&format!("{name}.{typ}"), move |a: u32, b: u32| both(a, b, i32::MIN));
            if signed && name != "add" {
                table.lanes(&format!("{name}.relu.{typ}"), move |a: u32, b: u32| both(a, b, 0));
            }
        }
    }
    table.lanes("min.relu.s32", |a: i32, b: i32| a.min(b).max(0));
    table.lanes("max.relu.s32", |a: i32, b: i32| a.max(b).max(0));
}

/// Returns `len` ones from bit `at` on.
#[inline]
fn mask(at: u32, len: u32) -> u32 {
    let ones = u32::MAX.checked_shr(32 - len).unwrap_or(0);
    ones.checked_shl(at).unwrap_or(0)
}

/// Returns the lowest `bits` bits of a value, extended by the highest of them.
#[inline]
fn sign_extended(a: u32, bits: u32) -> u32 {
    let unused = 32 - bits;
    (a.checked_shl(unused).unwrap_or(0) as i32).checked_shr(unused).unwrap_or(0) as u32
}

/// Returns the position of the `offset`-th set bit from bit `base` on, up for positive offsets, down for negative ones. An
/// offset of 0 finds `base` itself. Without such a bit, returns all ones (section 9.7.1.17).
fn find_nth_set(mask: u32, base: u32, offset: i32) -> u32 {
    if base > 31 {
        return u32::MAX;
    }
    let has = |at: &u32| mask.checked_shr(*at).unwrap_or(0) & 1 == 1;
    let nth = offset.unsigned_abs().saturating_sub(1) as usize;
    let found = match offset {
        0 => Some(base).filter(has),
        1.. => (base..32).filter(has).nth(nth),
        _ => (0..=base).rev().filter(has).nth(nth),
    };
    found.unwrap_or(u32::MAX)
}

/// Adds the forms of integer instructions.
pub(super) fn forms(table: &mut Table) {
    arithmetic(table);
    multiplications_of_24_bits(table);
    dot_products(table);
    rare(table);
    pairs(table);
    table.lanes("and.pred", |a: bool, b: bool| a & b);
    table.lanes("or.pred", |a: bool, b: bool| a | b);
    table.lanes("xor.pred", |a: bool, b: bool| a ^ b);
    table.lanes("not.pred", |a: bool| !a);
    typed_forms! { table, T in [b16 b32 b64] {
        "and" => |a: T, b: T| a & b,
        "or" => |a: T, b: T| a | b,
        "xor" => |a: T, b: T| a ^ b,
        "not" => |a: T| !a,
        "cnot" => |a: T| T::from(a == 0),
        "shl" => |a: T, n: u32| a.checked_shl(n).unwrap_or(0),
    } }
    // A shift by the width or more shifts out all bits (section 9.7.8.8).
    typed_forms! { table, T in [b16 u16 b32 u32 b64 u64] {
        "shr" => |a: T, n: u32| a.checked_shr(n).unwrap_or(0),
    } }
    typed_forms! { table, T in [s16 s32 s64] {
        "shr" => |a: T, n: u32| a >> n.min(T::BITS - 1),
    } }
    typed_forms! { table, T in [b32 b64] {
        "bfi" => |a: T, b: T, at: u32, len: u32| insert(a, b, at, len) as T,
        "brev" => T::reverse_bits,
        "popc" => T::count_ones,
        "clz" => T::leading_zeros,
    } }
    // Only the lowest eight bits of position and length count. A signed field is extended by its highest bit. A field
    // that reaches beyond the value ends in copies of the value's sign bit (section 9.7.1.18). The wide type supplies
    // the copies.
    typed_forms! { table, (T, Wide) in [(u32, u128) (u64, u128) (s32, i128) (s64, i128)] {
        "bfe" => |a: T, at: u32, len: u32| {
            let unused = 128 - (len & 0xff).min(128);
            (Wide::from(a) >> (at & 0xff).min(127)).checked_shl(unused).unwrap_or(0).checked_shr(unused).unwrap_or(0) as T
        },
    } }
    // `bfind` finds the highest bit that differs from the sign bit (section 9.7.1.16).
    typed_forms! { table, T in [u32 u64] {
        "bfind" => |a: T| T::BITS.wrapping_sub(1 + a.leading_zeros()),
        "bfind.shiftamt" => |a: T| if a == 0 { u32::MAX } else { a.leading_zeros() },
    } }
    typed_forms! { table, T in [s32 s64] {
        "bfind" => |a: T| T::BITS.wrapping_sub(1 + (a ^ a >> (T::BITS - 1)).leading_zeros()),
        "bfind.shiftamt" => |a: T| if matches!(a, 0 | -1) { u32::MAX } else { (a ^ a >> (T::BITS - 1)).leading_zeros() },
    } }
    table.lanes("shf.l.wrap.b32", |a: u32, b: u32, n: u32| ((pair(a, b) << (n & 31)) >> 32) as u32);
    table.lanes("shf.l.clamp.b32", |a: u32, b: u32, n: u32| ((pair(a, b) << n.min(32)) >> 32) as u32);
    table.lanes("shf.r.wrap.b32", |a: u32, b: u32, n: u32| (pair(a, b) >> (n & 31)) as u32);
    table.lanes("shf.r.clamp.b32", |a: u32, b: u32, n: u32| (pair(a, b) >> n.min(32)) as u32);
    table.lanes("prmt.b32", permute);
    table.add("lop3.b32", lop3);
    table.add("lop3.or|and|xor.b32", lop3_predicate);
}

/// Returns the 64 bits of two words, `low` below `high`.
#[inline]
fn pair(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// Returns `b` with the lowest `len` bits of `a` inserted at bit `at` (`bfi`, section 9.7.1.19).
#[inline]
fn insert<T: Into<u64>>(a: T, b: T, at: u32, len: u32) -> u64 {
    let (a, b, at, len) = (a.into(), b.into(), at & 0xff, len & 0xff);
    let field = if len >= 64 { u64::MAX } else { (1 << len) - 1 };
    let field = field.checked_shl(at).unwrap_or(0);
    b & !field | a.checked_shl(at).unwrap_or(0) & field
}

/// Returns the bytes of `a` and `b` that the nibbles of `selector` select. A nibble of 8 or more selects copies of a
/// byte's sign bit (`prmt.b32`).
#[inline]
fn permute(a: u32, b: u32, selector: u32) -> u32 {
    let bytes = pair(a, b).to_le_bytes();
    u32::from_le_bytes([0, 4, 8, 12].map(|at| {
        let nibble = selector >> at & 0xf;
        let byte = bytes[nibble as usize & 7];
        if nibble & 8 == 0 { byte } else { ((byte as i8) >> 7) as u8 }
    }))
}

/// Returns the bits that a table of `lop3` gives. Each bit of the result is bit `4a + 2b + c` of the table (section
/// 9.7.8.6).
#[inline]
fn by_table(table: u32, a: u32, b: u32, c: u32) -> u32 {
    let term = |row: u32| {
        let side = |bit: u32, x: u32| if row >> bit & 1 == 1 { x } else { !x };
        if table >> row & 1 == 1 { side(2, a) & side(1, b) & side(0, c) } else { 0 }
    };
    (0..8).fold(0, |bits, row| bits | term(row))
}

/// Returns the table of a `lop3`.
fn table_of(operand: &Operand) -> Decoded<u32> {
    match operand {
        Operand::Int(table @ 0..=255) => Ok(*table as u32),
        _ => Err("expected a table from 0 to 255".into()),
    }
}

/// Decodes `lop3.b32 d, a, b, c, table`.
fn lop3(i: &mut Decoder) -> Decoded {
    let table = table_of(&exactly::<5>(i.operands)?[4])?;
    i.operands = &i.operands[..4];
    i.compute(move |a: u32, b: u32, c: u32| by_table(table, a, b, c))
}

/// Decodes `lop3.op.b32 d|p, a, b, c, table, {!}q`, where `p` combines `q` with whether `d` is not zero.
fn lop3_predicate(i: &mut Decoder) -> Decoded {
    let [d, a, b, c, table, q] = exactly(i.operands)?;
    let Operand::Pair(results) = d else { return Err("expected two results".into()) };
    let (table, sources) = (table_of(table)?, [i.source(a, 32)?, i.source(b, 32)?, i.source(c, 32)?]);
    let ((q, negated), p) = (i.negatable(q)?, i.dest(&results[1], 1)?);
    let d = i.any_dest(&results[0], 32)?;
    let operations: [(&str, Reduction); 3] = [("or", |p, q| p | q), ("and", |p, q| p & q), ("xor", |p, q| p ^ q)];
    let combine = i.one_of(&operations).expect("the form has an operation");
    Ok(Action::Compute(Box::new(move |registers, mask| {
        let [a, b, c] = sources.map(|slot| registers.b32[slot]);
        let q = registers.predicates[q] ^ if negated { u32::MAX } else { 0 };
        let mut nonzero = 0;
        for lane in (0..32).filter(|lane| mask >> lane & 1 == 1) {
            let value = by_table(table, a[lane], b[lane], c[lane]);
            nonzero |= u32::from(value != 0) << lane;
            registers.set(d, lane as u32, value.into());
        }
        registers.set_predicate(p, mask, combine(nonzero, q));
    })))
}
