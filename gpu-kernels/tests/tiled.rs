//! The tests of the tiled executor: the order of its sums, and its products.
#![allow(missing_docs)]

#[path = "common/values.rs"]
mod values;

use std::ptr;

use gpu_kernels::layout::Arrays;
use gpu_kernels::ops::adamw::{AdamWParams, StepCoefficients};
use gpu_kernels::shape::RuntimeShape;
use gpu_kernels::tiled::items::Items;
use gpu_kernels::tiled::launch::ProductsArgs;
use gpu_kernels::tiled::operand::{Left, Right};
use gpu_kernels::tiled::output::Output;
use gpu_kernels::tiled::phases::each_phase;
use gpu_kernels::tiled::product::Product;
use gpu_kernels::tiled::rows::RowCounts;
use gpu_kernels::tiled::step::StepArgs;
use gpu_kernels::tiled::sum::{Contraction, PART, Part, stack_len};
use gpu_kernels::tiled::work::{Work, WorkArgs};
use simt::{AS_ON_GPU, AnyCpu, Grid, HALF_WARP, U32View, View, round_up};

use values::values;

fn view(memory: &mut [f32]) -> View {
    // SAFETY: the tests keep the memory as long as its views, and launch one kernel at a time.
    unsafe { View::new(memory.as_mut_ptr(), memory.len()) }
}

/// Returns the sum of the segments' sums as the docs of `sum` define it.
fn tree(sums: &[f32]) -> f32 {
    if let [sum] = sums {
        return *sum;
    }
    let left = sums.len().next_power_of_two() / 2;
    tree(&sums[..left]) + tree(&sums[left..])
}

/// Returns the sum of a segment's terms `a b` as the docs of `sum` define it.
fn segment(terms: &[(f32, f32)]) -> f32 {
    terms.iter().fold(0.0, |sum, &(a, b)| f32::mul_add(a, b, sum))
}

fn parts(contraction: Contraction) -> Vec<Part> {
    let mut parts = Vec::new();
    contraction.each_part(|part| parts.push(part));
    parts
}

#[test]
fn parts_cover_the_contraction_and_leave_one_sum() {
    let bounds = [0u32, 3, 700, 701, 1900, 1931, 2999];
    // SAFETY: the array outlives the view.
    let segments = Contraction::Segments { bounds: unsafe { U32View::new(bounds.as_ptr(), bounds.len()) }, count: 6 };
    let cases = [Contraction::Whole(1), Contraction::Whole(PART), Contraction::Whole(5 * PART + 1), segments];
    for (contraction, stack) in cases.into_iter().zip([0, 0, 1, 3 + 1]) {
        let (mut next, mut depth) = (0, 0);
        let parts = parts(contraction);
        for (i, part) in parts.iter().enumerate() {
            let ends_segment = parts.get(i + 1).is_none_or(|next| next.is_first);
            assert_eq!((part.start, part.depth, part.is_last), (next, depth, i + 1 == parts.len()));
            assert!((1..=PART).contains(&part.len) && part.merges <= depth, "{part:?}");
            assert!(ends_segment || part.len.is_multiple_of(HALF_WARP), "{part:?}");
            // The part's sum is on the stack unless it is the result.
            assert!(part.is_last || depth - part.merges < stack, "{part:?}");
            next += part.len;
            depth = if ends_segment { depth + 1 - part.merges } else { depth };
        }
        assert_eq!(depth, 1);
    }
    assert_eq!([stack_len(6, PART + 1), stack_len(6, PART), stack_len(1, PART), stack_len(1, PART + 1)], [4, 3, 0, 1]);
}

/// A product of pseudorandom matrices in padded memory.
struct Case {
    rows: usize,
    len: usize,
    cols: usize,
    /// Whether the left operand is `[len, rows]` in memory, and whether the right one is `[cols, len]`.
    transposed: [bool; 2],
    /// The first index of each segment, and the end of the last one.
    bounds: Vec<u32>,
    left: Vec<f32>,
    right: Vec<f32>,
}

impl Case {
    fn new(rows: usize, cols: usize, transposed: [bool; 2], bounds: &[u32]) -> Self {
        let (len, padded) = (*bounds.last().unwrap() as usize, round_up(rows, 16));
        // A GPU reads up to seven contracted indices after the last one.
        let (left, right) = (values(1, padded * (len + 7) + HALF_WARP), values(2, (len + 7) * cols));
        Self { rows, len, cols, transposed, bounds: bounds.to_vec(), left, right }
    }

    fn product(&mut self, y: &mut [f32], output: Output) -> Product {
        let contraction = if self.bounds.len() == 2 {
            Contraction::Whole(self.len)
        } else {
            // SAFETY: the case outlives the product.
            let bounds = unsafe { U32View::new(self.bounds.as_ptr(), self.bounds.len()) };
            Contraction::Segments { bounds, count: self.bounds.len() - 1 }
        };
        let [left, right] = self.transposed;
        Product {
            left: Left {
                view: view(&mut self.left),
                stride: if left { round_up(self.rows, 16) } else { self.len },
                is_transposed: left,
            },
            right: Right {
                view: view(&mut self.right),
                stride: if right { self.len } else { self.cols },
                is_transposed: right,
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
        let (stride, [left, right]) = (round_up(self.rows, 16), self.transposed);
        let terms: Vec<_> = (0..self.len)
            .map(|k| {
                let left = self.left[if left { k * stride + row } else { row * self.len + k }];
                (left, self.right[if right { col * self.len + k } else { k * self.cols + col }])
            })
            .collect();
        let segments = self.bounds.windows(2).map(|pair| segment(&terms[pair[0] as usize..pair[1] as usize]));
        tree(&segments.collect::<Vec<_>>())
    }
}

/// Returns these items, or on a GPU those of one of its sizes.
fn staged(items: Items) -> Items {
    let is_allowed = !AS_ON_GPU || Items::STAGED.contains(&items);
    if is_allowed { items } else { Items::STAGED[items.rows / HALF_WARP % Items::STAGED.len()] }
}

/// Computes a product in these items, with scratch memory that holds NaN.
fn run(product: &Product, items: Items, stack: usize) {
    let items = staged(items);
    let memory = items.memory(stack);
    let mut scratch = vec![f32::NAN; memory.total()];
    let args = WorkArgs { work: Work::Product(*product, items), scratch: view(&mut scratch), memory };
    let count = items.count(product.rows, product.cols);
    #[cfg(feature = "race-check")]
    simt::race::launch();
    // SAFETY: the views are valid, and one launch uses them.
    unsafe { args.run(&Grid::new(0..count, count, AnyCpu)) };
}

fn cases() -> Vec<Case> {
    vec![
        Case::new(37, 48, [false, false], &[0, 101]),
        Case::new(16, 16, [false, true], &[0, 5 * PART as u32 + 32]),
        Case::new(21, 112, [false, true], &[0, 96]),
        Case::new(32, 80, [true, false], &[0, 3, 7, 300, 301, 309]),
        Case::new(48, 32, [true, false], &[0, 600, 1369]),
        Case::new(16, 16, [true, false], &[0, 1]),
        // On the CPU an item of so many columns packs its rows.
        Case::new(41, 112, [true, false], &[0, 3, 7, 300, 301, 709]),
    ]
}

const STORE: Output = Output::Store { scaled: 0, scale: 1.0 };

#[test]
fn products_have_the_order_of_sums_that_the_docs_state() {
    for mut case in cases() {
        for items in [Items { rows: 32, cols: 48 }, Items { rows: 48, cols: 96 }, Items { rows: 32, cols: 16 }] {
            let mut y = vec![f32::NAN; round_up(case.rows, 16) * case.cols];
            run(&case.product(&mut y, STORE), items, 4);
            for row in 0..case.rows {
                for col in 0..case.cols {
                    let (got, expected) = (y[row * case.cols + col], case.expected(row, col));
                    assert_eq!(got.to_bits(), expected.to_bits(), "[{row}, {col}]: expected {expected}, got {got}");
                }
            }
        }
    }
}

#[test]
fn the_division_into_items_changes_no_bits() {
    let mut case = Case::new(100, 192, [false, false], &[0, 640]);
    let mut bits = |items| {
        let mut y = vec![f32::NAN; 112 * case.cols];
        run(&case.product(&mut y, STORE), items, 1);
        y.truncate(100 * case.cols);
        y
    };
    let expected = bits(Items { rows: 112, cols: 192 });
    let small = [Items { rows: 16, cols: 16 }, Items { rows: 48, cols: 80 }, Items::new(100, 192, 3)];
    for items in small.into_iter().chain(Items::STAGED) {
        assert!(bits(items) == expected, "{items:?}");
    }
}

#[test]
fn the_items_of_a_division_cover_the_product_and_are_enough_for_the_threads() {
    for (rows, cols, threads) in
        [(7, 16, 1), (1000, 400, 2), (4096, 64, 16), (50, 1536, 8), (16, 256, 3), (16, 768, 12), (4096, 64, 6)]
    {
        let items = Items::new(rows, cols, threads);
        assert!(items.rows.is_multiple_of(16) && items.cols.is_multiple_of(HALF_WARP), "{items:?}");
        let most = rows.div_ceil(16) * cols.div_ceil(HALF_WARP);
        assert!(items.count(rows, cols) >= threads.min(most), "{rows} x {cols}: {items:?} for {threads} threads");
    }
}

#[test]
fn columns_below_a_bound_are_scaled() {
    let mut case = Case::new(19, 96, [false, true], &[0, 48]);
    let mut y = vec![f32::NAN; 32 * case.cols];
    run(&case.product(&mut y, Output::Store { scaled: 32, scale: 0.3 }), Items { rows: 16, cols: 64 }, 0);
    for row in 0..case.rows {
        for col in 0..case.cols {
            let (sum, got) = (case.expected(row, col), y[row * case.cols + col]);
            assert_eq!(got.to_bits(), if col < 32 { sum * 0.3 } else { sum }.to_bits(), "[{row}, {col}]");
        }
    }
}

/// A function of the product's value, the value before, and `h2`.
type Use = fn(f32, f32, f32) -> f32;

#[test]
fn values_are_put_to_the_use_that_is_asked_for() {
    let mut case = Case::new(48, 48, [false, false], &[0, 48]);
    let (before, mut h2) = (values(5, 48 * 48), values(6, 48 * 48));
    for x in &mut h2 {
        *x = x.max(0.0);
    }
    let mut squares = vec![f32::NAN; 3 * 3 * HALF_WARP];
    let uses: [(Output, Use); 4] = [
        (Output::Add, |x, before, _| before + x),
        (Output::SquaredRelu, |x, _, _| x.max(0.0) * x.max(0.0)),
        (Output::SquaredReluBackward { h2: view(&mut h2) }, |x, _, h2| x * (h2.sqrt() + h2.sqrt())),
        (Output::Gradient { scale: 0.3, squares: view(&mut squares) }, |x, _, _| x * 0.3),
    ];
    let sizes = [Items { rows: 16, cols: 32 }, Items { rows: 32, cols: 16 }];
    for ((output, f), items) in uses.into_iter().flat_map(|of_use| sizes.map(|items| (of_use, items))) {
        let mut y = before.clone();
        run(&case.product(&mut y, output), items, 0);
        for (i, &y) in y.iter().enumerate() {
            let expected = f(case.expected(i / 48, i % 48), before[i], h2[i]);
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

// An H200 has 132 multiprocessors. The products of a phase share a launch.
#[test]
fn each_launch_of_products_gives_each_multiprocessor_of_a_large_gpu_an_item() {
    let shape = RuntimeShape { vocab: 65, block_size: 256, n_embd: 384, n_head: 6, n_layer: 6 };
    let counts = RowCounts { rows: 1024, documents: 4, longest: 256, vocab: 65, shards: 4 };
    let null = ptr::null_mut();
    let step = StepArgs {
        arrays: Arrays { w: null, transposed: null, grads: null, m: null, v: null },
        workspace: null,
        squares: null,
        lists: ptr::null(),
        log: null,
        losses: null,
        shape,
        counts,
        optimizer: AdamWParams { beta1: 0.9, beta2: 0.95, max_grad_norm: 1.0 },
        coefficients: StepCoefficients::default(),
        threads: 132,
        trains: true,
        is_part: false,
    };
    let mut launches = 0;
    each_phase(1, true, |phase| {
        // SAFETY: the products are not computed, so their pointers are not read.
        if let Some((_, blocks)) = unsafe { ProductsArgs::new(&step, phase) } {
            assert!(blocks >= 132, "{phase:?} has {blocks} items");
            launches += 1;
        }
    });
    assert_eq!(launches, 10);
}
