//! The arithmetic of the 16-bit formats `f16` and `bf16`, and of pairs of them (PTX ISA, sections 9.7.4 and 9.7.5).
//!
//! Sums and products of two values are exact in double precision or rounded to odd, so that one more rounding gives the
//! correctly rounded result.

use super::decoder::{Decoded, Decoder};
use super::forms::Table;
use super::half_format::{BF16, F16, HalfFormat};
use super::rounding::{Rounding, odd_sum};

/// The modifiers of an instruction on one format.
#[derive(Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "each is a modifier of its own")]
pub(super) struct HalfMode {
    format: HalfFormat,
    flush: bool,
    saturate: bool,
    relu: bool,
    /// Whether the largest value replaces infinity.
    finite: bool,
}

impl HalfMode {
    pub(super) fn of(i: &Decoder, format: HalfFormat) -> Self {
        Self { format, flush: i.has("ftz"), saturate: i.has("sat"), relu: i.has("relu"), finite: i.has("satfinite") }
    }

    pub(super) fn input(self, bits: u16) -> f64 {
        self.format.value(if self.flush { self.format.flush(bits) } else { bits })
    }

    pub(super) fn result(self, value: f64, rounding: Rounding) -> u16 {
        let bits = self.format.bits(value, rounding);
        let bits = if self.flush { self.format.flush(bits) } else { bits };
        if self.saturate {
            // A NaN and -0 become +0 as well.
            return if value > 0.0 { bits.min(self.format.bits(1.0, Rounding::Nearest)) } else { 0 };
        }
        let infinity = ((1 << (15 - self.format.mantissa)) - 1) << self.format.mantissa;
        let bits = if self.finite && bits & 0x7fff == infinity { bits - 1 } else { bits };
        if self.relu && (value < 0.0 || bits == 0x8000) { 0 } else { bits }
    }
}

/// Adds a form for one value and for a pair, which compute `f` from the values of the sources.
macro_rules! half_forms {
    ($table:ident, $format:expr, $typ:literal: $($pattern:literal |$mode:ident, $($a:ident),*| $f:expr;)*) => {$(
        $table.add(&format!(concat!($pattern, ".{}"), $typ), |i| {
            let $mode = HalfMode::of(i, $format);
            check_rounding(i);
            i.compute(move |$($a: u16),*| { $(let $a = $mode.input($a);)* let bits: u16 = $f; bits })
        });
        $table.add(&format!(concat!($pattern, ".{}x2"), $typ), |i| {
            let $mode = HalfMode::of(i, $format);
            check_rounding(i);
            i.compute(move |$($a: u32),*| {
                let half = |at: u32| {
                    $(let $a = $mode.input(($a >> at) as u16);)*
                    let bits: u16 = $f;
                    u32::from(bits) << at
                };
                half(0) | half(16)
            })
        });
    )*};
}

/// Notes that a sum or product without `.rn` may be fused.
fn check_rounding(i: &mut Decoder) {
    let fusible = matches!(i.opcode, "add" | "sub" | "mul");
    if fusible && !i.has("rn") {
        i.inexact = Some("without a rounding modifier it may be fused with others (section 9.7.4)");
    }
}

/// Adds the forms of arithmetic on `f16`, `f16x2`, `bf16` and `bf16x2`.
pub(super) fn forms(table: &mut Table) {
    half_forms! { table, F16, "f16":
        "add.rn?.ftz?.sat?" |m, a, b| m.result(a + b, Rounding::Nearest);
        "sub.rn?.ftz?.sat?" |m, a, b| m.result(a - b, Rounding::Nearest);
        "mul.rn?.ftz?.sat?" |m, a, b| m.result(a * b, Rounding::Nearest);
        "fma.rn.ftz?.sat?" |m, a, b, c| m.result(odd_sum(a * b, c), Rounding::Nearest);
        "fma.rn.ftz?.relu" |m, a, b, c| m.result(odd_sum(a * b, c), Rounding::Nearest);
    }
    half_forms! { table, BF16, "bf16":
        "add.rn?" |m, a, b| m.result(odd_sum(a, b), Rounding::Nearest);
        "sub.rn?" |m, a, b| m.result(odd_sum(a, -b), Rounding::Nearest);
        "mul.rn?" |m, a, b| m.result(a * b, Rounding::Nearest);
        "fma.rn.relu?" |m, a, b, c| m.result(odd_sum(a * b, c), Rounding::Nearest);
    }
    approximate_forms(table);
    for (format, typ, ftz) in [(F16, "f16", ".ftz?"), (BF16, "bf16", "")] {
        sign_forms(table, format, typ, ftz);
        for (name, sign) in [("min", 1.0), ("max", -1.0)] {
            let pattern = format!("{name}{ftz}.NaN?.xorsign?.abs?.{typ}");
            table.add(&pattern, move |i| extreme(i, format, sign, 1));
            table.add(&format!("{pattern}x2"), move |i| extreme(i, format, sign, 2));
        }
    }
}

/// Adds `neg` and `abs`, which change only the sign bit, even of a NaN.
fn sign_forms(table: &mut Table, format: HalfFormat, typ: &str, ftz: &str) {
    for (name, keep, flip) in [("neg", 0xffff, 0x8000), ("abs", 0x7fff, 0)] {
        let half = move |i: &Decoder| {
            let ftz = i.has("ftz");
            move |a: u16| (if ftz { format.flush(a) } else { a }) & keep ^ flip
        };
        table.add(&format!("{name}{ftz}.{typ}"), move |i| {
            let half = half(i);
            i.compute(half)
        });
        table.add(&format!("{name}{ftz}.{typ}x2"), move |i| {
            let half = half(i);
            i.compute(move |a: u32| u32::from(half(a as u16)) | u32::from(half((a >> 16) as u16)) << 16)
        });
    }
}

/// Adds the approximate instructions, computed in double precision and rounded.
fn approximate_forms(table: &mut Table) {
    type Approximation = (&'static str, HalfFormat, fn(f64) -> f64);
    const REASON: &str = "approximate instructions give other bits on every GPU";
    let functions: [Approximation; 4] = [
        ("tanh.approx.f16", F16, f64::tanh),
        ("tanh.approx.bf16", BF16, f64::tanh),
        ("ex2.approx.f16", F16, f64::exp2),
        ("ex2.approx.ftz.bf16", BF16, f64::exp2),
    ];
    for (pattern, format, f) in functions {
        let half = move |mode: HalfMode, a: u16| mode.result(f(mode.input(a)), Rounding::Nearest);
        table.add(pattern, move |i| {
            i.inexact = Some(REASON);
            let mode = HalfMode::of(i, format);
            i.compute(move |a: u16| half(mode, a))
        });
        table.add(&format!("{pattern}x2"), move |i| {
            i.inexact = Some(REASON);
            let mode = HalfMode::of(i, format);
            i.compute(move |a: u32| u32::from(half(mode, a as u16)) | u32::from(half(mode, (a >> 16) as u16)) << 16)
        });
    }
}

/// Decodes `min` for the sign 1, or `max` for the sign -1, of one value or of a pair.
fn extreme(i: &mut Decoder, format: HalfFormat, sign: f64, count: u32) -> Decoded {
    let (mode, nan) = (HalfMode::of(i, format), i.has("NaN"));
    let absolute = i.has("abs");
    if i.has("xorsign") != absolute {
        return Err("expected `.xorsign.abs`".into());
    }
    let value = move |bits: u16| sign * mode.input(if absolute { bits & 0x7fff } else { bits });
    let half = move |a: u16, b: u16| {
        let result = mode.result(sign * super::float::least(value(a), value(b), nan), Rounding::Nearest);
        // The result is an absolute value with the exclusive or of the signs.
        if absolute && result != mode.format.nan { result | (a ^ b) & 0x8000 } else { result }
    };
    if count == 1 {
        return i.compute(half);
    }
    i.compute(move |a: u32, b: u32| {
        u32::from(half(a as u16, b as u16)) | u32::from(half((a >> 16) as u16, (b >> 16) as u16)) << 16
    })
}
