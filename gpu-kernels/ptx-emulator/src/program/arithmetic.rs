//! Integer arithmetic (PTX ISA, section 9.7.1).

use super::builder::Builder;
use super::decode::integer;
use super::operands::{Decoded, not_for};
use crate::ptx::syntax::{Operand, Type};

/// Which half of a product.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Half {
    Low,
    High,
    Wide,
}

pub(super) const HALVES: [(&str, Half); 3] = [("lo", Half::Low), ("hi", Half::High), ("wide", Half::Wide)];

/// Integers whose products, quotients and remainders are wanted.
trait Whole: Copy {
    fn high(self, other: Self) -> Self;
    /// Section 9.7.1.7: division by zero gives an unspecified value. This is the one that GPUs give: all ones.
    fn quotient(self, other: Self) -> Self;
    /// Section 9.7.1.8: the remainder by zero is unspecified; here it is the dividend.
    fn remainder(self, other: Self) -> Self;
}

macro_rules! whole {
    ($($T:ty, $Wide:ty;)*) => {$(
        impl Whole for $T {
            fn high(self, other: Self) -> Self {
                ((self as $Wide * other as $Wide) >> Self::BITS) as Self
            }
            fn quotient(self, other: Self) -> Self {
                if other == 0 { !0 } else { self.wrapping_div(other) }
            }
            fn remainder(self, other: Self) -> Self {
                if other == 0 { self } else { self.wrapping_rem(other) }
            }
        }
    )*};
}
whole! { u16, u32; i16, i32; u32, u64; i32, i64; u64, u128; i64, i128; }

/// Decodes what [`super::float`] finds to be of a whole type.
pub(super) fn decode(
    builder: &mut Builder,
    opcode: &str,
    half: Option<Half>,
    saturate: bool,
    typ: Type,
    o: &[Operand],
) -> Decoded {
    if !matches!(typ, Type::U(_) | Type::S(_)) {
        return Err(not_for(typ));
    }
    if saturate {
        // Only of `.s32` (sections 9.7.1.1 and 9.7.1.2).
        return match (opcode, typ) {
            ("add", Type::S(32)) => builder.binary(o, i32::saturating_add),
            ("sub", Type::S(32)) => builder.binary(o, i32::saturating_sub),
            _ => Err(not_for(typ)),
        };
    }
    match (opcode, half) {
        ("mul", Some(half)) => return mul(builder, half, typ, o),
        ("mad", Some(half)) => return mad(builder, half, typ, o),
        ("mul" | "mad", None) => return Err("`.lo`, `.hi` or `.wide` is missing".into()),
        _ => {}
    }
    match opcode {
        "add" => integer!(typ, T => builder.binary(o, T::wrapping_add)),
        "sub" => integer!(typ, T => builder.binary(o, T::wrapping_sub)),
        "div" => integer!(typ, T => builder.binary(o, <T as Whole>::quotient)),
        "rem" => integer!(typ, T => builder.binary(o, <T as Whole>::remainder)),
        "min" => integer!(typ, T => builder.binary(o, <T as Ord>::min)),
        "max" => integer!(typ, T => builder.binary(o, <T as Ord>::max)),
        "neg" | "abs" => match (opcode, typ) {
            ("neg", Type::S(16)) => builder.unary(o, i16::wrapping_neg),
            ("neg", Type::S(32)) => builder.unary(o, i32::wrapping_neg),
            ("neg", Type::S(64)) => builder.unary(o, i64::wrapping_neg),
            ("abs", Type::S(16)) => builder.unary(o, i16::wrapping_abs),
            ("abs", Type::S(32)) => builder.unary(o, i32::wrapping_abs),
            ("abs", Type::S(64)) => builder.unary(o, i64::wrapping_abs),
            _ => Err(not_for(typ)),
        },
        _ => Err(not_for(typ)),
    }
}

fn mul(builder: &mut Builder, half: Half, typ: Type, o: &[Operand]) -> Decoded {
    match (half, typ) {
        (Half::Low, typ) => integer!(typ, T => builder.binary(o, T::wrapping_mul)),
        (Half::High, typ) => integer!(typ, T => builder.binary(o, <T as Whole>::high)),
        (Half::Wide, Type::U(16)) => builder.binary(o, |a: u16, b: u16| u32::from(a) * u32::from(b)),
        (Half::Wide, Type::S(16)) => builder.binary(o, |a: i16, b: i16| i32::from(a) * i32::from(b)),
        (Half::Wide, Type::U(32)) => builder.binary(o, |a: u32, b: u32| u64::from(a) * u64::from(b)),
        (Half::Wide, Type::S(32)) => builder.binary(o, |a: i32, b: i32| i64::from(a) * i64::from(b)),
        (Half::Wide, typ) => Err(not_for(typ)),
    }
}

fn mad(builder: &mut Builder, half: Half, typ: Type, o: &[Operand]) -> Decoded {
    match (half, typ) {
        (Half::Low, typ) => {
            integer!(typ, T => builder.ternary(o, |a: T, b: T, c: T| a.wrapping_mul(b).wrapping_add(c)))
        }
        (Half::High, typ) => {
            integer!(typ, T => builder.ternary(o, |a: T, b: T, c: T| Whole::high(a, b).wrapping_add(c)))
        }
        (Half::Wide, Type::U(16)) => {
            builder.ternary(o, |a: u16, b: u16, c: u32| (u32::from(a) * u32::from(b)).wrapping_add(c))
        }
        (Half::Wide, Type::S(16)) => {
            builder.ternary(o, |a: i16, b: i16, c: i32| (i32::from(a) * i32::from(b)).wrapping_add(c))
        }
        (Half::Wide, Type::U(32)) => {
            builder.ternary(o, |a: u32, b: u32, c: u64| (u64::from(a) * u64::from(b)).wrapping_add(c))
        }
        (Half::Wide, Type::S(32)) => {
            builder.ternary(o, |a: i32, b: i32, c: i64| (i64::from(a) * i64::from(b)).wrapping_add(c))
        }
        (Half::Wide, typ) => Err(not_for(typ)),
    }
}
