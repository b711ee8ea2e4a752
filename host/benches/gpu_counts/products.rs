//! The counts of the products of the tiled executor, of a layer with 384 channels.
//!
//! An eighth of an H200's multiprocessors compute an eighth of the rows of 384/6/6/256 with batch 4, so that the items have the
//! same sizes.

use std::ptr;

use gpu_kernels::layout::Arrays;
use gpu_kernels::ops::adamw::AdamWParams;
use gpu_kernels::shape::RuntimeShape;
use gpu_kernels::tiled::launch::{DividedProduct, ProductsArgs};
use gpu_kernels::tiled::output::Output;
use gpu_kernels::tiled::phases::{Op, each_phase};
use gpu_kernels::tiled::rows::RowCounts;
use gpu_kernels::tiled::step::StepArgs;

/// The flags of the step.
pub const FLAGS: &str = "--corpus text --n-embd 384 --n-head 6 --block-size 32 --batch 4 --steps 1";

/// The number of multiprocessors.
pub const MULTIPROCESSORS: u32 = 16;

/// The rows of the step, windows of a text.
const ROWS: usize = 128;

/// A launch of products, with the counts of its profile.
#[derive(Clone, Copy, Debug, Default)]
pub struct Profiled {
    /// The executed instructions of all warps on numbers, which access no memory and do not branch.
    pub arithmetic: u64,
    /// The executed accesses of shared memory.
    pub shared: u64,
    /// The rounds that bank conflicts add.
    pub conflicts: u64,
    /// The bytes of the transactions with global memory.
    pub global_bytes: u64,
}

/// A launch of products, with the least counts.
pub struct Planned {
    op: Op,
    blocks: usize,
    /// The multiply-adds of all warps, of which each has 32.
    multiply_adds: u64,
    /// The bytes of global memory if each item reads its operands once.
    global_bytes: u64,
}

/// Returns the launches of products of a step, with its vocabulary of `vocab` tokens.
pub fn planned(vocab: u32) -> Vec<Planned> {
    let (null, mut launches) = (ptr::null_mut(), Vec::new());
    let shape = RuntimeShape { vocab, block_size: 32, n_embd: 384, n_head: 6, n_layer: 1 };
    let arrays = Arrays { w: null, transposed: null, grads: null, m: null, v: null };
    let optimizer = AdamWParams { beta1: 0.9, beta2: 0.95, max_grad_norm: 1.0 };
    let counts = RowCounts { rows: ROWS as u32, documents: 4, longest: 32, vocab, shards: 1 };
    let step = StepArgs { counts, threads: MULTIPROCESSORS, ..StepArgs::new(shape, arrays, optimizer, true) };
    each_phase(1, true, |phase| {
        // SAFETY: the products are not computed, so their pointers are not read.
        let Some((args, blocks)) = (unsafe { ProductsArgs::new(&step, phase) }) else { return };
        let second = (blocks > args.first_blocks as usize).then_some(&args.products[1]);
        let (mut multiply_adds, mut global_bytes) = (0, 0);
        for (divided, terms) in [(&args.products[0], None), (&args.products[1], Some(ROWS))]
            .into_iter()
            .take(1 + usize::from(second.is_some()))
        {
            let terms = terms.unwrap_or(divided.product.left.stride);
            multiply_adds += divided.product.rows * divided.product.cols * terms / 32;
            global_bytes += least_bytes(divided, terms);
        }
        let (multiply_adds, global_bytes) = (multiply_adds as u64, global_bytes as u64);
        launches.push(Planned { op: phase.op, blocks, multiply_adds, global_bytes });
    });
    launches
}

/// Returns the bytes of global memory of a product with so many contracted indices, if each item reads its operands once.
fn least_bytes(DividedProduct { product, items }: &DividedProduct, terms: usize) -> usize {
    let (rows, cols) = (product.rows, product.cols);
    let operands = cols.div_ceil(items.cols) * rows + rows.div_ceil(items.rows) * cols;
    let results = match product.output {
        Output::Store { .. } | Output::SquaredRelu | Output::Gradient { .. } => 1,
        Output::Add | Output::SquaredReluBackward { .. } => 2,
    };
    4 * (operands * terms + results * rows * cols)
}

/// Prints a row for each launch, and one for all.
pub fn print(launches: &[Profiled], planned: &[Planned]) {
    assert_eq!(launches.len(), planned.len(), "the launches are those that were planned");
    println!("\nThe products of a layer of 384 channels and {ROWS} rows with {MULTIPROCESSORS} multiprocessors:");
    println!("launch            blocks   multiply-adds  conflicts  global bytes, of the least");
    let mut sum = (Profiled::default(), 0, 0);
    for (counts, plan) in launches.iter().zip(planned) {
        row(&format!("{:?}", plan.op), plan.blocks, counts, plan.multiply_adds, plan.global_bytes);
        let Profiled { arithmetic, shared, conflicts, global_bytes } = sum.0;
        sum.0 = Profiled {
            arithmetic: arithmetic + counts.arithmetic,
            shared: shared + counts.shared,
            conflicts: conflicts + counts.conflicts,
            global_bytes: global_bytes + counts.global_bytes,
        };
        (sum.1, sum.2) = (sum.1 + plan.multiply_adds, sum.2 + plan.global_bytes);
    }
    row("all", planned.iter().map(|plan| plan.blocks).sum(), &sum.0, sum.1, sum.2);
}

fn row(name: &str, blocks: usize, counts: &Profiled, multiply_adds: u64, global_bytes: u64) {
    let share = |part: u64, whole: u64| part as f64 / whole as f64;
    println!(
        "{name:<16} {blocks:>7} {:>13.1} % {:>8.1} % {:>13} {:>12.2}",
        100.0 * share(multiply_adds, counts.arithmetic),
        100.0 * share(counts.conflicts, counts.shared),
        counts.global_bytes,
        share(counts.global_bytes, global_bytes)
    );
}
