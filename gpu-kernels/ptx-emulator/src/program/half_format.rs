//! The 16-bit formats `f16` and `bf16`.

use super::rounding::Rounding;

/// A binary format of 16 bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct HalfFormat {
    /// The number of bits below the exponent.
    pub(super) mantissa: u32,
    /// The exponent of the smallest normal value.
    least: i32,
    /// The largest finite value.
    largest: f64,
    /// The NaN that arithmetic returns.
    pub(super) nan: u16,
}

/// The format of IEEE 754 with five bits of exponent.
pub(super) const F16: HalfFormat = HalfFormat { mantissa: 10, least: -14, largest: 65_504.0, nan: 0x7fff };

/// The upper half of single precision.
pub(super) const BF16: HalfFormat =
    HalfFormat { mantissa: 7, least: -126, largest: 3.389_531_389_251_535_5e38, nan: 0x7fff };

impl HalfFormat {
    /// Returns the value that `bits` encode.
    pub(super) fn value(self, bits: u16) -> f64 {
        let (field, fraction) = (u32::from(bits & 0x7fff) >> self.mantissa, bits & ((1 << self.mantissa) - 1));
        let specials = (1 << (15 - self.mantissa)) - 1;
        let magnitude = match field {
            0 => f64::from(fraction) * power(self.least - self.mantissa as i32),
            field if field == specials && fraction == 0 => f64::INFINITY,
            field if field == specials => f64::NAN,
            field => {
                let whole = f64::from(u32::from(fraction) + (1 << self.mantissa));
                whole * power(self.least + field as i32 - 1 - self.mantissa as i32)
            }
        };
        if bits >> 15 == 1 { -magnitude } else { magnitude }
    }

    /// Returns the bits of a value that is exact or rounded to odd.
    pub(super) fn bits(self, value: f64, rounding: Rounding) -> u16 {
        if value.is_nan() {
            return self.nan;
        }
        let sign = u16::from(value.is_sign_negative()) << 15;
        let infinity = ((1 << (15 - self.mantissa)) - 1) << self.mantissa;
        let x = value.abs();
        let exponent = ((x.to_bits() >> 52) as i32 - 1023).max(self.least);
        let unit = power(exponent - self.mantissa as i32);
        let away = match rounding {
            Rounding::Nearest => None,
            Rounding::Zero => Some(false),
            Rounding::Down => Some(sign != 0),
            Rounding::Up => Some(sign == 0),
        };
        let scaled = x / unit;
        let rounded = match away {
            None => scaled.round_ties_even(),
            Some(true) => scaled.ceil(),
            Some(false) => scaled.floor(),
        };
        let result = rounded * unit;
        sign | if x.is_infinite() {
            infinity
        } else if result > self.largest {
            if away == Some(false) { infinity - 1 } else { infinity }
        } else if result < power(self.least) {
            rounded as u16
        } else {
            // A carry out of the mantissa increases the exponent.
            ((exponent - self.least) as u16) * (1 << self.mantissa) + rounded as u16
        }
    }

    /// Returns the bits of a value, or a zero of its sign for a denormal.
    pub(super) fn flush(self, bits: u16) -> u16 {
        if bits & 0x7fff < 1 << self.mantissa { bits & 0x8000 } else { bits }
    }
}

/// Returns the value of an `f16`.
pub fn half_value(bits: u16) -> f64 {
    F16.value(bits)
}

/// Returns the `f16` nearest to a value.
pub fn half_bits(value: f64) -> u16 {
    F16.bits(value, Rounding::Nearest)
}

fn power(exponent: i32) -> f64 {
    2f64.powi(exponent)
}
