//! Floating-point arithmetic (PTX ISA, section 9.7.3).
//!
//! A NaN result in single precision is 0x7fffffff, as on GPUs (the manual leaves the bits of a NaN open). In double
//! precision a NaN result is the CPU's. `.ftz` replaces denormal inputs and results by zeros of the same sign.

use super::decoder::Decoder;
use super::exact;
use super::forms::{Table, alternatives};
use super::rounding::{self, FusedMultiplyAdd as _, Rounding};

pub(super) const ROUNDINGS: [(&str, Rounding); 4] =
    [("rn", Rounding::Nearest), ("rz", Rounding::Zero), ("rm", Rounding::Down), ("rp", Rounding::Up)];

/// Replaces a NaN by the pattern that GPUs return. The compiler may change the bits of a NaN result, so the test
/// compares bits.
#[inline(always)]
fn canonical(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits(if bits & 0x7fff_ffff > 0x7f80_0000 { 0x7fff_ffff } else { bits })
}

/// Replaces a denormal by a zero of the same sign.
#[inline(always)]
pub(super) fn flush(x: f32) -> f32 {
    if x.is_subnormal() { 0f32.copysign(x) } else { x }
}

/// The modifiers that apply to inputs and results in single precision.
#[derive(Clone, Copy)]
pub(super) struct Mode {
    pub(super) rounding: Rounding,
    flush: bool,
    pub(super) saturate: bool,
}

impl Mode {
    /// Reads the modifiers. An instruction without a rounding modifier rounds to nearest.
    pub(super) fn of(i: &Decoder) -> Self {
        let rounding = i.one_of(&ROUNDINGS).unwrap_or(Rounding::Nearest);
        Self { rounding, flush: i.has("ftz"), saturate: i.has("sat") }
    }

    /// Reads the modifiers of an operation that rounds. Without a rounding modifier, a GPU may fuse the operation.
    fn rounded(i: &mut Decoder) -> Self {
        if i.one_of(&ROUNDINGS).is_none() {
            i.inexact = Some("without a rounding modifier it may be fused with others (section 9.7.3)");
        }
        Self::of(i)
    }

    #[inline(always)]
    pub(super) fn input(self, x: f32) -> f32 {
        if self.flush { flush(x) } else { x }
    }

    #[inline(always)]
    pub(super) fn result(self, x: f32) -> f32 {
        let x = self.input(x);
        match self.saturate {
            true if x > 0.0 => x.min(1.0),
            // A NaN and -0 become +0 as well.
            true => 0.0,
            false => canonical(x),
        }
    }

    fn is_plain(self) -> bool {
        self.rounding == Rounding::Nearest && !self.flush && !self.saturate
    }
}

/// Adds instructions that round. A row has the patterns in single and double precision, the CPU's operation, and the
/// operation in any rounding mode, for both precisions.
macro_rules! rounded_forms {
    ($table:ident; $($single:literal, $double:literal: |$($a:ident),*| $nearest:expr, $rounded:path, $exact:path;)*) => {$(
        $table.add(&format!($single), |i| {
            let mode = Mode::rounded(i);
            // The CPU's operations round to nearest as IEEE 754 states.
            if mode.is_plain() {
                return i.compute(|$($a: f32),*| canonical($nearest));
            }
            i.compute(move |$($a: f32),*| mode.result($rounded($(mode.input($a),)* mode.rounding)))
        });
        $table.add(&format!($double), |i| {
            let Mode { rounding, .. } = Mode::rounded(i);
            if rounding == Rounding::Nearest {
                return i.compute(|$($a: f64),*| $nearest);
            }
            i.compute(move |$($a: f64),*| $exact($($a,)* rounding))
        });
    )*};
}

/// Adds the forms of floating-point arithmetic.
pub(super) fn forms(table: &mut Table) {
    let rnd = alternatives(&ROUNDINGS);
    rounded_forms! { table;
        "add.{rnd}?.ftz?.sat?.f32", "add.{rnd}?.f64": |a, b| a + b, rounding::add, exact::add;
        "sub.{rnd}?.ftz?.sat?.f32", "sub.{rnd}?.f64": |a, b| a - b, rounding::sub, exact::sub;
        "mul.{rnd}?.ftz?.sat?.f32", "mul.{rnd}?.f64": |a, b| a * b, rounding::mul, exact::mul;
        "fma.{rnd}.ftz?.sat?.f32", "fma.{rnd}.f64": |a, b, c| a.fused_multiply_add(b, c), rounding::fma, exact::fma;
        "mad.{rnd}.ftz?.sat?.f32", "mad.{rnd}.f64": |a, b, c| a.fused_multiply_add(b, c), rounding::fma, exact::fma;
        "div.{rnd}.ftz?.f32", "div.{rnd}.f64": |a, b| a / b, rounding::div, exact::div;
        "rcp.{rnd}.ftz?.f32", "rcp.{rnd}.f64": |a| 1.0 / a, rounding::rcp, exact::rcp;
        "sqrt.{rnd}.ftz?.f32", "sqrt.{rnd}.f64": |a| a.sqrt(), rounding::sqrt, exact::sqrt;
    }
    for (name, sign) in [("min", 1.0), ("max", -1.0)] {
        table.add(&format!("{name}.ftz?.NaN?.xorsign?.abs?.f32"), move |i| {
            let (mode, nan, absolute) = (Mode::of(i), i.has("NaN"), i.has("abs"));
            if i.has("xorsign") != absolute {
                return Err("expected `.xorsign.abs`".into());
            }
            if absolute {
                // The result is an absolute value with the exclusive or of the signs.
                let value = move |x: f32| sign * f64::from(mode.input(x).abs());
                return i.compute(move |a: f32, b: f32| {
                    let result = mode.result((sign * least(value(a), value(b), nan)) as f32);
                    let negative = a.is_sign_negative() != b.is_sign_negative();
                    if negative && !result.is_nan() { -result } else { result }
                });
            }
            let signed = move |x: f32| sign * f64::from(mode.input(x));
            i.compute(move |a: f32, b: f32| mode.result((sign * least(signed(a), signed(b), nan)) as f32))
        });
    }
    table.lanes("min.f64", |a: f64, b: f64| least(a, b, false));
    table.lanes("max.f64", |a: f64, b: f64| -least(-a, -b, false));
    // Negation and absolute value change only the sign bit, even of a NaN.
    table.lanes("neg.f32", |a: f32| -a);
    table.lanes("neg.ftz.f32", |a: f32| -flush(a));
    table.lanes("neg.f64", |a: f64| -a);
    table.lanes("abs.f32", f32::abs);
    table.lanes("abs.ftz.f32", |a: f32| flush(a).abs());
    table.lanes("abs.f64", f64::abs);
    table.lanes("copysign.f32", |a: f32, b: f32| b.copysign(a));
    table.lanes("copysign.f64", |a: f64, b: f64| b.copysign(a));
    approximate_forms(table);
}

/// Returns the smaller value, with -0 below +0. If one value is NaN, returns the other value, or NaN if `nan` holds
/// (section 9.7.3.11).
#[inline]
pub(super) fn least(a: f64, b: f64, nan: bool) -> f64 {
    match (a.is_nan(), b.is_nan()) {
        (false, false) if a < b || a == b && a.is_sign_negative() => a,
        (false, false) => b,
        _ if nan => f64::NAN,
        (true, _) => b,
        (false, true) => a,
    }
}

/// Adds the approximate instructions, computed in double precision and rounded. The settings must allow them.
fn approximate_forms(table: &mut Table) {
    type Unary = fn(f64) -> f64;
    const REASON: &str = "approximate instructions give other bits on every GPU";
    let unary: [(&str, Unary); 8] = [
        ("rcp.approx.ftz?.f32", |a| 1.0 / a),
        ("sqrt.approx.ftz?.f32", f64::sqrt),
        ("rsqrt.approx.ftz?.f32", |a| 1.0 / a.sqrt()),
        ("sin.approx.ftz?.f32", f64::sin),
        ("cos.approx.ftz?.f32", f64::cos),
        ("lg2.approx.ftz?.f32", f64::log2),
        ("ex2.approx.ftz?.f32", f64::exp2),
        ("tanh.approx.f32", f64::tanh),
    ];
    for (pattern, f) in unary {
        table.add(pattern, move |i| {
            let mode = Mode::of(i);
            i.inexact = Some(REASON);
            i.compute(move |a: f32| mode.result(f(f64::from(mode.input(a))) as f32))
        });
    }
    // The lower word of the operand has no effect, and that of the result is zero (sections 9.7.3.14 and 9.7.3.18).
    for (name, f) in [("rcp", (|a| 1.0 / a) as Unary), ("rsqrt", |a| 1.0 / a.sqrt())] {
        table.add(&format!("{name}.approx.ftz.f64"), move |i| {
            i.inexact = Some(REASON);
            i.compute(move |a: f64| {
                let upper = f64::from_bits(a.to_bits() >> 32 << 32);
                let flushed = |x: f64| if x.is_subnormal() { 0f64.copysign(x) } else { x };
                let result = flushed(f(flushed(upper)));
                if result.is_nan() { result } else { f64::from_bits(result.to_bits() >> 32 << 32) }
            })
        });
    }
    table.add("rsqrt.approx.f64", |i| {
        i.inexact = Some(REASON);
        i.compute(|a: f64| 1.0 / a.sqrt())
    });
    table.add("div.approx|full.ftz?.f32", |i| {
        let mode = Mode::of(i);
        i.inexact = Some(REASON);
        i.compute(move |a: f32, b: f32| mode.result(mode.input(a) / mode.input(b)))
    });
}
