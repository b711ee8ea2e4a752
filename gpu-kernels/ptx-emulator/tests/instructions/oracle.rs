//! What results must be: types as sets of numbers, and IEEE arithmetic in software.

use rustc_apfloat::ieee::{Double, Single};
use rustc_apfloat::{Float, Round};

use crate::case::{Expected, cut};
use crate::values::Rows;

/// All types of whole numbers and bits, by their widths.
pub const WIDTHS: [u32; 3] = [16, 32, 64];

/// Whether a type's numbers have signs.
pub fn is_signed(typ: &str) -> bool {
    typ.starts_with('s')
}

/// The bits of a type.
pub fn bits_of(typ: &str) -> u32 {
    typ[1..].parse().expect("a type ends in its width")
}

/// The register of a type.
pub fn register(typ: &str) -> String {
    format!("b{}", bits_of(typ).max(16))
}

/// The number that bits are in a whole type.
pub fn value(typ: &str, bits: u64) -> i128 {
    let (width, bits) = (bits_of(typ), cut(bits, bits_of(typ)));
    let negative = is_signed(typ) && bits >> (width - 1) & 1 == 1;
    i128::from(bits) - if negative { 1 << width } else { 0 }
}

/// The least and greatest number of a whole type.
pub fn range(typ: &str) -> (i128, i128) {
    let width = bits_of(typ);
    if is_signed(typ) { (-(1 << (width - 1)), (1 << (width - 1)) - 1) } else { (0, (1 << width) - 1) }
}

/// Operands for a type.
pub fn rows_of(typ: &str) -> Rows {
    match typ {
        "f32" => Rows::Floats,
        "f64" => Rows::Doubles,
        _ => Rows::Wholes,
    }
}

/// The rounding modifiers and what they mean (section 9.7.3).
pub const ROUNDINGS: [(&str, Round); 4] = [
    ("rn", Round::NearestTiesToEven),
    ("rz", Round::TowardZero),
    ("rm", Round::TowardNegative),
    ("rp", Round::TowardPositive),
];

/// A format: single or double precision.
pub trait Format: Float {
    /// Its type in PTX.
    const TYPE: &'static str;
    /// Bits of the exponent and above, without the sign.
    const MANTISSA: u32;
    /// What is expected of a result that is not a number: in single precision GPUs have one pattern, in double the manual
    /// leaves it open.
    const NO_NUMBER: Expected;

    /// A number from its bits.
    fn of(bits: u64) -> Self {
        Self::from_bits(u128::from(bits))
    }

    /// What the result of an operation must be.
    fn result(self) -> Expected {
        if self.is_nan() { Self::NO_NUMBER } else { Expected::Bits(self.to_bits() as u64) }
    }
}

impl Format for Single {
    const TYPE: &'static str = "f32";
    const MANTISSA: u32 = 23;
    const NO_NUMBER: Expected = Expected::Bits(0x7fff_ffff);
}

impl Format for Double {
    const TYPE: &'static str = "f64";
    const MANTISSA: u32 = 52;
    const NO_NUMBER: Expected = Expected::Nan64;
}

/// `.ftz`: denormal numbers as zeros of their sign.
pub fn flush(bits: u64) -> u64 {
    if bits & 0x7f80_0000 == 0 { bits & 0x8000_0000 } else { bits }
}

/// `.sat`: between +0 and 1; what is not a number is +0.
pub fn saturate(bits: u64) -> u64 {
    if bits > 0x7f80_0000 { 0 } else { bits.min(0x3f80_0000) }
}

/// The correctly rounded root, by whole numbers: of `m` times a power of two that makes it long enough, a bit more for what
/// is lost, and the rest of the exponent.
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
