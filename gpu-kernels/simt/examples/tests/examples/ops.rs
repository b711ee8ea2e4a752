//! Every op against what its lanes give one by one.

use simt::{Global, WARP};
use simt_examples::checks::{atomic_ops, block_ops, half_ops, lane_ops, wide_ops};

use super::{assert_close, bits, values};
use crate::devices::run;

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
fn ops_of_a_block_give_what_one_lane_gives() {
    use block_ops::{LEN, SHAPE};

    let (x, (rows, columns)) = (values(LEN, 21).iter().map(|x| x - 0.4).collect::<Vec<_>>(), SHAPE);
    let n: Vec<u32> = bits(&values(LEN, 22)).iter().map(|x| x.wrapping_mul(0x9e37_79b9)).collect();
    let arrays = [bits(&x), n.clone(), vec![0; 6], vec![0; rows * columns], vec![0; 2], vec![0; 2 * WARP]];
    let result = run(1, &arrays, |at| block_ops::BlockOps {
        x: Global::new(at[0], LEN),
        n: Global::new(at[1], LEN),
        sums: Global::new(at[2], 6),
        transposed: Global::new(at[3], rows * columns),
        extremes: Global::new(at[4], 2),
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

    let signed = |f: fn(i32, i32) -> i32| n[..LEN / WARP * WARP].iter().map(|x| *x as i32).fold(0, f) as u32;
    assert_eq!(result[4], [signed(i32::min), signed(i32::max)]);

    let collatz = |start: u32| {
        let step = |x: &u32| (*x != 1).then(|| if x % 2 == 1 { 3 * x + 1 } else { x / 2 });
        std::iter::successors(Some(start), step).count() as u32 - 1
    };
    let starts = || n[..WARP].iter().map(|x| x & 255 | 1);
    let doubled = starts().map(|x| if x & 2 == 0 { 2 * x } else { x });
    assert_eq!(result[5], starts().map(collatz).chain(doubled).collect::<Vec<_>>());
}

#[test]
fn atomic_operations_give_what_one_lane_gives() {
    use atomic_ops::{AtomicOps, COUNTS, WideAtomicOps, naive, naive_wide};

    let n = 31 * WARP;
    let integers: Vec<u32> = bits(&values(n, 22)).iter().map(|x| x.wrapping_mul(0x9e37_79b9)).collect();
    let kernel = |at: &[u64]| AtomicOps { n: Global::new(at[0], n), counts: Global::new(at[1], COUNTS) };
    assert_eq!(run(1, &[integers.clone(), vec![0; COUNTS]], kernel)[1], naive(&integers));

    let wide: Vec<u64> = integers.iter().map(|x| u64::from(*x).wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let kernel = |at: &[u64]| WideAtomicOps { n: Global::new(at[0], n), counts: Global::new(at[1], COUNTS) };
    assert_eq!(run(1, &[words(&wide), vec![0; 2 * COUNTS]], kernel)[1], words(&naive_wide(&wide)));
}
