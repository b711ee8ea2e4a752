//! Every example on the CPU and as PTX in the emulator, against its naive counterpart and bit for bit against each
//! other.
//!
//! With the feature `race-check` the launches on the CPU are checked for races, and the PTX is left out.
#![allow(missing_docs)]

use std::num::NonZero;

use simt::{Arguments, Cpu, Global, WARP};
use simt_examples::checks::{block_ops, half_ops, lane_ops, wide_ops};
use simt_examples::{attention, histogram, life, matrix_product, reduction, saxpy, scan, softmax, transpose};

/// The PTX of a kernel, compiled once for all tests of this process.
#[cfg(not(feature = "race-check"))]
fn ptx(kernel: &str) -> &'static str {
    use ptx_build::{LaunchBounds, Ptx, PtxBuild};
    use std::sync::LazyLock;

    static PTX: LazyLock<Ptx> = LazyLock::new(|| {
        let build = PtxBuild {
            package: "simt-examples",
            manifest: concat!(env!("CARGO_MANIFEST_DIR"), "/../../../Cargo.toml"),
            sources: &[],
            parts: &[],
            launch_bounds: |_| LaunchBounds { block_threads: 32 * simt::GPU_WARPS, min_blocks: None },
            min_arch: 70,
            default_arch: 75,
            compiler_variable: "PTX",
            rust_cuda_workspace: None,
        };
        let ptx =
            build.compile_in(env!("CARGO_TARGET_TMPDIR").as_ref(), |name| (name == "PTX").then(|| "rustc".into()));
        ptx.expect("the kernels compile").expect("PTX is asked for")
    });
    &PTX.modules.iter().find(|module| module.kernel == kernel).expect("the kernel is in the PTX").ptx
}

/// Runs the kernel in the emulator on copies of the arrays, with blocks and warps in the order of the seed `order`.
#[cfg(not(feature = "race-check"))]
fn run_ptx<K: Arguments>(
    blocks: usize,
    arrays: &[Vec<u32>],
    kernel: &impl Fn(&[u64]) -> K,
    order: u64,
) -> Vec<Vec<u32>> {
    use ptx_emulator::{Checks, DeviceProperties, Dims, Gpu};

    let mut gpu = Gpu::new(DeviceProperties::default());
    (gpu.order, gpu.checks, gpu.timed) = (order, Checks::Strict, true);
    let module = gpu.load(ptx(K::NAME)).expect("the PTX is valid");
    let addresses: Vec<u64> = arrays
        .iter()
        .map(|array| {
            let address = gpu.allocate(4 * array.len()).expect("the device has memory");
            assert!(gpu.write(address, &array.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>()));
            address
        })
        .collect();
    let dims = Dims { shared: K::SHARED_BYTES, ..Dims::new(blocks as u32, 32 * simt::GPU_WARPS as u32) };
    let kernel = kernel(&addresses);
    let parameter = format!("{}_param_0[{}]", K::NAME, kernel.as_bytes().len());
    assert!(ptx(K::NAME).contains(&parameter), "the kernel's parameter is not {parameter}");
    let profile = gpu.launch(&module, K::NAME, dims, kernel.as_bytes()).unwrap_or_else(|fault| panic!("{fault}"));
    let conflicts: u64 = profile.instructions.iter().map(|counts| counts.conflicts).sum();
    assert!(
        conflicts == 0 || ["histogram", "block_ops"].contains(&K::NAME),
        "{} has {conflicts} bank conflicts",
        K::NAME
    );
    let words = |(address, array): (&u64, &Vec<u32>)| {
        let bytes = gpu.read(*address, 4 * array.len()).expect("the array is allocated");
        bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().expect("four bytes"))).collect()
    };
    addresses.iter().zip(arrays).map(words).collect()
}

/// Runs the kernel on the CPU on copies of the arrays.
fn run_cpu<K: Arguments>(cpu: Cpu, blocks: usize, arrays: &[Vec<u32>], kernel: &impl Fn(&[u64]) -> K) -> Vec<Vec<u32>> {
    let mut arrays = arrays.to_vec();
    let addresses: Vec<u64> = arrays.iter_mut().map(|array| array.as_mut_ptr().expose_provenance() as u64).collect();
    // SAFETY: the arrays have the lengths that the test gives the kernel, and nothing else uses them.
    unsafe { cpu.launch(blocks, &kernel(&addresses)) };
    arrays
}

/// Runs the kernel on every device, asserts that all results have the same bits, and returns the results.
fn run<K: Arguments>(blocks: usize, arrays: &[Vec<u32>], kernel: impl Fn(&[u64]) -> K) -> Vec<Vec<u32>> {
    let expected = run_cpu(Cpu::new().threads(NonZero::<usize>::MIN), 1, arrays, &kernel);
    for (seed, cpu) in Cpu::all().enumerate() {
        #[cfg(feature = "race-check")]
        simt::race::set_warp_order(1 + seed as u64);
        let threads = NonZero::new(1 + seed).expect("at least one thread");
        let result = run_cpu(cpu.threads(threads), blocks, arrays, &kernel);
        assert!(result == expected, "{} with {} and {threads} threads", K::NAME, cpu.isa().name());
    }
    #[cfg(not(feature = "race-check"))]
    for order in [0, 1] {
        assert!(run_ptx(blocks, arrays, &kernel, order) == expected, "{} as PTX in order {order}", K::NAME);
    }
    expected
}

/// Returns values without symmetry, from 0 to below 1.
fn values(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let next = |_| {
        // The constants are those of Numerical Recipes.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 16_777_216.0
    };
    (0..n).map(next).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Asserts that each value differs from the expected one by at most `tolerance`, relative to 1 or the expected value.
#[track_caller]
fn assert_close(got: &[u32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len());
    for (i, (got, expected)) in got.iter().map(|bits| f32::from_bits(*bits)).zip(expected).enumerate() {
        let is_close = (got - expected).abs() <= tolerance * expected.abs().max(1.0);
        assert!(is_close, "element {i} is {got}, expected {expected}");
    }
}

#[test]
fn saxpy_is_a_x_plus_y() {
    let (a, n) = (1.7, 1003);
    let (x, mut y) = (values(n, 1), values(n, 2));
    let arrays = [bits(&x), bits(&y)];
    let result = run(3, &arrays, |at| saxpy::Saxpy { a, x: Global::new(at[0], n), y: Global::new(at[1], n) });
    saxpy::naive(a, &x, &mut y);
    assert_eq!(result[1], bits(&y));
}

#[test]
fn a_reduction_sums_up_each_chunk() {
    let (n, chunks) = (5 * reduction::CHUNK, 5);
    let x = values(n, 3);
    let result = run(3, &[bits(&x), vec![0; chunks]], |at| reduction::Reduction {
        x: Global::new(at[0], n),
        sums: Global::new(at[1], chunks),
    });
    assert_close(&result[1], &reduction::naive(&x), 1e-5);
}

#[test]
fn a_scan_replaces_elements_by_their_prefix_sums() {
    for n in [1, 32, 5003] {
        let mut x: Vec<u32> = bits(&values(n, 4));
        let result = run(1, &[x.clone()], |at| scan::Scan { x: Global::new(at[0], n) });
        scan::naive(&mut x);
        assert_eq!(result[0], x);
    }
}

#[test]
fn a_transposition_exchanges_rows_and_columns() {
    let (rows, columns) = (64, 96);
    let x = values(rows * columns, 5);
    let result = run(4, &[bits(&x), vec![0; rows * columns]], |at| transpose::Transpose {
        x: Global::new(at[0], rows * columns),
        y: Global::new(at[1], rows * columns),
        rows: rows as u32,
        columns: columns as u32,
    });
    assert_eq!(result[1], bits(&transpose::naive(&x, columns)));
}

#[test]
fn a_matrix_product_sums_up_products() {
    let (rows, inner, columns) = (136, 160, 256);
    let (a, b) = (values(rows * inner, 6), values(inner * columns, 7));
    let result = run(3, &[bits(&a), bits(&b), vec![0; rows * columns]], |at| matrix_product::MatrixProduct {
        a: Global::new(at[0], rows * inner),
        b: Global::new(at[1], inner * columns),
        c: Global::new(at[2], rows * columns),
        inner: inner as u32,
        columns: columns as u32,
    });
    assert_close(&result[2], &matrix_product::naive(&a, &b, inner, columns), 1e-5);
}

#[test]
fn a_softmax_is_positive_and_sums_up_to_one() {
    let (rows, columns) = (37, 75);
    let mut x: Vec<f32> = values(rows * columns, 8).iter().map(|x| 20.0 * x - 7.0).collect();
    let kernel = |at: &[u64]| softmax::Softmax { x: Global::new(at[0], rows * columns), columns: columns as u32 };
    let result = run(2, &[bits(&x)], kernel);
    softmax::naive(&mut x, columns);
    assert_close(&result[0], &x, 1e-6);
}

#[test]
fn a_histogram_counts_every_value_once() {
    let n = 10_007;
    let x: Vec<f32> = values(n, 9).iter().map(|x| x * x).collect();
    let result = run(3, &[bits(&x), vec![0; histogram::BINS]], |at| histogram::Histogram {
        x: Global::new(at[0], n),
        counts: Global::new(at[1], histogram::BINS),
    });
    assert_eq!(result[1], histogram::naive(&x));
}

#[test]
fn attention_averages_the_values_of_earlier_tokens() {
    let tokens = 75;
    let n = tokens * attention::CHANNELS;
    let [queries, keys, values] =
        [10, 11, 12].map(|seed| values(n, seed).iter().map(|x| 2.0 * x - 0.9).collect::<Vec<_>>());
    let result = run(2, &[bits(&queries), bits(&keys), bits(&values), vec![0; n]], |at| attention::Attention {
        queries: Global::new(at[0], n),
        keys: Global::new(at[1], n),
        values: Global::new(at[2], n),
        output: Global::new(at[3], n),
    });
    assert_close(&result[3], &attention::naive(&queries, &keys, &values), 1e-5);
}

#[test]
fn a_generation_of_life_follows_from_the_last() {
    let (width, height) = (64, 23);
    let cells: Vec<u32> = values(width * height, 13).iter().map(|x| u32::from(*x < 0.4)).collect();
    let result = run(3, &[cells.clone(), vec![0; width * height]], |at| life::Life {
        cells: Global::new(at[0], width * height),
        next: Global::new(at[1], width * height),
        width: width as u32,
    });
    assert_eq!(result[1], life::naive(&cells, width));
}

#[test]
fn each_lane_op_gives_what_its_lanes_give_one_by_one() {
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 3e9, -3e9, 0.5, -2.75];
    let mut a: Vec<f32> = values(WARP, 14).iter().map(|x| 10.0 * x - 5.0).collect();
    a[9..9 + special.len()].copy_from_slice(&special);
    let b: Vec<f32> =
        values(WARP, 15).iter().zip(&a).enumerate().map(|(i, (x, a))| if i % 5 == 0 { *a } else { *x }).collect();
    let x: Vec<u32> = bits(&values(WARP, 16)).iter().map(|x| x.wrapping_mul(0x9e37_79b9)).collect();
    let y: Vec<u32> = (0..WARP).map(|i| if i % 3 == 0 { x[i] } else { x[(7 * i + 3) % WARP] >> (i % 4) }).collect();
    let expected = lane_ops::naive(&a, &b, &x, &y);
    let n = expected.len();
    let result = run(1, &[bits(&a), bits(&b), x, y, vec![0; n]], |at| lane_ops::LaneOps {
        a: Global::new(at[0], WARP),
        b: Global::new(at[1], WARP),
        x: Global::new(at[2], WARP),
        y: Global::new(at[3], WARP),
        results: Global::new(at[4], n),
    });
    for (row, (got, expected)) in result[4].chunks(WARP).zip(expected.chunks(WARP)).enumerate() {
        assert_eq!(got, expected, "row {row} of the results");
    }
}

/// Returns the words of elements of 64 bits, the lower half first.
fn words(values: &[u64]) -> Vec<u32> {
    values.iter().flat_map(|x| [*x as u32, (*x >> 32) as u32]).collect()
}

#[test]
fn each_op_of_64_bits_gives_what_its_lanes_give_one_by_one() {
    let special = [f64::INFINITY, -0.0, 3e300, -1e-310, 0.5];
    let mut a: Vec<f64> = values(WARP, 17).iter().map(|x| f64::from(*x) / 3.0 - 0.1).collect();
    a[11..11 + special.len()].copy_from_slice(&special);
    let b: Vec<f64> = (0..WARP).map(|i| if i % 5 == 0 { a[i] } else { f64::from(values(WARP, 18)[i]) / 7.0 }).collect();
    let integers = bits(&values(WARP, 19));
    let x: Vec<u64> = integers.iter().map(|x| u64::from(*x).wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let y: Vec<u64> = (0..WARP).map(|i| if i % 3 == 0 { x[i] } else { x[(7 * i + 3) % WARP] >> (i % 9) }).collect();
    let expected = wide_ops::naive(&a, &b, &x, &y);
    let floats = |values: &[f64]| words(&values.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
    let n = expected.len();
    let arrays = [floats(&a), floats(&b), words(&x), words(&y), vec![0; 2 * n]];
    let result = run(1, &arrays, |at| wide_ops::WideOps {
        a: Global::new(at[0], WARP),
        b: Global::new(at[1], WARP),
        x: Global::new(at[2], WARP),
        y: Global::new(at[3], WARP),
        results: Global::new(at[4], n),
    });
    for (row, (got, expected)) in result[4].chunks(2 * WARP).zip(expected.chunks(WARP)).enumerate() {
        assert_eq!(got, words(expected), "row {row} of the results");
    }
}

#[test]
fn values_of_16_bits_are_the_nearest_ones() {
    let n = 9376;
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 65504.0, 65519.99, 65520.0, 65536.0, 3.4e38];
    let mut x: Vec<f32> = (0..n as u32).map(|i| f32::from_bits(i.wrapping_mul(0x9e37_79b9))).collect();
    // Ties, and the neighbourhood of the smallest halves.
    x[..2000].copy_from_slice(&values(2000, 20).iter().map(|x| x * 2e-7).collect::<Vec<_>>());
    for (i, x) in x[2000..3000].iter_mut().enumerate() {
        *x = f32::from_bits(0x3f80_1000 + 0x1000 * i as u32);
    }
    x[3000..3000 + special.len()].copy_from_slice(&special);
    let patterns: Vec<u32> = (0..n as u32).map(|i| ((7 * i) % 65536) | (((7 * i + 3) % 65536) << 16)).collect();
    let arrays = [bits(&x), vec![0; n / 2], vec![0; n / 2], patterns.clone(), vec![0; n], vec![0; n]];
    let result = run(2, &arrays, |at| half_ops::HalfOps {
        values: Global::new(at[0], n),
        halves: Global::new(at[1], n),
        bfloats: Global::new(at[2], n),
        bits: Global::new(at[3], n),
        from_halves: Global::new(at[4], n),
        from_bfloats: Global::new(at[5], n),
    });
    for (stored, loaded, significand_bits, shift) in [(1, 4, 10, 0), (2, 5, 7, 16)] {
        for (i, x) in x.iter().enumerate() {
            let got = (result[stored][i / 2] >> (16 * (i % 2))) as u16;
            let is_nan = half_ops::value(got, significand_bits).is_nan();
            let expected = half_ops::nearest(*x, significand_bits);
            assert!(expected.map_or(is_nan, |expected| got == expected), "{x:e} is {got:#x}, expected {expected:x?}");
        }
        for (pattern, got) in patterns.iter().map(|pattern| (pattern >> shift) as u16).zip(&result[loaded]) {
            let (got, expected) = (f64::from(f32::from_bits(*got)), half_ops::value(pattern, significand_bits));
            assert!(
                got.to_bits() == expected.to_bits() || got.is_nan() && expected.is_nan(),
                "{pattern:#x} is {got:e}"
            );
        }
    }
}

#[test]
fn ops_of_a_block_and_atomic_operations_give_what_one_lane_gives() {
    use block_ops::{COUNTS, LEN, SHAPE};

    let (x, (rows, columns)) = (values(LEN, 21).iter().map(|x| x - 0.4).collect::<Vec<_>>(), SHAPE);
    let n: Vec<u32> = bits(&values(LEN, 22)).iter().map(|x| x.wrapping_mul(0x9e37_79b9)).collect();
    let arrays = [bits(&x), n.clone(), vec![0; 6], vec![0; rows * columns], vec![0; COUNTS], vec![0; 2 * WARP]];
    let result = run(1, &arrays, |at| block_ops::BlockOps {
        x: Global::new(at[0], LEN),
        n: Global::new(at[1], LEN),
        sums: Global::new(at[2], 6),
        transposed: Global::new(at[3], rows * columns),
        counts: Global::new(at[4], COUNTS),
        steps: Global::new(at[5], 2 * WARP),
    });
    let mut prefix = x.clone();
    (1..LEN).for_each(|i| prefix[i] += prefix[i - 1]);
    assert_close(&result[0], &prefix, 1e-4);
    let max = x.iter().copied().fold(f32::MIN, f32::max);
    assert_close(&result[2][..2], &[x.iter().sum(), max], 1e-4);
    // The order is fixed, so these sums have the bits of the same additions in one lane.
    let mut ordered = [0.0f32; 4];
    for item in 0..40 {
        let first = (7 * item) % (LEN - WARP);
        for lane in 0..WARP {
            ordered[lane % 4] += f32::from_bits(result[0][first + lane]);
        }
    }
    assert_eq!(result[2][2..], bits(&ordered));
    let transposed: Vec<u32> =
        (0..columns).flat_map(|c| (0..rows).map(move |r| (r, c))).map(|(r, c)| n[r * columns + c]).collect();
    assert_eq!(result[3], transposed);

    let counted = &n[..LEN / WARP * WARP];
    let sum = |parity: usize| counted.iter().skip(parity).step_by(2).copied().fold(0, u32::wrapping_add);
    let (max, xor) = (counted.iter().copied().fold(0, u32::max), counted.iter().fold(0, |x, y| x ^ y));
    let or = counted.chunks(WARP).flat_map(|row| &row[..5]).fold(0, |x, y| x | y);
    let signed = |f: fn(i32, i32) -> i32| counted.iter().map(|x| *x as i32).fold(0, f) as u32;
    let (quarters, len, threes) =
        ((0.25 * counted.len() as f32).to_bits(), counted.len() as u32, 3 * (LEN / WARP) as u32);
    let triangle = |n: u32| n * (n - 1) / 2;
    let all = counted.iter().copied().fold(0, u32::wrapping_add);
    let global = [sum(0), sum(1), max, or, xor, signed(i32::min), signed(i32::max), quarters];
    let relaxed = [len, triangle(len), triangle(threes), 1, 1, all];
    let shared = [sum(0), sum(1), max, 0, xor, threes, 0, quarters];
    assert_eq!(result[4], [&global[..], &relaxed, &shared, &[0, 4]].concat());

    let collatz = |start: u32| {
        let step = |x: &u32| (*x != 1).then(|| if x % 2 == 1 { 3 * x + 1 } else { x / 2 });
        std::iter::successors(Some(start), step).count() as u32 - 1
    };
    let starts = || n[..WARP].iter().map(|x| x & 255 | 1);
    let doubled = starts().map(|x| if x & 2 == 0 { 2 * x } else { x });
    assert_eq!(result[5], starts().map(collatz).chain(doubled).collect::<Vec<_>>());
}
