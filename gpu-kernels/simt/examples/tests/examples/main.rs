//! Every example on the CPU and as PTX in the emulator, against its naive counterpart and bit for bit against each
//! other.
//!
//! With the feature `race-check` the launches on the CPU are checked for races, and the PTX is left out.
#![allow(missing_docs)]

mod devices;
mod division;
mod ops;

use devices::run;
use simt::Global;
use simt_examples::{attention, histogram, life, matrix_product, reduction, saxpy, scan, softmax, transpose};

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
    let (rows, inner, columns) = (136, 164, 256);
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
    let tokens = 96;
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

/// Returns the instructions of each basic block of a kernel's PTX.
#[cfg(not(feature = "race-check"))]
fn basic_blocks(ptx: &str) -> impl Iterator<Item = Vec<&str>> {
    let is_instruction = |line: &&str| line.ends_with(';') && !line.starts_with('.');
    ptx.split("$L__BB").map(move |block| {
        let lines = block.lines().map(|line| line.split("//").next().unwrap_or_default().trim());
        lines.filter(is_instruction).collect()
    })
}

#[test]
#[cfg(not(feature = "race-check"))]
fn seven_tenths_of_the_inner_loop_of_the_product_are_multiply_adds() {
    let multiply_adds = |block: &Vec<&str>| block.iter().filter(|line| line.starts_with("fma.rn.f32")).count();
    let inner = basic_blocks(devices::ptx("matrix_product")).max_by_key(multiply_adds).expect("the kernel has code");
    let (count, len) = (multiply_adds(&inner), inner.len());
    assert!(10 * count >= 7 * len, "{count} of {len} instructions are multiply-adds:\n{}", inner.join("\n"));
}
