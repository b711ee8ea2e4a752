//! The operations on registers, with a function of the operands for each.

use std::cmp::Ordering;

use Kind::{Double as D, Predicate as P, Word as R};

/// A kind of register.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A register `%rN` of 32 bits.
    Word,
    /// A register `%dN` of 64 bits.
    Double,
    /// A predicate `%pN`.
    Predicate,
}

/// An operation of a thread.
pub struct Operation {
    pub mnemonic: &'static str,
    pub result: Kind,
    pub operands: &'static [Kind],
    /// The result, of which the lowest bits count, from operands that are zero-extended.
    pub function: fn(&[u64]) -> u64,
}

const fn operation(
    mnemonic: &'static str,
    result: Kind,
    operands: &'static [Kind],
    function: fn(&[u64]) -> u64,
) -> Operation {
    Operation { mnemonic, result, operands, function }
}

/// Returns the value of an operand in single precision.
fn float(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

/// Returns the bits of a result in single precision. GPUs have one pattern for NaN.
fn bits(x: f32) -> u64 {
    if x.is_nan() { 0x7fff_ffff } else { x.to_bits().into() }
}

fn signed(bits: u64) -> i32 {
    bits as i32
}

pub const OPERATIONS: [Operation; 52] = [
    operation("mov.b32", R, &[R], |s| s[0]),
    operation("add.u32", R, &[R, R], |s| s[0] + s[1]),
    operation("sub.u32", R, &[R, R], |s| s[0].wrapping_sub(s[1])),
    operation("mul.lo.u32", R, &[R, R], |s| s[0].wrapping_mul(s[1])),
    operation("mul.hi.u32", R, &[R, R], |s| (s[0] * s[1]) >> 32),
    operation("mul.hi.s32", R, &[R, R], |s| ((i64::from(signed(s[0])) * i64::from(signed(s[1]))) >> 32) as u64),
    operation("mad.lo.u32", R, &[R, R, R], |s| s[0].wrapping_mul(s[1]).wrapping_add(s[2])),
    operation("div.u32", R, &[R, R], |s| s[0].checked_div(s[1]).unwrap_or(u64::MAX)),
    operation("min.s32", R, &[R, R], |s| signed(s[0]).min(signed(s[1])) as u64),
    operation("max.u32", R, &[R, R], |s| s[0].max(s[1])),
    operation("and.b32", R, &[R, R], |s| s[0] & s[1]),
    operation("or.b32", R, &[R, R], |s| s[0] | s[1]),
    operation("xor.b32", R, &[R, R], |s| s[0] ^ s[1]),
    operation("not.b32", R, &[R], |s| !s[0]),
    operation("shl.b32", R, &[R, R], |s| if s[1] < 32 { s[0] << s[1] } else { 0 }),
    operation("shr.u32", R, &[R, R], |s| if s[1] < 32 { s[0] >> s[1] } else { 0 }),
    operation("shr.s32", R, &[R, R], |s| (signed(s[0]) >> s[1].min(31)) as u64),
    operation("popc.b32", R, &[R], |s| s[0].count_ones().into()),
    operation("clz.b32", R, &[R], |s| u64::from(s[0].leading_zeros()) - 32),
    operation("brev.b32", R, &[R], |s| (s[0] as u32).reverse_bits().into()),
    operation("shf.l.wrap.b32", R, &[R, R, R], |s| ((s[1] << 32 | s[0]) << (s[2] & 31)) >> 32),
    operation("selp.b32", R, &[R, R, P], |s| if s[2] == 1 { s[0] } else { s[1] }),
    operation("abs.s32", R, &[R], |s| signed(s[0]).unsigned_abs().into()),
    operation("add.rn.f32", R, &[R, R], |s| bits(float(s[0]) + float(s[1]))),
    operation("sub.rn.f32", R, &[R, R], |s| bits(float(s[0]) - float(s[1]))),
    operation("mul.rn.f32", R, &[R, R], |s| bits(float(s[0]) * float(s[1]))),
    operation("fma.rn.f32", R, &[R, R, R], |s| bits(float(s[0]).mul_add(float(s[1]), float(s[2])))),
    operation("div.rn.f32", R, &[R, R], |s| bits(float(s[0]) / float(s[1]))),
    operation("sqrt.rn.f32", R, &[R], |s| bits(float(s[0]).sqrt())),
    operation("cvt.rn.f32.s32", R, &[R], |s| bits(signed(s[0]) as f32)),
    operation("cvt.rn.f32.u32", R, &[R], |s| bits(s[0] as f32)),
    operation("cvt.rzi.s32.f32", R, &[R], |s| float(s[0]) as i32 as u64),
    operation("cvt.u32.u64", R, &[D], |s| s[0]),
    operation("cvt.s32.s8", R, &[R], |s| i64::from(s[0] as i8) as u64),
    operation("cvt.u64.u32", D, &[R], |s| s[0]),
    operation("cvt.s64.s32", D, &[R], |s| i64::from(signed(s[0])) as u64),
    operation("mul.wide.u32", D, &[R, R], |s| s[0] * s[1]),
    operation("mul.wide.s32", D, &[R, R], |s| (i64::from(signed(s[0])) * i64::from(signed(s[1]))) as u64),
    operation("add.s64", D, &[D, D], |s| s[0].wrapping_add(s[1])),
    operation("mul.lo.s64", D, &[D, D], |s| s[0].wrapping_mul(s[1])),
    operation("xor.b64", D, &[D, D], |s| s[0] ^ s[1]),
    operation("shr.u64", D, &[D, R], |s| if s[1] < 64 { s[0] >> s[1] } else { 0 }),
    operation("selp.b64", D, &[D, D, P], |s| if s[2] == 1 { s[0] } else { s[1] }),
    operation("setp.lt.s32", P, &[R, R], |s| (signed(s[0]) < signed(s[1])).into()),
    operation("setp.ge.u32", P, &[R, R], |s| (s[0] >= s[1]).into()),
    operation("setp.eq.b32", P, &[R, R], |s| (s[0] == s[1]).into()),
    operation("setp.lt.f32", P, &[R, R], |s| (float(s[0]) < float(s[1])).into()),
    operation("setp.neu.f32", P, &[R, R], |s| (float(s[0]).partial_cmp(&float(s[1])) != Some(Ordering::Equal)).into()),
    operation("setp.gt.u64", P, &[D, D], |s| (s[0] > s[1]).into()),
    operation("and.pred", P, &[P, P], |s| s[0] & s[1]),
    operation("xor.pred", P, &[P, P], |s| s[0] ^ s[1]),
    operation("not.pred", P, &[P], |s| s[0] ^ 1),
];
