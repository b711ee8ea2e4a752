//! The element types of matrices (PTX ISA, section 9.7.14.2), and the formats of 8 bits.

use super::half_format::{BF16, F16};
use super::rounding::Rounding;

/// The type of a matrix's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    F16,
    Bf16,
    Tf32,
    F32,
    F64,
    S32,
    S8,
    U8,
    S4,
    U4,
    B1,
    E4m3,
    E5m2,
}

/// The names of the element types.
pub(super) const ELEMENTS: [(&str, Element); 13] = [
    ("f16", Element::F16),
    ("bf16", Element::Bf16),
    ("tf32", Element::Tf32),
    ("f32", Element::F32),
    ("f64", Element::F64),
    ("s32", Element::S32),
    ("s8", Element::S8),
    ("u8", Element::U8),
    ("s4", Element::S4),
    ("u4", Element::U4),
    ("b1", Element::B1),
    ("e4m3", Element::E4m3),
    ("e5m2", Element::E5m2),
];

impl Element {
    /// Returns the width in bits.
    pub fn bits(self) -> u32 {
        match self {
            Self::F64 => 64,
            Self::Tf32 | Self::F32 | Self::S32 => 32,
            Self::F16 | Self::Bf16 => 16,
            Self::S8 | Self::U8 | Self::E4m3 | Self::E5m2 => 8,
            Self::S4 | Self::U4 => 4,
            Self::B1 => 1,
        }
    }

    /// Returns whether values are rounded.
    pub fn is_float(self) -> bool {
        use Element::{B1, S4, S8, S32, U4, U8};
        !matches!(self, S32 | S8 | U8 | S4 | U4 | B1)
    }

    /// Returns the value that `bits` encode.
    pub fn value(self, bits: u64) -> f64 {
        match self {
            Self::F16 => F16.value(bits as u16),
            Self::Bf16 => BF16.value(bits as u16),
            // The lowest 13 bits of a register have no effect.
            Self::Tf32 => f32::from_bits(bits as u32 & !0x1fff).into(),
            Self::F32 => f32::from_bits(bits as u32).into(),
            Self::F64 => f64::from_bits(bits),
            Self::S32 => (bits as i32).into(),
            Self::S8 => (bits as i8).into(),
            Self::S4 => ((bits as i8) << 4 >> 4).into(),
            Self::U8 | Self::U4 | Self::B1 => bits as f64,
            Self::E4m3 => E4M3.value(bits as u8),
            Self::E5m2 => E5M2.value(bits as u8),
        }
    }

    /// Returns the bits of a result. Integers wrap around, or are clamped if `saturate` holds.
    pub fn encode(self, value: f64, saturate: bool) -> u64 {
        match self {
            Self::F16 => F16.bits(value, Rounding::Nearest).into(),
            Self::F64 => value.to_bits(),
            Self::S32 if saturate => u64::from(value as i32 as u32),
            Self::S32 => u64::from(value as i64 as u32),
            _ if value.is_nan() => 0x7fff_ffff,
            _ => (value as f32).to_bits().into(),
        }
    }
}

/// A floating-point format of 8 bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct ByteFormat {
    /// The number of bits below the exponent.
    mantissa: u32,
    bias: i32,
    /// The bits of the largest finite value.
    largest: u8,
    /// The bits of infinity, if the format has one.
    infinity: Option<u8>,
}

/// The format with four bits of exponent. All bits but the sign are set in its NaN.
pub(super) const E4M3: ByteFormat = ByteFormat { mantissa: 3, bias: 7, largest: 0x7e, infinity: None };

/// The format with five bits of exponent, the upper half of an `f16`.
pub(super) const E5M2: ByteFormat = ByteFormat { mantissa: 2, bias: 15, largest: 0x7b, infinity: Some(0x7c) };

impl ByteFormat {
    /// Returns the value that `bits` encode.
    pub(super) fn value(self, bits: u8) -> f64 {
        let magnitude = bits & 0x7f;
        let field = i32::from(magnitude >> self.mantissa);
        let fraction = f64::from(magnitude & ((1 << self.mantissa) - 1)) / f64::from(1 << self.mantissa);
        let value = match field {
            _ if Some(magnitude) == self.infinity => f64::INFINITY,
            _ if magnitude > self.largest => f64::NAN,
            0 => fraction * 2f64.powi(1 - self.bias),
            field => (1.0 + fraction) * 2f64.powi(field - self.bias),
        };
        if bits >> 7 == 1 { -value } else { value }
    }

    /// Returns the bits of the value nearest to `value`, and those of the largest finite value if `value` exceeds that
    /// (`.satfinite`). Of two nearest values, the one with an even last bit is taken.
    pub(super) fn bits(self, value: f64) -> u8 {
        if value.is_nan() {
            return 0x7f;
        }
        let magnitude = value.abs();
        let sign = u8::from(value.is_sign_negative()) << 7;
        let above = (0..=self.largest).find(|bits| self.value(*bits) >= magnitude);
        let Some(above) = above else { return sign | self.largest };
        let Some(below) = above.checked_sub(1) else { return sign };
        let [up, down] = [self.value(above) - magnitude, magnitude - self.value(below)];
        sign | if up < down || up == down && above % 2 == 0 { above } else { below }
    }
}
