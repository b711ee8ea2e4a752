//! Floating-point arithmetic (PTX ISA, section 9.7.3).
//!
//! A single-precision result that is not a number is 0x7fffffff, as GPUs give it (the manual leaves its bits open); in
//! double precision it is the processor's. `.ftz` replaces denormal inputs and results by zeros of their sign.

use super::arithmetic::{self, HALVES};
use super::builder::Builder;
use super::operands::{Decoded, Modifiers, not_for};
use super::rounding::{self, Rounding};
use crate::ptx::syntax::{Operand, Type};

const ROUNDINGS: [(&str, Rounding); 4] =
    [("rn", Rounding::Nearest), ("rz", Rounding::Zero), ("rm", Rounding::Down), ("rp", Rounding::Up)];

/// The one pattern of what is not a number. Decided on the bits: to the compiler one float that is not a number is as good as
/// another.
pub(super) fn canonical(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits(if bits & 0x7fff_ffff > 0x7f80_0000 { 0x7fff_ffff } else { bits })
}

/// A denormal number as a zero of its sign.
pub(super) fn flush(x: f32) -> f32 {
    if x.is_subnormal() { 0f32.copysign(x) } else { x }
}

/// What stands between the exact result and the register.
#[derive(Clone, Copy)]
struct Mode {
    rounding: Rounding,
    flush: bool,
    saturate: bool,
}

impl Mode {
    #[inline(always)]
    fn input(self, x: f32) -> f32 {
        if self.flush { flush(x) } else { x }
    }

    #[inline(always)]
    fn result(self, x: f32) -> f32 {
        let x = self.input(x);
        match self.saturate {
            true if x.is_nan() => 0.0,
            // Of -0 too: +0 is the lower end of the range.
            true => {
                if x > 0.0 {
                    x.min(1.0)
                } else {
                    0.0
                }
            }
            false => canonical(x),
        }
    }

    fn is_plain(self) -> bool {
        self.rounding == Rounding::Nearest && !self.flush && !self.saturate
    }
}

/// Decodes the instructions that whole and floating-point types share, and those of the latter alone. A modifier is asked for
/// only where the manual has it, so that nothing is ignored.
pub(super) fn decode(builder: &mut Builder, opcode: &str, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    if matches!(opcode, "mul" | "mad")
        && let Some(half) = m.one_of(&HALVES)
    {
        let typ = m.typ()?;
        m.end()?;
        return arithmetic::decode(builder, opcode, Some(half), false, typ, o);
    }
    let only_approximate = matches!(opcode, "rsqrt" | "sin" | "cos" | "lg2" | "ex2" | "tanh");
    let must_round = matches!(opcode, "fma" | "mad" | "div" | "sqrt" | "rcp");
    let may_round = must_round || matches!(opcode, "add" | "sub" | "mul");
    let approximate = (only_approximate || matches!(opcode, "div" | "sqrt" | "rcp")) && m.eat("approx")
        || opcode == "div" && m.eat("full");
    let rounding = if may_round && !approximate { m.one_of(&ROUNDINGS) } else { None };
    let flush = !matches!(opcode, "tanh" | "copysign" | "rem") && m.eat("ftz");
    let saturate = matches!(opcode, "add" | "sub" | "mul" | "fma" | "mad") && m.eat("sat");
    let nan = matches!(opcode, "min" | "max") && m.eat("NaN");
    let typ = m.typ()?;
    m.end()?;
    let mode = Mode { rounding: rounding.unwrap_or(Rounding::Nearest), flush, saturate };
    if !matches!(typ, Type::F(_)) {
        if approximate || rounding.is_some() || flush || nan {
            return Err("`.approx`, `.full`, roundings, `.ftz` and `.NaN` are for floating-point types".into());
        }
        return arithmetic::decode(builder, opcode, None, saturate, typ, o);
    }
    if only_approximate && !approximate {
        return Err("`.approx` is missing".into());
    }
    if approximate {
        builder.inexact = Some("approximate instructions give other bits on every GPU");
        return approximations(builder, opcode, mode, typ, o);
    }
    if may_round && rounding.is_none() {
        if must_round {
            return Err("its rounding modifier is missing".into());
        }
        builder.inexact = Some("without a rounding modifier it may be fused with others (section 9.7.3)");
    }
    match typ {
        Type::F(32) => single(builder, opcode, mode, nan, o),
        Type::F(64) if mode.is_plain() && !nan => double(builder, opcode, o),
        _ => Err("in double precision only `.rn`, without `.ftz`, `.sat` and `.NaN`, is of the subset".into()),
    }
}

fn single(builder: &mut Builder, opcode: &str, mode: Mode, nan: bool, o: &[Operand]) -> Decoded {
    // Rounded to nearest, the processor's own operations are the IEEE ones.
    if mode.is_plain() {
        match opcode {
            "add" => return builder.binary(o, |a: f32, b: f32| canonical(a + b)),
            "sub" => return builder.binary(o, |a: f32, b: f32| canonical(a - b)),
            "mul" => return builder.binary(o, |a: f32, b: f32| canonical(a * b)),
            "fma" => return builder.ternary(o, |a: f32, b: f32, c: f32| canonical(a.mul_add(b, c))),
            "div" => return builder.binary(o, |a: f32, b: f32| canonical(a / b)),
            "sqrt" => return builder.unary(o, |a: f32| canonical(a.sqrt())),
            _ => {}
        }
    }
    let (r, input) = (mode.rounding, move |x| mode.input(x));
    match opcode {
        "add" => builder.binary(o, move |a, b| mode.result(rounding::add(input(a), input(b), r))),
        "sub" => builder.binary(o, move |a, b| mode.result(rounding::add(input(a), -input(b), r))),
        "mul" => builder.binary(o, move |a, b| mode.result(rounding::mul(input(a), input(b), r))),
        "fma" | "mad" => builder.ternary(o, move |a, b, c| mode.result(rounding::fma(input(a), input(b), input(c), r))),
        "div" => builder.binary(o, move |a, b| mode.result(rounding::div(input(a), input(b), r))),
        "rcp" => builder.unary(o, move |a| mode.result(rounding::div(1.0, input(a), r))),
        "sqrt" => builder.unary(o, move |a| mode.result(rounding::sqrt(input(a), r))),
        "min" => builder.binary(o, move |a, b| mode.result(least(input(a), input(b), nan))),
        "max" => builder.binary(o, move |a, b| mode.result(-least(-input(a), -input(b), nan))),
        // Both change only the sign bit, of what is not a number too.
        "neg" => builder.unary(o, move |a: f32| -input(a)),
        "abs" => builder.unary(o, move |a: f32| input(a).abs()),
        "copysign" => builder.binary(o, |a: f32, b: f32| b.copysign(a)),
        _ => Err(not_for(Type::F(32))),
    }
}

/// The smaller number, -0 smaller than +0; of a number and something else the number, unless `.NaN` is given
/// (section 9.7.3.11).
fn least(a: f32, b: f32, nan: bool) -> f32 {
    if a.is_nan() || b.is_nan() {
        return if nan || a.is_nan() && b.is_nan() {
            f32::NAN
        } else if a.is_nan() {
            b
        } else {
            a
        };
    }
    if a < b || a == b && a.is_sign_negative() { a } else { b }
}

fn double(builder: &mut Builder, opcode: &str, o: &[Operand]) -> Decoded {
    let least = |a: f64, b: f64| {
        if a.is_nan() || a == b && b.is_sign_negative() || b < a { b } else { a }
    };
    match opcode {
        "add" => builder.binary(o, |a: f64, b: f64| a + b),
        "sub" => builder.binary(o, |a: f64, b: f64| a - b),
        "mul" => builder.binary(o, |a: f64, b: f64| a * b),
        "fma" | "mad" => builder.ternary(o, |a: f64, b: f64, c: f64| a.mul_add(b, c)),
        "div" => builder.binary(o, |a: f64, b: f64| a / b),
        "rcp" => builder.unary(o, |a: f64| 1.0 / a),
        "sqrt" => builder.unary(o, f64::sqrt),
        "min" => builder.binary(o, least),
        "max" => builder.binary(o, move |a: f64, b: f64| -least(-a, -b)),
        "neg" => builder.unary(o, |a: f64| -a),
        "abs" => builder.unary(o, f64::abs),
        "copysign" => builder.binary(o, |a: f64, b: f64| b.copysign(a)),
        _ => Err(not_for(Type::F(64))),
    }
}

/// What the approximate instructions approach, in double precision and rounded: no GPU gives just these bits, so they run
/// only where the configuration allows it.
fn approximations(builder: &mut Builder, opcode: &str, mode: Mode, typ: Type, o: &[Operand]) -> Decoded {
    if typ != Type::F(32) {
        return Err(not_for(typ));
    }
    let f: fn(f64) -> f64 = match opcode {
        "div" => return builder.binary(o, move |a, b| mode.result(mode.input(a) / mode.input(b))),
        "rcp" => |a| 1.0 / a,
        "sqrt" => f64::sqrt,
        "rsqrt" => |a| 1.0 / a.sqrt(),
        "sin" => f64::sin,
        "cos" => f64::cos,
        "lg2" => f64::log2,
        "ex2" => f64::exp2,
        "tanh" => f64::tanh,
        _ => return Err("it has no approximate form".into()),
    };
    builder.unary(o, move |a| mode.result(f(f64::from(mode.input(a))) as f32))
}
