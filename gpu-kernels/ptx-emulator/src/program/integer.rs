//! Integer arithmetic, logic, shifts and bit fields (PTX ISA, sections 9.7.1, 9.7.8 and 9.7.9.7).

use super::decoder::{Decoded, Decoder, exactly};
use super::forms::{Table, typed_forms};
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

/// Adds the forms of integer instructions.
pub(super) fn forms(table: &mut Table) {
    arithmetic(table);
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
}

/// Returns the 64 bits of two words, `low` below `high`.
fn pair(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// Returns `b` with the lowest `len` bits of `a` inserted at bit `at` (`bfi`, section 9.7.1.19).
fn insert<T: Into<u64>>(a: T, b: T, at: u32, len: u32) -> u64 {
    let (a, b, at, len) = (a.into(), b.into(), at & 0xff, len & 0xff);
    let field = if len >= 64 { u64::MAX } else { (1 << len) - 1 };
    let field = field.checked_shl(at).unwrap_or(0);
    b & !field | a.checked_shl(at).unwrap_or(0) & field
}

/// Returns the bytes of `a` and `b` that the nibbles of `selector` select. A nibble of 8 or more selects copies of a
/// byte's sign bit (`prmt.b32`).
fn permute(a: u32, b: u32, selector: u32) -> u32 {
    let bytes = pair(a, b).to_le_bytes();
    u32::from_le_bytes([0, 4, 8, 12].map(|at| {
        let nibble = selector >> at & 0xf;
        let byte = bytes[nibble as usize & 7];
        if nibble & 8 == 0 { byte } else { ((byte as i8) >> 7) as u8 }
    }))
}

/// Decodes `lop3.b32 d, a, b, c, table`. Each bit of the result is bit `4a + 2b + c` of the table (section 9.7.8.6).
fn lop3(i: &mut Decoder) -> Decoded {
    let [_, _, _, _, Operand::Int(table @ 0..=255)] = exactly(i.operands)? else {
        return Err("expected a table from 0 to 255 as the last operand".into());
    };
    let table = *table as u32;
    i.operands = &i.operands[..4];
    i.compute(move |a: u32, b: u32, c: u32| {
        let term = |row: u32| {
            let side = |bit: u32, x: u32| if row >> bit & 1 == 1 { x } else { !x };
            if table >> row & 1 == 1 { side(2, a) & side(1, b) & side(0, c) } else { 0 }
        };
        (0..8).fold(0, |bits, row| bits | term(row))
    })
}
