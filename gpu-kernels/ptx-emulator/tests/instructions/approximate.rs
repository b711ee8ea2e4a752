//! Instructions whose results differ in bits between GPUs. Such an instruction runs only if allowed, and its result is
//! within a small relative error of the exact one.

use ptx_emulator::{DeviceProperties, Dims, Gpu};

use crate::case::{Case, Expected};
use crate::driver::THREADS;
use crate::oracle::flush;
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
