//! The tests of the tiled executor: the order of its sums, and its products.
#![allow(missing_docs)]

use gpu_kernels::tiled::product::{Items, Left, Output, Product, Right};
use gpu_kernels::tiled::sum::{CHUNK, Contraction, Leaf, stack_len};
use gpu_kernels::tiled::work::{Work, WorkArgs};
use simt::{AnyCpu, Grid, HALF_WARP, U32View, View, round_up};

/// Returns pseudorandom values in `[-1, 1)` that depend on `seed` alone.
fn values(seed: u64, len: usize) -> Vec<f32> {
    let value = |i: u64| {
        // This is the finaliser of SplitMix64.
        let mut x = (seed << 32 | i).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..len as u64).map(value).collect()
}

fn view(memory: &mut [f32]) -> View {
    // SAFETY: the tests keep the memory as long as its views, and launch one kernel at a time.
    unsafe { View::new(memory.as_mut_ptr(), memory.len()) }
}

/// Returns the sum of the leaves as the docs of `sum` define it.
fn tree(leaves: &[f32]) -> f32 {
    if let [leaf] = leaves {
        return *leaf;
    }
    let left = leaves.len().next_power_of_two() / 2;
    tree(&leaves[..left]) + tree(&leaves[left..])
}

/// Returns the sum of a segment's terms `a b` as the docs of `sum` define it.
fn segment(terms: &[(f32, f32)]) -> f32 {
    let chunk = |terms: &[(f32, f32)]| terms.iter().fold(0.0, |sum, &(a, b)| f32::mul_add(a, b, sum));
    tree(&terms.chunks(CHUNK).map(chunk).collect::<Vec<_>>())
}

fn leaves(contraction: Contraction) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    contraction.each_leaf(|leaf| leaves.push(leaf));
    leaves
}

#[test]
fn leaves_cover_the_contraction_and_leave_one_sum() {
    let bounds = [0u32, 3, 700, 701, 1469, 1500, 1999];
    // SAFETY: the array outlives the view.
    let segments = Contraction::Segments { bounds: unsafe { U32View::new(bounds.as_ptr(), bounds.len()) }, count: 6 };
    let cases = [Contraction::Whole(1), Contraction::Whole(CHUNK), Contraction::Whole(5 * CHUNK + 1), segments];
    for (contraction, stack) in cases.into_iter().zip([0, 0, 3, 3 + 2]) {
        let (mut next, mut depth) = (0, 0);
        let leaves = leaves(contraction);
        for (i, leaf) in leaves.iter().enumerate() {
            assert_eq!((leaf.start, leaf.depth, leaf.is_last), (next, depth, i + 1 == leaves.len()));
            assert!((1..=CHUNK).contains(&leaf.len) && leaf.merges <= depth && depth <= stack, "{leaf:?}");
            next += leaf.len;
            depth = depth + 1 - leaf.merges;
        }
        assert_eq!(depth, 1);
    }
    assert_eq!(stack_len(6, 768), 3 + 2);
}

/// A product of pseudorandom matrices in padded memory.
struct Case {
    rows: usize,
    len: usize,
    cols: usize,
    is_transposed: bool,
    /// The first index of each segment, and the end of the last one.
    bounds: Vec<u32>,
    left: Vec<f32>,
    right: Vec<f32>,
}

impl Case {
    fn new(rows: usize, cols: usize, is_transposed: bool, bounds: &[u32]) -> Self {
        let (len, padded) = (*bounds.last().unwrap() as usize, round_up(rows, 16));
        // The contracted axis is padded where it is the second one.
        let left_len = padded * if is_transposed { len } else { round_up(len, HALF_WARP) };
        let (left, right) = (values(1, left_len), values(2, len * cols));
        Self { rows, len, cols, is_transposed, bounds: bounds.to_vec(), left, right }
    }

    fn product(&mut self, y: &mut [f32], output: Output) -> Product {
        let contraction = if self.bounds.len() == 2 {
            Contraction::Whole(self.len)
        } else {
            // SAFETY: the case outlives the product.
            let bounds = unsafe { U32View::new(self.bounds.as_ptr(), self.bounds.len()) };
            Contraction::Segments { bounds, count: self.bounds.len() - 1 }
        };
        let stride = if self.is_transposed { round_up(self.rows, 16) } else { round_up(self.len, HALF_WARP) };
        Product {
            left: Left { view: view(&mut self.left), stride, is_transposed: self.is_transposed, is_squared: false },
            right: Right {
                view: view(&mut self.right),
                stride: self.cols,
                width: self.cols,
                next: 0,
                is_squared: false,
            },
            contraction,
            y: view(y),
            y_stride: self.cols,
            rows: self.rows,
            cols: self.cols,
            output,
        }
    }

    /// Returns the product in the order that the docs of `sum` define.
    fn expected(&self, row: usize, col: usize) -> f32 {
        let (stride, right) = (self.left.len() / self.len, &self.right);
        let padded = round_up(self.len, HALF_WARP);
        let left =
            |k: usize| if self.is_transposed { self.left[k * stride + row] } else { self.left[row * padded + k] };
        let terms: Vec<_> = (0..self.len).map(|k| (left(k), right[k * self.cols + col])).collect();
        let segments = self.bounds.windows(2).map(|pair| segment(&terms[pair[0] as usize..pair[1] as usize]));
        tree(&segments.collect::<Vec<_>>())
    }
}

/// Computes a product in these items, with scratch memory that holds NaN.
fn run(product: Product, items: Items, stack: usize) {
    let mut scratch = vec![f32::NAN; items.scratch_len(stack)];
    let args = WorkArgs { work: Work::Product(product, items), scratch: view(&mut scratch) };
    let count = items.count(product.rows, product.cols);
    #[cfg(feature = "race-check")]
    simt::race::launch();
    // SAFETY: the views are valid, and one launch uses them.
    unsafe { args.run(&Grid::new(0..count, count, AnyCpu)) };
}

fn cases() -> Vec<Case> {
    vec![
        Case::new(37, 48, false, &[0, 96]),
        Case::new(16, 16, false, &[0, 5 * CHUNK as u32 + 32]),
        Case::new(32, 80, true, &[0, 3, 7, 300, 301, 309]),
        Case::new(48, 32, true, &[0, 600, 1369]),
        Case::new(16, 16, true, &[0, 1]),
    ]
}

const STORE: Output = Output::Store { scaled: 0, scale: 1.0 };

#[test]
fn products_have_the_order_of_sums_that_the_docs_state() {
    for mut case in cases() {
        let mut y = vec![f32::NAN; round_up(case.rows, 16) * case.cols];
        run(case.product(&mut y, STORE), Items { rows: 32, cols: 48 }, 6);
        for row in 0..case.rows {
            for col in 0..case.cols {
                let (got, expected) = (y[row * case.cols + col], case.expected(row, col));
                assert_eq!(got.to_bits(), expected.to_bits(), "[{row}, {col}]: expected {expected}, got {got}");
            }
        }
    }
}

#[test]
fn the_division_into_items_changes_no_bits() {
    let mut case = Case::new(100, 192, false, &[0, 640]);
    let mut bits = |items| {
        let mut y = vec![f32::NAN; 112 * case.cols];
        run(case.product(&mut y, STORE), items, 2);
        y.truncate(100 * case.cols);
        y
    };
    let expected = bits(Items { rows: 112, cols: 192 });
    for items in [Items { rows: 16, cols: 16 }, Items { rows: 48, cols: 80 }, Items::new(100, 192, 3, 4096)] {
        assert!(bits(items) == expected, "{items:?}");
    }
}

#[test]
fn the_items_of_a_division_cover_the_product_and_are_enough_for_the_threads() {
    for (rows, cols, threads, area) in
        [(7, 16, 1, 1 << 20), (1000, 400, 2, 1 << 20), (4096, 64, 16, 4096), (50, 1536, 8, 1 << 15)]
    {
        let items = Items::new(rows, cols, threads, area);
        assert!(items.rows.is_multiple_of(16) && items.cols.is_multiple_of(HALF_WARP), "{items:?}");
        let most = rows.div_ceil(16) * cols.div_ceil(HALF_WARP);
        assert!(items.count(rows, cols) >= threads.min(most), "{rows} x {cols}: {items:?} for {threads} threads");
        assert!(items.rows * items.cols <= area.max(16 * 384), "{items:?} exceeds {area}");
    }
}

#[test]
fn right_operands_lie_side_by_side_and_operands_are_squared() {
    let (rows, len, width) = (19, 48, 32);
    let (mut left, mut right, mut y) =
        (values(3, 32 * len), values(4, 3 * len * width), vec![f32::NAN; 32 * 3 * width]);
    let product = Product {
        left: Left { view: view(&mut left), stride: len, is_transposed: false, is_squared: true },
        right: Right { view: view(&mut right), stride: width, width, next: len * width, is_squared: true },
        contraction: Contraction::Whole(len),
        y: view(&mut y),
        y_stride: 3 * width,
        rows,
        cols: 3 * width,
        output: Output::Store { scaled: width, scale: 0.3 },
    };
    run(product, Items { rows: 16, cols: 64 }, 0);
    for row in 0..rows {
        for col in 0..3 * width {
            let terms =
                (0..len).map(|k| (left[row * len + k], right[col / width * len * width + k * width + col % width]));
            let sum = segment(&terms.map(|(a, b)| (a * a, b * b)).collect::<Vec<_>>());
            let expected = if col < width { sum * 0.3 } else { sum };
            assert_eq!(y[row * 3 * width + col].to_bits(), expected.to_bits(), "[{row}, {col}]");
        }
    }
}

/// A function of the product's value, the value before, and `h`.
type Use = fn(f32, f32, f32) -> f32;

#[test]
fn values_are_put_to_the_use_that_is_asked_for() {
    let mut case = Case::new(32, 48, false, &[0, 48]);
    let (before, mut h) = (values(5, 32 * 48), values(6, 32 * 48));
    let mut squares = vec![f32::NAN; 2 * 3 * HALF_WARP];
    let uses: [(Output, Use); 4] = [
        (Output::Add, |x, before, _| before + x),
        (Output::Relu, |x, _, _| x.max(0.0)),
        (Output::ReluBackward { h: view(&mut h) }, |x, _, h| x * (h + h)),
        (Output::Gradient { scale: 0.3, squares: view(&mut squares) }, |x, _, _| x * 0.3),
    ];
    for (output, f) in uses {
        let mut y = before.clone();
        run(case.product(&mut y, output), Items { rows: 16, cols: 32 }, 0);
        for (i, &y) in y.iter().enumerate() {
            let expected = f(case.expected(i / 48, i % 48), before[i], h[i]);
            assert_eq!(y.to_bits(), expected.to_bits(), "[{}, {}]", i / 48, i % 48);
        }
        if let Output::Gradient { .. } = output {
            // As `clip::squares` does, the even and the odd rows are summed apart, from a bias.
            for (i, &got) in squares.iter().enumerate() {
                let (block, channel) = (i / HALF_WARP, i % HALF_WARP);
                let value = |row: usize| y[(block / 3 * 16 + row) * 48 + block % 3 * 16 + channel];
                let sum = |first: usize| {
                    (first..16).step_by(2).fold(1e-30f32, |sum, row| value(row).mul_add(value(row), sum))
                };
                assert_eq!(got.to_bits(), (sum(0) + sum(1)).to_bits(), "block {block}, channel {channel}");
            }
        }
    }
}
