//! Floating-point arithmetic (PTX ISA, section 9.7.3).
//!
//! A single-precision result that is not a number is 0x7fffffff, as GPUs give it (the manual leaves its bits open); in
//! double precision it is the processor's. `.ftz` replaces denormal inputs and results by zeros of their sign.

use super::builder::Builder;
use super::operands::{Decoded, Modifiers, not_for};
use super::rounding::{self, Rounding};
use crate::ptx::syntax::{Instruction, Operand, Type};

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

pub(super) fn decode(builder: &mut Builder, i: &Instruction) -> Decoded {
    let (m, o) = (&mut Modifiers::of(i), &i.operands[..]);
    let opcode = i.opcode.as_str();
    let approximate = m.eat("approx") || (opcode == "div" && m.eat("full"));
    let rounding = if approximate { None } else { m.one_of(&ROUNDINGS) };
    let mode = Mode { rounding: rounding.unwrap_or(Rounding::Nearest), flush: m.eat("ftz"), saturate: m.eat("sat") };
    let nan = m.eat("NaN");
    let typ = m.typ()?;
    m.end()?;
    if nan && (!matches!(opcode, "min" | "max") || typ != Type::F(32)) {
        return Err("modifier `.NaN` is not of the subset here".into());
    }
    if approximate || matches!(opcode, "rsqrt" | "sin" | "cos" | "lg2" | "ex2" | "tanh") {
        builder.program.approximate.get_or_insert((i.line, i.mnemonic()));
        return approximations(builder, opcode, typ, o);
    }
    let must_round = matches!(opcode, "fma" | "mad" | "div" | "sqrt" | "rcp");
    if must_round && rounding.is_none() {
        return Err("its rounding modifier is missing".into());
    }
    if rounding.is_some() && matches!(opcode, "min" | "max" | "neg" | "abs" | "copysign") {
        return Err("it takes no rounding modifier".into());
    }
    match typ {
        Type::F(32) => single(builder, opcode, mode, nan, o),
        Type::F(64) if mode.is_plain() => double(builder, opcode, o),
        Type::F(64) => Err("only `.rn` without `.ftz` and `.sat` is of the subset in double precision".into()),
        typ => Err(not_for(typ)),
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
fn approximations(builder: &mut Builder, opcode: &str, typ: Type, o: &[Operand]) -> Decoded {
    if typ != Type::F(32) {
        return Err(not_for(typ));
    }
    let f: fn(f64) -> f64 = match opcode {
        "div" => return builder.binary(o, |a: f32, b: f32| a / b),
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
    builder.unary(o, move |a: f32| f(f64::from(a)) as f32)
}
