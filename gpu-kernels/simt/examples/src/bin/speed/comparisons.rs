//! The examples beside intrinsics of AVX-512.
//!
//! Both computations have results of their own, which are compared in the end.

use std::num::NonZero;

use simt::{Arguments, Cpu, Global};
use simt_examples::{attention, histogram, life, reduction, saxpy, scan, softmax, transpose};

use crate::{by_hand, paired, print, values};

/// An example with the size of its input, and the text that says where its arrays are.
struct Comparison<'a> {
    example: &'a str,
    size: &'a str,
    rounds: usize,
    memory: &'a str,
}

impl<'a> Comparison<'a> {
    fn in_cache(example: &'a str, size: &'a str) -> Self {
        Self { example, size, rounds: 400, memory: "L2 cache" }
    }

    /// Measures the kernel and what is written by hand, in one block and on one thread.
    ///
    /// # Safety
    /// The conditions of [`Cpu::launch`] hold.
    unsafe fn measure<K: Arguments>(&self, kernel: &K, by_hand: impl FnMut()) {
        let cpu = Cpu::new().threads(NonZero::<usize>::MIN);
        // SAFETY: by the contract of the function.
        let times = paired(self.rounds, || unsafe { cpu.launch(1, kernel) }, by_hand);
        print(self.example, self.size, &format!("AVX-512 intrinsics, {}", self.memory), &times);
    }
}

/// Asserts that both results are the same up to rounding.
fn assert_close(kernel: &[f32], by_hand: &[f32]) {
    let is_close = |(x, y): (&f32, &f32)| (x - y).abs() <= 1e-4 * y.abs().max(1e-3);
    assert!(kernel.iter().zip(by_hand).all(is_close), "the results differ");
}

/// Measures every example.
///
/// # Safety
/// The processor has AVX-512.
pub unsafe fn measure() {
    // SAFETY: in every example the arrays live, have the lengths that the kernel asks for, and only one of the two
    // computations runs at a time. The functions by hand need AVX-512, for which the caller vouches.
    unsafe { saxpy_in(&Comparison::in_cache("saxpy", "65,536"), 1 << 16) };
    // The arrays have 512 MB, which is more than the largest L3 caches.
    let in_memory = Comparison { example: "saxpy", size: "67,108,864", rounds: 5, memory: "memory" };
    // SAFETY: as for the first example.
    unsafe { saxpy_in(&in_memory, 1 << 26) };

    let chunks = 8;
    let (x, mut sums, mut expected) = (values(chunks * reduction::CHUNK, 7), vec![0.0; chunks], vec![0.0; chunks]);
    let kernel = reduction::Reduction { x: Global::of(&x), sums: Global::of_mut(&mut sums) };
    let comparison = Comparison::in_cache("reduction", "131,072");
    // SAFETY: as for the first example.
    unsafe { comparison.measure(&kernel, || by_hand::reduction(&x, reduction::CHUNK, &mut expected)) };
    assert_close(&sums, &expected);

    let mut x: Vec<u32> = (0..1 << 16).collect();
    let mut expected = x.clone();
    let kernel = scan::Scan { x: Global::of_mut(&mut x) };
    // SAFETY: as for the first example.
    unsafe { Comparison::in_cache("scan", "65,536").measure(&kernel, || by_hand::scan(&mut expected)) };
    assert_eq!(x, expected);

    let (rows, columns) = (384, 288);
    let (x, mut y, mut expected) = (values(rows * columns, 11), vec![0.0; rows * columns], vec![0.0; rows * columns]);
    let (x_array, y_array) = (Global::of(&x), Global::of_mut(&mut y));
    let kernel = transpose::Transpose { x: x_array, y: y_array, rows: rows as u32, columns: columns as u32 };
    let comparison = Comparison::in_cache("transpose", "384 x 288");
    // SAFETY: as for the first example.
    unsafe { comparison.measure(&kernel, || by_hand::transpose(&x, &mut expected, rows, columns)) };
    assert_close(&y, &expected);

    let (rows, columns) = (64, 1024);
    let mut x: Vec<f32> = values(rows * columns, 13).iter().map(|x| 20.0 * x).collect();
    let mut expected = x.clone();
    let kernel = softmax::Softmax { x: Global::of_mut(&mut x), columns: columns as u32 };
    let comparison = Comparison::in_cache("softmax", "64 rows of 1,024");
    // SAFETY: as for the first example.
    unsafe { comparison.measure(&kernel, || by_hand::softmax(&mut expected, columns)) };
    assert_close(&x, &expected);

    let (x, mut counts, mut expected) = (values(1 << 16, 17), [0; histogram::BINS], [0; histogram::BINS]);
    let kernel = histogram::Histogram { x: Global::of(&x), counts: Global::of_mut(&mut counts) };
    let comparison = Comparison::in_cache("histogram", "65,536 in 256 bins");
    // SAFETY: as for the first example.
    unsafe { comparison.measure(&kernel, || by_hand::histogram(&x, &mut expected)) };
    assert_eq!(counts, expected);

    let n = 512 * attention::CHANNELS;
    let [queries, keys, values_] = [19, 23, 29].map(|seed| values(n, seed));
    let (mut output, mut expected, mut transposed) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    let (keys_array, values_array) = (Global::of(&keys), Global::of(&values_));
    let kernel = attention::Attention {
        queries: Global::of(&queries),
        keys: keys_array,
        values: values_array,
        output: Global::of_mut(&mut output),
    };
    let comparison = Comparison::in_cache("attention", "512 tokens");
    // SAFETY: as for the first example.
    unsafe {
        comparison.measure(&kernel, || by_hand::attention(&queries, &keys, &values_, &mut transposed, &mut expected));
    };
    assert_close(&output, &expected);

    let (width, height) = (512, 256);
    let cells: Vec<u32> = values(width * height, 37).iter().map(|x| u32::from(*x < 0.4)).collect();
    let (mut next, mut expected) = (vec![0; width * height], vec![0; width * height]);
    let kernel = life::Life { cells: Global::of(&cells), next: Global::of_mut(&mut next), width: width as u32 };
    let comparison = Comparison::in_cache("life", "512 x 256");
    // SAFETY: as for the first example.
    unsafe { comparison.measure(&kernel, || by_hand::life(&cells, &mut expected, width)) };
    assert_eq!(next, expected);
}

/// Measures saxpy of `n` elements.
///
/// # Safety
/// The processor has AVX-512.
unsafe fn saxpy_in(comparison: &Comparison, n: usize) {
    let (a, x, mut y) = (1e-3, values(n, 3), values(n, 5));
    let mut expected = y.clone();
    let kernel = saxpy::Saxpy { a, x: Global::of(&x), y: Global::of_mut(&mut y) };
    // SAFETY: as in `measure`.
    unsafe { comparison.measure(&kernel, || by_hand::saxpy(a, &x, &mut expected)) };
    assert_close(&y, &expected);
}
