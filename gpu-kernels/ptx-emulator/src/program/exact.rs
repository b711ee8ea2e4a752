//! Double-precision arithmetic in every rounding mode, with integers of 128 bits.

use super::rounding::{FusedMultiplyAdd as _, Rounding};

/// A finite value `(-1)^negative * magnitude * 2^exponent`. The last bit of the magnitude also stands for all lower bits
/// that are not zero, so it must be below the precision of the result.
#[derive(Clone, Copy, Debug)]
struct Exact {
    negative: bool,
    magnitude: u128,
    exponent: i32,
}

/// The number of bits below the exponent, and the exponent of the smallest denormal.
const MANTISSA: i32 = 52;
const LEAST: i32 = -1074;

impl Exact {
    fn of(x: f64) -> Self {
        let (bits, field) = (x.to_bits(), (x.to_bits() >> MANTISSA) as i32 & 0x7ff);
        let fraction = u128::from(bits & ((1 << MANTISSA) - 1));
        let magnitude = if field == 0 { fraction } else { fraction | 1 << MANTISSA };
        Self { negative: x.is_sign_negative(), magnitude, exponent: field.max(1) - 1 + LEAST }
    }

    /// Returns the value with its highest bit at bit 125, or zero.
    fn normalised(self) -> Self {
        let shift = if self.magnitude == 0 { 0 } else { self.magnitude.leading_zeros() as i32 - 2 };
        let magnitude = if shift >= 0 { self.magnitude << shift } else { shifted(self.magnitude, -shift) };
        Self { magnitude, exponent: self.exponent - shift, ..self }
    }

    fn product(self, other: Self) -> Self {
        Self {
            negative: self.negative != other.negative,
            magnitude: self.magnitude * other.magnitude,
            exponent: self.exponent + other.exponent,
        }
    }

    fn sum(self, other: Self, rounding: Rounding) -> Self {
        let (a, b) = (self.normalised(), other.normalised());
        if a.magnitude == 0 && b.magnitude == 0 {
            let down = rounding == Rounding::Down;
            let negative = if a.negative == b.negative { a.negative } else { down };
            return Self { negative, ..a };
        }
        let b_is_larger = b.magnitude != 0 && (a.magnitude == 0 || b.exponent > a.exponent);
        let (high, low) = if b_is_larger { (b, a) } else { (a, b) };
        let moved = shifted(low.magnitude, high.exponent.saturating_sub(low.exponent).max(0));
        if high.negative == low.negative {
            return Self { magnitude: high.magnitude + moved, ..high };
        }
        let negative = if high.magnitude >= moved { high.negative } else { low.negative };
        let magnitude = high.magnitude.abs_diff(moved);
        // The sum of addends with different signs is -0 only when rounding down (IEEE 754, section 6.3).
        Self { negative: if magnitude == 0 { rounding == Rounding::Down } else { negative }, magnitude, ..high }
    }

    /// Rounds to double precision.
    fn rounded(self, rounding: Rounding) -> f64 {
        let sign = u64::from(self.negative) << 63;
        if self.magnitude == 0 {
            return f64::from_bits(sign);
        }
        let highest = 127 - self.magnitude.leading_zeros() as i32 + self.exponent;
        let unit = (highest - MANTISSA).max(LEAST);
        let shift = unit - self.exponent;
        let (whole, rest, half) = match shift {
            ..=0 => (self.magnitude << -shift, 0, 1),
            1..=127 => (self.magnitude >> shift, self.magnitude & ((1 << shift) - 1), 1 << (shift - 1)),
            _ => (0, 1, 2),
        };
        let up = match rounding {
            Rounding::Nearest => rest > half || rest == half && whole & 1 == 1,
            Rounding::Zero => false,
            Rounding::Down => self.negative && rest > 0,
            Rounding::Up => !self.negative && rest > 0,
        };
        let whole = whole as u64 + u64::from(up);
        // A carry out of the mantissa increases the exponent. The implicit bit is part of the sum, unless it is a denormal.
        let field = (unit - LEAST) as u64;
        let bits = (field << MANTISSA) + whole;
        let infinity = 0x7ff << MANTISSA;
        let toward_zero = match rounding {
            Rounding::Nearest => false,
            Rounding::Zero => true,
            Rounding::Down => !self.negative,
            Rounding::Up => self.negative,
        };
        f64::from_bits(sign | if bits < infinity { bits } else { infinity - u64::from(toward_zero) })
    }
}

/// Shifts right. The last bit is set if any lost bit was.
fn shifted(magnitude: u128, by: i32) -> u128 {
    if by > 127 {
        return u128::from(magnitude != 0);
    }
    magnitude >> by | u128::from(magnitude & ((1 << by) - 1) != 0)
}

pub(super) fn add(a: f64, b: f64, rounding: Rounding) -> f64 {
    let nearest = a + b;
    if !a.is_finite() || !b.is_finite() { nearest } else { Exact::of(a).sum(Exact::of(b), rounding).rounded(rounding) }
}

pub(super) fn sub(a: f64, b: f64, rounding: Rounding) -> f64 {
    add(a, -b, rounding)
}

pub(super) fn mul(a: f64, b: f64, rounding: Rounding) -> f64 {
    let nearest = a * b;
    if !a.is_finite() || !b.is_finite() { nearest } else { Exact::of(a).product(Exact::of(b)).rounded(rounding) }
}

pub(super) fn fma(a: f64, b: f64, c: f64, rounding: Rounding) -> f64 {
    if !a.is_finite() || !b.is_finite() || !c.is_finite() {
        return a.fused_multiply_add(b, c);
    }
    Exact::of(a).product(Exact::of(b)).sum(Exact::of(c), rounding).rounded(rounding)
}

pub(super) fn div(a: f64, b: f64, rounding: Rounding) -> f64 {
    let nearest = a / b;
    if !a.is_finite() || !b.is_finite() || a == 0.0 || b == 0.0 {
        return nearest;
    }
    let (a, b) = (Exact::of(a).normalised(), Exact::of(b));
    let magnitude = ((a.magnitude / b.magnitude) << 1) | u128::from(a.magnitude % b.magnitude != 0);
    let negative = a.negative != b.negative;
    Exact { negative, magnitude, exponent: a.exponent - b.exponent - 1 }.rounded(rounding)
}

pub(super) fn rcp(a: f64, rounding: Rounding) -> f64 {
    div(1.0, a, rounding)
}

pub(super) fn sqrt(a: f64, rounding: Rounding) -> f64 {
    let nearest = a.sqrt();
    if !nearest.is_finite() || nearest == 0.0 {
        return nearest;
    }
    let a = Exact::of(a).normalised();
    // The exponent must be even.
    let (magnitude, exponent) =
        if a.exponent % 2 == 0 { (a.magnitude, a.exponent) } else { (a.magnitude << 1, a.exponent - 1) };
    let root = magnitude.isqrt();
    let magnitude = root << 1 | u128::from(root * root != magnitude);
    Exact { negative: false, magnitude, exponent: exponent / 2 - 1 }.rounded(rounding)
}
