//! Single-precision arithmetic in every rounding mode, by way of double precision rounded to odd.
//!
//! Rounding to odd keeps an exact result, and otherwise gives the neighbour whose last bit is set. A result that is
//! rounded to odd at 53 bits rounds to 24 bits in any mode as the exact result would (Boldo and Melquiond, "Emulation
//! of FMA and correctly rounded sums", 2008).

/// A rounding modifier of floating-point results (PTX ISA, section 9.7.3, table of rounding modifiers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// The modifier `.rn`, to nearest, ties to even.
    Nearest,
    /// The modifier `.rz`, towards zero.
    Zero,
    /// The modifier `.rm`, towards negative infinity.
    Down,
    /// The modifier `.rp`, towards positive infinity.
    Up,
}

/// A fused multiply-add, which rounds once. On processors without the instruction, std's `mul_add` calls the C library.
/// On Windows, MinGW's library rounds twice.
pub trait FusedMultiplyAdd {
    fn fused_multiply_add(self, b: Self, c: Self) -> Self;
}

impl FusedMultiplyAdd for f32 {
    #[inline(always)]
    fn fused_multiply_add(self, b: Self, c: Self) -> Self {
        if cfg!(windows) { libm::fmaf(self, b, c) } else { self.mul_add(b, c) }
    }
}

impl FusedMultiplyAdd for f64 {
    #[inline(always)]
    fn fused_multiply_add(self, b: Self, c: Self) -> Self {
        if cfg!(windows) { libm::fma(self, b, c) } else { self.mul_add(b, c) }
    }
}

/// Rounds `value + error` to odd, where `value` is the sum rounded to nearest.
pub fn odd(value: f64, error: f64) -> f64 {
    if error == 0.0 || !value.is_finite() || value.to_bits() & 1 == 1 {
        return value;
    }
    if (error > 0.0) == (value > 0.0) || value == 0.0 {
        f64::from_bits(value.to_bits() + 1)
    } else {
        f64::from_bits(value.to_bits() - 1)
    }
}

/// Rounds to single precision a value that is exact or rounded to odd.
pub fn narrow(value: f64, rounding: Rounding) -> f32 {
    let nearest = value as f32;
    if value.is_nan() || value.is_infinite() || f64::from(nearest) == value {
        return nearest;
    }
    let below = f64::from(nearest) < value;
    let up = rounding == Rounding::Up || rounding == Rounding::Zero && value < 0.0;
    let down = rounding == Rounding::Down || rounding == Rounding::Zero && value > 0.0;
    match below {
        true if up => nearest.next_up(),
        false if down => nearest.next_down(),
        _ => nearest,
    }
}

/// Sets the sign of a zero sum. The sum of addends with different signs is -0 only when rounding down (IEEE 754,
/// section 6.3).
fn zero_sum(sum: f64, a: f64, b: f64, rounding: Rounding) -> f64 {
    if sum != 0.0 || a.is_sign_negative() == b.is_sign_negative() {
        sum
    } else if rounding == Rounding::Down {
        -0.0
    } else {
        0.0
    }
}

pub fn add(a: f32, b: f32, rounding: Rounding) -> f32 {
    sum(f64::from(a), f64::from(b), rounding)
}

/// Returns `a + b` rounded to odd, with the sign of a zero for any rounding but down.
pub fn odd_sum(a: f64, b: f64) -> f64 {
    let sum = a + b;
    let b_part = sum - a;
    odd(sum, (a - (sum - b_part)) + (b - b_part))
}

fn sum(a: f64, b: f64, rounding: Rounding) -> f32 {
    let sum = a + b;
    // The error of a sum is a double-precision value (Knuth, The Art of Computer Programming, volume 2, section 4.2.2).
    let b_part = sum - a;
    let error = (a - (sum - b_part)) + (b - b_part);
    narrow(odd(zero_sum(sum, a, b, rounding), error), rounding)
}

pub fn sub(a: f32, b: f32, rounding: Rounding) -> f32 {
    add(a, -b, rounding)
}

/// Returns `a * b`, which is exact in double precision.
pub fn mul(a: f32, b: f32, rounding: Rounding) -> f32 {
    narrow(f64::from(a) * f64::from(b), rounding)
}

pub fn fma(a: f32, b: f32, c: f32, rounding: Rounding) -> f32 {
    sum(f64::from(a) * f64::from(b), f64::from(c), rounding)
}

pub fn div(a: f32, b: f32, rounding: Rounding) -> f32 {
    let (a, b) = (f64::from(a), f64::from(b));
    let quotient = a / b;
    if !quotient.is_finite() || quotient == 0.0 || b.is_infinite() {
        return narrow(quotient, rounding);
    }
    let remainder = (-quotient).fused_multiply_add(b, a);
    narrow(odd(quotient, if b > 0.0 { remainder } else { -remainder }), rounding)
}

pub fn rcp(a: f32, rounding: Rounding) -> f32 {
    div(1.0, a, rounding)
}

pub fn sqrt(a: f32, rounding: Rounding) -> f32 {
    let a = f64::from(a);
    let root = a.sqrt();
    if !root.is_finite() || root == 0.0 {
        return narrow(root, rounding);
    }
    narrow(odd(root, (-root).fused_multiply_add(root, a)), rounding)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODES: [Rounding; 4] = [Rounding::Nearest, Rounding::Zero, Rounding::Down, Rounding::Up];

    #[test]
    fn rounding_to_nearest_agrees_with_the_cpu_and_other_modes_bracket_it() {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // The exponents are near each other, so that sums round.
            f32::from_bits(state.rotate_left(13) & 0x83ff_ffff | 0x3c00_0000)
        };
        for _ in 0..200_000 {
            let (a, b, c) = (next(), next(), next());
            assert_eq!(add(a, b, Rounding::Nearest), a + b);
            assert_eq!(mul(a, b, Rounding::Nearest), a * b);
            assert_eq!(div(a, b, Rounding::Nearest), a / b);
            assert_eq!(fma(a, b, c, Rounding::Nearest), a.fused_multiply_add(b, c));
            assert_eq!(sqrt(a.abs(), Rounding::Nearest), a.abs().sqrt());
            for f in [add, mul, div] {
                let [nearest, zero, down, up] = MODES.map(|mode| f(a, b, mode));
                assert!(down <= nearest && nearest <= up, "{a} {b}");
                assert!(down == up || down.next_up() == up, "{a} {b}");
                assert_eq!(zero, if down >= 0.0 { down } else { up });
            }
        }
    }

    #[test]
    fn overflow_underflow_and_zero_sums_follow_the_mode() {
        assert_eq!(add(1.0, 1e-30, Rounding::Up), 1.0f32.next_up());
        assert_eq!(add(1.0, -1e-30, Rounding::Zero), 1.0f32.next_down());
        assert_eq!(mul(f32::MAX, 2.0, Rounding::Zero), f32::MAX);
        assert_eq!(mul(f32::MAX, 2.0, Rounding::Up), f32::INFINITY);
        assert_eq!(mul(f32::MIN, 2.0, Rounding::Up), f32::MIN);
        assert_eq!(mul(1e-40, 1e-10, Rounding::Up), f32::from_bits(1));
        assert_eq!(mul(1e-40, 1e-10, Rounding::Down).to_bits(), 0);
        assert_eq!(add(1.0, -1.0, Rounding::Down).to_bits(), (-0.0f32).to_bits());
        assert_eq!(add(1.0, -1.0, Rounding::Nearest).to_bits(), 0);
        assert_eq!(add(-0.0, -0.0, Rounding::Up).to_bits(), (-0.0f32).to_bits());
        assert_eq!(div(1.0, 3.0, Rounding::Down).next_up(), div(1.0, 3.0, Rounding::Up));
        assert_eq!(sqrt(2.0, Rounding::Down).next_up(), sqrt(2.0, Rounding::Up));
        assert_eq!(div(1.0, 0.0, Rounding::Zero), f32::INFINITY);
    }
}
