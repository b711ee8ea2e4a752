//! The tiled executor's products have the same bits with every instruction set.
#![allow(missing_docs)]
#![cfg(not(feature = "race-check"))]

use gpu_kernels::entry::CpuKernels;
use gpu_kernels::tiled::product::{Items, Left, Output, Product, Right};
use gpu_kernels::tiled::sum::{CHUNK, Contraction, stack_len};
use gpu_kernels::tiled::work::{Work, WorkArgs};
use microgpt::device::cpu::available;
use simt::View;

/// Returns a product of `[rows, len]` and `[len, cols]`, whose left operand is `[len, rows]` in memory if transposed.
fn product(kernels: CpuKernels, [rows, len, cols]: [usize; 3], is_transposed: bool) -> Vec<u32> {
    let values = |seed: usize, len| (0..len).map(move |i| ((i * 7919 + seed) % 2003) as f32 / 1001.5 - 1.0);
    let (mut left, mut right): (Vec<_>, Vec<_>) = (values(1, rows * len).collect(), values(2, len * cols).collect());
    let mut y = vec![f32::NAN; rows * cols];
    let items = Items::new(rows, cols, 2, 1 << 12);
    let mut scratch = vec![0.0; items.scratch_len(stack_len(1, len))];
    // SAFETY: the memory outlives the product.
    let view = |memory: &mut [f32]| unsafe { View::new(memory.as_mut_ptr(), memory.len()) };
    let product = Product {
        left: Left {
            view: view(&mut left),
            stride: if is_transposed { rows } else { len },
            is_transposed,
            is_squared: false,
        },
        right: Right { view: view(&mut right), stride: cols, width: cols, next: 0, is_squared: false },
        contraction: Contraction::Whole(len),
        y: view(&mut y),
        y_stride: cols,
        rows,
        cols,
        output: Output::Store { scaled: 0, scale: 1.0 },
    };
    let count = items.count(rows, cols);
    let args = WorkArgs { work: Work::Product(product, items), scratch: view(&mut scratch) };
    // SAFETY: the views are valid, and `available` has returned the kernels.
    unsafe { kernels.tiled(&args, 0..count, count) };
    y.into_iter().map(f32::to_bits).collect()
}

#[test]
fn products_have_the_same_bits_with_every_instruction_set() {
    // The widths have panels of one, two and three half-warps with AVX-512.
    for sizes in [[16, 16, 16], [48, 96, 64], [112, 3 * CHUNK, 80], [32, CHUNK + 16, 112]] {
        for is_transposed in [false, true] {
            let expected = product(available()[0], sizes, is_transposed);
            assert!(expected.iter().all(|&bits| f32::from_bits(bits).is_finite()));
            for kernels in available().into_iter().skip(1) {
                let name = kernels.isa().name();
                assert!(product(kernels, sizes, is_transposed) == expected, "{sizes:?}: {name} differs");
            }
        }
    }
}
