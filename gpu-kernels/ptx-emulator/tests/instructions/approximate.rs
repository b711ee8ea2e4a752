//! Instructions whose results differ in bits between GPUs. Such an instruction runs only if allowed, and its result is
//! within a small relative error of the exact one.

use ptx_emulator::{DeviceProperties, Dims, Gpu};

use rustc_apfloat::ieee::{BFloat, Double, Half};
use rustc_apfloat::{Float, FloatConvert};

use crate::case::{Case, Expected};
use crate::driver::THREADS;
use crate::oracle::{Format, flush, flush_to_zero};
use crate::values::Rows;
use crate::{floats, halves};

/// The largest relative error that passes. The manual's bounds are wider.
const NEAR: f64 = 1.0 / (1 << 22) as f64;

/// Returns the case of an instruction that approximates `f`.
fn near(mnemonic: &str, sources: usize, f: fn(f64, f64) -> f64) -> Case {
    let ftz = mnemonic.contains(".ftz");
    Case::new(format!("{mnemonic}.f32 {}", vec!["b32"; sources + 1].join(",")), Rows::Floats, move |x| {
        let at = |i: usize| {
            let bits = x.get(i).map_or(0, |bits| if ftz { flush(*bits) } else { *bits });
            f64::from(f32::from_bits(bits as u32))
        };
        let exact = f(at(0), at(1));
        // An exact result beyond the range of `f32` overflows to infinity.
        let rounded = f64::from(exact as f32);
        if rounded.is_finite() { Expected::Near(exact, NEAR) } else { Expected::Near(rounded, NEAR) }
    })
}

/// Returns the cases in half precision, whose results are rounded to nearest.
fn of_halves() -> Vec<Case> {
    fn of<F>(mnemonic: &str, f: fn(f64) -> f64) -> [Case; 2]
    where
        F: Format + FloatConvert<Double>,
        Double: FloatConvert<F>,
    {
        let ftz = mnemonic.contains(".ftz");
        let half = move |bits: u64| {
            let flushed = |bits: u64| if ftz { flush_to_zero::<F>(bits) } else { bits };
            let x: Double = F::of(flushed(bits & 0xffff)).convert(&mut false).value;
            let result: F = Double::of(f(f64::from_bits(x.to_bits() as u64)).to_bits()).convert(&mut false).value;
            if result.is_nan() { 0x7fff } else { flushed(result.to_bits() as u64) }
        };
        [
            Case::new(format!("{mnemonic}.{} b16,b16", F::TYPE), Rows::Halves, move |x| half(x[0])),
            Case::new(format!("{mnemonic}.{}x2 b32,b32", F::TYPE), Rows::Halves, move |x| {
                half(x[0]) | half(x[0] >> 16) << 16
            }),
        ]
    }
    let mut cases = Vec::new();
    cases.extend(of::<Half>("tanh.approx", f64::tanh));
    cases.extend(of::<BFloat>("tanh.approx", f64::tanh));
    cases.extend(of::<Half>("ex2.approx", f64::exp2));
    cases.extend(of::<BFloat>("ex2.approx.ftz", f64::exp2));
    cases
}

/// Returns the cases in double precision.
fn of_doubles() -> Vec<Case> {
    let functions: [(&str, fn(f64) -> f64, bool); 3] = [
        ("rcp.approx.ftz", |a| 1.0 / a, true),
        ("rsqrt.approx.ftz", |a| 1.0 / a.sqrt(), true),
        ("rsqrt.approx", |a| 1.0 / a.sqrt(), false),
    ];
    let case = |(name, f, cut): (&str, fn(f64) -> f64, bool)| {
        Case::new(format!("{name}.f64 b64,b64"), Rows::Doubles, move |x| {
            let flushed = |x: f64| if cut && x.is_subnormal() { 0f64.copysign(x) } else { x };
            let operand = f64::from_bits(if cut { x[0] & !0xffff_ffff } else { x[0] });
            Expected::NearDouble(flushed(f(flushed(operand))), if cut { 1.0 / f64::from(1 << 20) } else { 1e-15 })
        })
    };
    functions.map(case).into()
}

/// Returns the cases of approximate instructions.
pub fn cases() -> Vec<Case> {
    let functions: [(&str, usize, fn(f64, f64) -> f64); 10] = [
        ("div.approx", 2, |a, b| a / b),
        ("div.full", 2, |a, b| a / b),
        ("rcp.approx", 1, |a, _| 1.0 / a),
        ("sqrt.approx", 1, |a, _| a.sqrt()),
        ("rsqrt.approx", 1, |a, _| 1.0 / a.sqrt()),
        ("sin.approx", 1, |a, _| a.sin()),
        ("cos.approx", 1, |a, _| a.cos()),
        ("lg2.approx", 1, |a, _| a.log2()),
        ("ex2.approx", 1, |a, _| a.exp2()),
        ("tanh.approx", 1, |a, _| a.tanh()),
    ];
    let mut cases = floats::unrounded();
    cases.extend(halves::unrounded());
    cases.extend(of_halves());
    cases.extend(of_doubles());
    for (name, sources, f) in functions {
        cases.push(near(name, sources, f));
        if name != "tanh.approx" {
            cases.push(near(&format!("{name}.ftz"), sources, f));
        }
    }
    cases
}

#[test]
fn an_approximate_instruction_runs_only_if_allowed_and_comes_near_the_exact_result() {
    for case in cases() {
        let mut gpu = Gpu::new(DeviceProperties::default());
        gpu.approximate = false;
        let module = gpu.load(&case.kernel()).unwrap_or_else(|error| panic!("{error}\n{}", case.kernel()));
        let fault = gpu.launch(&module, "k", Dims::new(1, 1), &[0; 16]).expect_err("the instruction is refused");
        let mnemonic = case.form.split(' ').next().expect("a form begins with a mnemonic");
        assert!(fault.message.contains(&format!("`{mnemonic}`: ")), "{fault}");
        gpu.approximate = true;
        let blocks = case.rows().len().div_ceil(THREADS);
        let rows = blocks * THREADS;
        let (from, to) = (gpu.allocate(32 * rows).unwrap(), gpu.allocate(8 * rows).unwrap());
        let mut bytes: Vec<u8> = case.rows().iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
        bytes.resize(32 * rows, 0);
        assert!(gpu.write(from, &bytes) && gpu.write(to, &vec![0; 8 * rows]));
        let params: Vec<u8> = [from, to].iter().flat_map(|x| x.to_le_bytes()).collect();
        gpu.launch(&module, "k", Dims::new(blocks as u32, THREADS as u32), &params).unwrap();
        let found = gpu.read(to, 8 * rows).unwrap();
        let results = found.chunks(8).map(|result| u64::from_le_bytes(result.try_into().expect("eight bytes")));
        case.compare(&results.collect::<Vec<_>>());
    }
}
