//! Floating-point arithmetic (PTX ISA, section 9.7.3) against LLVM's software arithmetic, and roots against integer
//! arithmetic.

use rustc_apfloat::Round;
use rustc_apfloat::ieee::{Double, Single};

use crate::case::{Case, Expected};
use crate::oracle::{Format, ROUNDINGS, flush, root, rows_of, saturate};

/// An operation on values of a format.
type Function<F> = fn([F; 3], Round) -> F;

/// Returns the operations that round, each with its name, the number of its operands, and whether it has `.sat`.
fn rounded<F: Format>() -> [(&'static str, usize, bool, Function<F>); 8] {
    [
        ("add", 2, true, |[a, b, _], round| a.add_r(b, round).value),
        ("sub", 2, true, |[a, b, _], round| a.sub_r(b, round).value),
        ("mul", 2, true, |[a, b, _], round| a.mul_r(b, round).value),
        ("fma", 3, true, |[a, b, c], round| a.mul_add_r(b, c, round).value),
        ("mad", 3, true, |[a, b, c], round| a.mul_add_r(b, c, round).value),
        ("div", 2, false, |[a, b, _], round| a.div_r(b, round).value),
        ("rcp", 1, false, |[a, _, _], round| F::from_u128(1).value.div_r(a, round).value),
        ("sqrt", 1, false, |[a, _, _], round| root(a.to_bits() as u64, round)),
    ]
}

/// Returns the smaller of two values, or the greater one if `greater` holds, with -0 below +0. If one value is a NaN,
/// returns the other value, or a NaN if `nan` holds (sections 9.7.3.11 and 9.7.3.12).
pub fn extreme<F: Format>([a, b]: [F; 2], greater: bool, nan: bool) -> F {
    match (a.is_nan(), b.is_nan()) {
        (false, false) if a.is_zero() && b.is_zero() => {
            if a.is_negative() == greater {
                b
            } else {
                a
            }
        }
        (false, false) => {
            if (a < b) == greater {
                b
            } else {
                a
            }
        }
        _ if nan => F::NAN,
        (true, _) => b,
        _ => a,
    }
}

/// The name of an operation, the number of its operands, and its result as a function of their bits.
type Plain = (&'static str, usize, Box<dyn Fn(&[u64]) -> Expected>);

/// Returns the operations that change a sign or choose an operand. The sign is the highest bit. The manual leaves open
/// the other bits of a NaN.
fn plain<F: Format + 'static>(ftz: bool) -> Vec<Plain> {
    let sign = 1u64 << (F::BITS - 1);
    let input = move |x: u64| if ftz { flush(x) } else { x };
    let open = if F::BITS == 32 { Expected::Nan32 } else { Expected::Nan64 };
    let signed = move |x: u64, bits: u64| if F::of(x).is_nan() { open } else { Expected::Bits(bits) };
    let choice = move |greater: bool, nan: bool| {
        move |x: &[u64]| extreme([F::of(input(x[0])), F::of(input(x[1]))], greater, nan).result()
    };
    let mut all: Vec<Plain> = vec![
        ("neg", 1, Box::new(move |x| signed(x[0], input(x[0]) ^ sign))),
        ("abs", 1, Box::new(move |x| signed(x[0], input(x[0]) & !sign))),
        ("min", 2, Box::new(choice(false, false))),
        ("max", 2, Box::new(choice(true, false))),
    ];
    if F::BITS == 32 {
        all.push(("min.NaN", 2, Box::new(choice(false, true))));
        all.push(("max.NaN", 2, Box::new(choice(true, true))));
        let absolute = move |greater: bool, nan: bool| {
            move |x: &[u64]| match extreme([input(x[0]), input(x[1])].map(|bits| F::of(bits & !sign)), greater, nan)
                .result()
            {
                Expected::Bits(bits) if !F::of(bits).is_nan() => Expected::Bits(bits | (x[0] ^ x[1]) & sign),
                other => other,
            }
        };
        all.push(("min.xorsign.abs", 2, Box::new(absolute(false, false))));
        all.push(("max.xorsign.abs", 2, Box::new(absolute(true, false))));
        all.push(("min.NaN.xorsign.abs", 2, Box::new(absolute(false, true))));
        all.push(("max.NaN.xorsign.abs", 2, Box::new(absolute(true, true))));
    }
    if !ftz {
        all.push(("copysign", 2, Box::new(move |x| signed(x[1], x[1] & !sign | x[0] & sign))));
    }
    all
}

/// Returns a form on registers of the format.
fn form<F: Format>(mnemonic: &str, sources: usize) -> String {
    format!("{mnemonic}.{} {}", F::TYPE, vec![format!("b{}", F::BITS); sources + 1].join(","))
}

/// Returns the case of an operation with these modifiers.
fn operation<F: Format + 'static>(
    mnemonic: &str,
    sources: usize,
    round: Round,
    [ftz, sat]: [bool; 2],
    f: Function<F>,
) -> Case {
    Case::new(form::<F>(mnemonic, sources), rows_of(F::TYPE), move |x| {
        let at = |i: usize| F::of(x.get(i).map_or(0, |bits| if ftz { flush(*bits) } else { *bits }));
        let result = f([at(0), at(1), at(2)], round).result();
        let Expected::Bits(bits) = result else { return result };
        let bits = if ftz { flush(bits) } else { bits };
        Expected::Bits(if sat { saturate(bits) } else { bits })
    })
}

/// Returns the cases of `add`, `sub` and `mul` without a rounding modifier. The emulator rounds them to nearest.
pub fn unrounded() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, sources, _, f) in &rounded::<Single>()[..3] {
        for [ftz, sat] in [[false, false], [false, true], [true, false], [true, true]] {
            let mnemonic = format!("{name}{}{}", if ftz { ".ftz" } else { "" }, if sat { ".sat" } else { "" });
            cases.push(operation(&mnemonic, *sources, Round::NearestTiesToEven, [ftz, sat], *f));
        }
    }
    for (name, sources, _, f) in &rounded::<Double>()[..3] {
        cases.push(operation(name, *sources, Round::NearestTiesToEven, [false, false], *f));
    }
    cases
}

/// Returns the cases of exact instructions.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, sources, saturates, f) in rounded::<Single>() {
        for (modifier, round) in ROUNDINGS {
            for [ftz, sat] in [[false, false], [false, true], [true, false], [true, true]] {
                let mnemonic =
                    format!("{name}.{modifier}{}{}", if ftz { ".ftz" } else { "" }, if sat { ".sat" } else { "" });
                if saturates || !sat {
                    cases.push(operation(&mnemonic, sources, round, [ftz, sat], f));
                }
            }
        }
    }
    for (name, sources, _, f) in rounded::<Double>() {
        for (modifier, round) in ROUNDINGS {
            cases.push(operation(&format!("{name}.{modifier}"), sources, round, [false, false], f));
        }
    }
    for ftz in [false, true] {
        for (name, sources, f) in plain::<Single>(ftz) {
            let (opcode, rest) =
                name.split_once('.').map_or((name, String::new()), |(o, rest)| (o, format!(".{rest}")));
            let mnemonic = format!("{opcode}{}{rest}", if ftz { ".ftz" } else { "" });
            cases.push(Case::new(form::<Single>(&mnemonic, sources), rows_of("f32"), move |x| f(x)));
        }
    }
    for (name, sources, f) in plain::<Double>(false) {
        cases.push(Case::new(form::<Double>(name, sources), rows_of("f64"), move |x| f(x)));
    }
    cases
}
