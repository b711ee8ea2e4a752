//! A product of two matrices for tests and benchmarks of the tiled executor.

use gpu_kernels::entry::CpuKernels;
use gpu_kernels::tiled::items::Items;
use gpu_kernels::tiled::operand::{Left, Right};
use gpu_kernels::tiled::output::Output;
use gpu_kernels::tiled::product::Product;
use gpu_kernels::tiled::sum::{Contraction, stack_len};
use gpu_kernels::tiled::work::{Work, WorkArgs};
use simt::View;

/// Sixteen values at the alignment of the widest vectors.
#[derive(Clone, Copy)]
#[repr(align(64))]
#[expect(dead_code, reason = "read and written as floats")]
struct Line([f32; 16]);

/// A product of `[rows, len]` and `[len, cols]`.
pub struct Operands {
    /// The rows, the contracted length and the columns.
    sizes: [usize; 3],
    /// Whether the left operand is `[len, rows]` in memory, and whether the right one is `[cols, len]`.
    transposed: [bool; 2],
    items: Items,
    /// The left operand.
    pub left: Vec<f32>,
    /// The right operand.
    pub right: Vec<f32>,
    /// The result.
    pub y: Vec<f32>,
    scratch: Vec<Line>,
}

/// Returns values between -1 and 1 without symmetry.
fn values(seed: usize, len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
}

impl Operands {
    /// Returns a product that is divided for this many threads.
    pub fn new(sizes: [usize; 3], transposed: [bool; 2], threads: usize) -> Self {
        let [rows, len, cols] = sizes;
        let items = Items::new(rows, cols, threads);
        Self {
            sizes,
            transposed,
            items,
            left: values(1, rows * len),
            right: values(2, len * cols),
            y: vec![f32::NAN; rows * cols],
            scratch: vec![Line([0.0; 16]); items.memory(stack_len(1, len)).total().div_ceil(16)],
        }
    }

    /// Computes the product by these kernels, which the processor has.
    pub fn multiply(&mut self, kernels: CpuKernels) {
        let ([rows, len, cols], [left, right]) = (self.sizes, self.transposed);
        // SAFETY: the vectors have the lengths of the matrices, and outlive the product.
        let view = |x: &mut Vec<f32>| unsafe { View::new(x.as_mut_ptr(), x.len()) };
        let product = Product {
            left: Left { view: view(&mut self.left), stride: if left { rows } else { len }, is_transposed: left },
            right: Right { view: view(&mut self.right), stride: if right { len } else { cols }, is_transposed: right },
            contraction: Contraction::Whole(len),
            y: view(&mut self.y),
            y_stride: cols,
            rows,
            cols,
            output: Output::Store { scaled: 0, scale: 1.0 },
        };
        let count = self.items.count(rows, cols);
        // SAFETY: the lines have the elements of an item's scratch memory.
        let scratch = unsafe { View::new(self.scratch.as_mut_ptr().cast(), 16 * self.scratch.len()) };
        let memory = self.items.memory(stack_len(1, len));
        let args = WorkArgs { work: Work::Product(product, self.items), scratch, memory };
        // SAFETY: the views are valid, and the caller vouches for the kernels.
        unsafe { kernels.tiled(&args, 0..count, count) };
    }
}
