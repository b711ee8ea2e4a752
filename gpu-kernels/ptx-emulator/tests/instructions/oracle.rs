//! Helpers of oracles, for the ranges of integer types, and for IEEE 754 arithmetic in software.

use rustc_apfloat::ieee::{BFloat, Double, Half, Single};
use rustc_apfloat::{Float, Round};

use crate::case::{Expected, cut};
use crate::values::Rows;

/// The widths of integer types and untyped bits.
pub const WIDTHS: [u32; 3] = [16, 32, 64];

/// Returns whether a type is a signed integer type.
pub fn is_signed(typ: &str) -> bool {
    typ.starts_with('s')
}

/// Returns the width of a type in bits.
pub fn bits_of(typ: &str) -> u32 {
    match typ {
        "bf16" => 16,
        typ => typ[1..].parse().expect("a type ends in its width"),
    }
}

/// Returns the register of a type.
pub fn register(typ: &str) -> String {
    format!("b{}", bits_of(typ).max(16))
}

/// Returns the integer that `bits` encode in an integer type.
pub fn value(typ: &str, bits: u64) -> i128 {
    let (width, bits) = (bits_of(typ), cut(bits, bits_of(typ)));
    let negative = is_signed(typ) && bits >> (width - 1) & 1 == 1;
    i128::from(bits) - if negative { 1 << width } else { 0 }
}

/// Returns the least and greatest integer of a type.
pub fn range(typ: &str) -> (i128, i128) {
    let width = bits_of(typ);
    if is_signed(typ) { (-(1 << (width - 1)), (1 << (width - 1)) - 1) } else { (0, (1 << width) - 1) }
}

/// Returns the kind of operands for a type.
pub fn rows_of(typ: &str) -> Rows {
    match typ {
        "f32" => Rows::Floats,
        "f64" => Rows::Doubles,
        "f16" | "bf16" | "f16x2" | "bf16x2" => Rows::Halves,
        _ => Rows::Integers,
    }
}

/// The rounding modifiers (section 9.7.3).
pub const ROUNDINGS: [(&str, Round); 4] = [
    ("rn", Round::NearestTiesToEven),
    ("rz", Round::TowardZero),
    ("rm", Round::TowardNegative),
    ("rp", Round::TowardPositive),
];

/// A floating-point format, single or double precision.
pub trait Format: Float {
    /// The PTX type.
    const TYPE: &'static str;
    /// The number of bits below the exponent.
    const MANTISSA: u32;
    /// The expected NaN. GPUs return one bit pattern in single precision. In double precision the manual leaves the
    /// pattern open.
    const NAN_RESULT: Expected;

    /// Returns the value that `bits` encode.
    fn of(bits: u64) -> Self {
        Self::from_bits(u128::from(bits))
    }

    /// Returns this value as an expected result.
    fn result(self) -> Expected {
        if self.is_nan() { Self::NAN_RESULT } else { Expected::Bits(self.to_bits() as u64) }
    }
}

impl Format for Single {
    const TYPE: &'static str = "f32";
    const MANTISSA: u32 = 23;
    const NAN_RESULT: Expected = Expected::Bits(0x7fff_ffff);
}

impl Format for Double {
    const TYPE: &'static str = "f64";
    const MANTISSA: u32 = 52;
    const NAN_RESULT: Expected = Expected::Nan64;
}

impl Format for Half {
    const TYPE: &'static str = "f16";
    const MANTISSA: u32 = 10;
    const NAN_RESULT: Expected = Expected::Bits(0x7fff);
}

impl Format for BFloat {
    const TYPE: &'static str = "bf16";
    const MANTISSA: u32 = 7;
    const NAN_RESULT: Expected = Expected::Bits(0x7fff);
}

/// Replaces a denormal of a format by a zero of the same sign.
pub fn flush_to_zero<F: Format>(bits: u64) -> u64 {
    if F::of(bits).is_denormal() { bits & 1 << (F::BITS - 1) } else { bits }
}

/// Applies `.ftz`, which replaces a denormal by a zero of the same sign.
pub fn flush(bits: u64) -> u64 {
    if bits & 0x7f80_0000 == 0 { bits & 0x8000_0000 } else { bits }
}

/// Applies `.sat`, which clamps a value to the range from +0 to 1, and replaces a NaN by +0.
pub fn saturate(bits: u64) -> u64 {
    if bits > 0x7f80_0000 { 0 } else { bits.min(0x3f80_0000) }
}

/// Returns the correctly rounded square root by integer arithmetic. The mantissa is shifted until its integer square
/// root has enough bits. A sticky bit stands for the remainder. Half of the remaining exponent is applied at the end.
pub fn root<F: Format>(bits: u64, round: Round) -> F {
    let x = F::of(bits);
    if x.is_nan() || x.is_zero() || x.is_negative() {
        return if x.is_zero() { x } else { F::NAN };
    }
    if x.is_infinite() {
        return x;
    }
    let bias = (1i32 << (F::BITS as u32 - F::MANTISSA - 2)) - 1;
    let (field, fraction) = ((bits >> F::MANTISSA) as i32, u128::from(cut(bits, F::MANTISSA)));
    let m = if field == 0 { fraction } else { fraction | 1 << F::MANTISSA };
    let exponent = field.max(1) - bias - F::MANTISSA as i32;
    let shift = (m.leading_zeros() as i32 - 2) & !1;
    let shift = if (exponent - shift) % 2 == 0 { shift } else { shift + 1 };
    let (long, half) = (m << shift, (exponent - shift) / 2);
    let whole = long.isqrt();
    let sticky = u128::from(whole * whole != long);
    F::from_u128_r(whole << 1 | sticky, round).value.scalbn(half - 1)
}
