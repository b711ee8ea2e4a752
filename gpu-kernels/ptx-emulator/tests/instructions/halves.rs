//! Arithmetic on `f16` and `bf16`, and on pairs of them (PTX ISA, sections 9.7.4 and 9.7.5), against LLVM's software
//! arithmetic.

use rustc_apfloat::ieee::{BFloat, Half};
use rustc_apfloat::{Float, Round};

use crate::case::{Case, Expected};
use crate::floats::extreme;
use crate::oracle::{Format, flush_to_zero};
use crate::values::Rows;

/// An operation on three values of a format.
type Function<F> = fn([F; 3]) -> F;

const NEAREST: Round = Round::NearestTiesToEven;

/// Returns the bits of an expected result.
fn bits(expected: Expected) -> u64 {
    match expected {
        Expected::Bits(bits) => bits,
        other => panic!("a result of 16 bits is known, got {other:?}"),
    }
}

/// Returns the cases of an operation on one value and on a pair. `f` maps the bits of the values to the bits of the
/// result.
fn both<F: Format>(mnemonic: &str, sources: usize, f: impl Fn([u64; 3]) -> u64 + Copy + 'static) -> [Case; 2] {
    let operands = |register: &str| vec![register; sources + 1].join(",");
    let part = move |x: &[u64], at: u32| {
        let value = |i: usize| x.get(i).map_or(0, |bits| bits >> at & 0xffff);
        f([value(0), value(1), value(2)])
    };
    let one = Case::new(format!("{mnemonic}.{} {}", F::TYPE, operands("b16")), Rows::Halves, move |x| part(x, 0));
    let form = format!("{mnemonic}.{}x2 {}", F::TYPE, operands("b32"));
    [one, Case::new(form, Rows::Halves, move |x| part(x, 0) | part(x, 16) << 16)]
}

/// Returns the cases of an operation that rounds.
fn rounded<F: Format + 'static>(mnemonic: &str, sources: usize, f: Function<F>) -> [Case; 2] {
    let [ftz, sat, relu] = [".ftz", ".sat", ".relu"].map(|modifier| mnemonic.contains(modifier));
    both::<F>(mnemonic, sources, move |x| {
        let result = f(x.map(|bits| F::of(if ftz { flush_to_zero::<F>(bits) } else { bits })));
        let negative = result.is_negative() && !result.is_nan();
        if sat && (result.is_nan() || negative || result.is_zero()) || relu && negative {
            return 0;
        }
        let one = F::from_u128(1).value;
        let bits = bits(if sat && result > one { one.result() } else { result.result() });
        if ftz { flush_to_zero::<F>(bits) } else { bits }
    })
}

/// Returns the cases of `neg`, `abs`, `min` and `max`. The sign of a NaN changes like that of any value.
fn signs<F: Format + 'static>(ftz: &'static str) -> Vec<Case> {
    let input = move |bits: u64| if ftz.is_empty() { bits } else { flush_to_zero::<F>(bits) };
    let mut cases = Vec::new();
    cases.extend(both::<F>(&format!("neg{ftz}"), 1, move |x| input(x[0]) ^ 0x8000));
    cases.extend(both::<F>(&format!("abs{ftz}"), 1, move |x| input(x[0]) & 0x7fff));
    for (name, greater) in [("min", false), ("max", true)] {
        for (modifier, nan) in [("", false), (".NaN", true)] {
            cases.extend(both::<F>(&format!("{name}{ftz}{modifier}"), 2, move |x| {
                bits(extreme([F::of(input(x[0])), F::of(input(x[1]))], greater, nan).result())
            }));
            cases.extend(both::<F>(&format!("{name}{ftz}{modifier}.xorsign.abs"), 2, move |x| {
                let result = extreme([x[0], x[1]].map(|x| F::of(input(x) & 0x7fff)), greater, nan);
                let sign = if result.is_nan() { 0 } else { (x[0] ^ x[1]) & 0x8000 };
                bits(result.result()) | sign
            }));
        }
    }
    cases
}

/// Returns the cases of sums and products, exact ones with `.rn`, or those without a rounding modifier.
fn sums(rn: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for modifiers in ["", ".ftz", ".sat", ".ftz.sat"] {
        cases.extend(rounded::<Half>(&format!("add{rn}{modifiers}"), 2, |[a, b, _]| a.add_r(b, NEAREST).value));
        cases.extend(rounded::<Half>(&format!("sub{rn}{modifiers}"), 2, |[a, b, _]| a.sub_r(b, NEAREST).value));
        cases.extend(rounded::<Half>(&format!("mul{rn}{modifiers}"), 2, |[a, b, _]| a.mul_r(b, NEAREST).value));
    }
    cases.extend(rounded::<BFloat>(&format!("add{rn}"), 2, |[a, b, _]| a.add_r(b, NEAREST).value));
    cases.extend(rounded::<BFloat>(&format!("sub{rn}"), 2, |[a, b, _]| a.sub_r(b, NEAREST).value));
    cases.extend(rounded::<BFloat>(&format!("mul{rn}"), 2, |[a, b, _]| a.mul_r(b, NEAREST).value));
    cases
}

/// Returns the cases of `add`, `sub` and `mul` without a rounding modifier. The emulator rounds them to nearest.
pub fn unrounded() -> Vec<Case> {
    sums("")
}

/// Returns the cases of exact instructions.
pub fn cases() -> Vec<Case> {
    let mut cases = sums(".rn");
    for modifiers in ["", ".ftz", ".sat", ".ftz.sat", ".relu", ".ftz.relu"] {
        let mnemonic = format!("fma.rn{modifiers}");
        cases.extend(rounded::<Half>(&mnemonic, 3, |[a, b, c]| a.mul_add_r(b, c, NEAREST).value));
    }
    for modifier in ["", ".relu"] {
        let mnemonic = format!("fma.rn{modifier}");
        cases.extend(rounded::<BFloat>(&mnemonic, 3, |[a, b, c]| a.mul_add_r(b, c, NEAREST).value));
    }
    cases.extend(signs::<Half>(""));
    cases.extend(signs::<Half>(".ftz"));
    cases.extend(signs::<BFloat>(""));
    cases
}
