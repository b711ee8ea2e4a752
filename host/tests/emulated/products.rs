//! The counts of the products of the tiled executor, of a layer with 384 channels and 65 tokens.
//!
//! A quarter of an H200's multiprocessors compute a quarter of the rows of 384/6/6/256 with batch 4, so that the products have
//! about as many items for each multiprocessor.
#![allow(dead_code, reason = "no user takes all of it")]

use std::fs;
use std::ptr;

use gpu_kernels::layout::Arrays;
use gpu_kernels::ops::adamw::AdamWParams;
use gpu_kernels::shape::RuntimeShape;
use gpu_kernels::tiled::launch::{DividedProduct, ProductsArgs};
use gpu_kernels::tiled::output::Output;
use gpu_kernels::tiled::phases::{Op, each_phase};
use gpu_kernels::tiled::rows::RowCounts;
use gpu_kernels::tiled::step::StepArgs;

use super::counts::{kinds, profiled};
use super::emulated::Emulator;

/// The number of tokens, 64 characters and the one that begins a text.
const VOCAB: u32 = 65;
/// The positions of a document.
const BLOCK_SIZE: usize = 64;
/// The documents of the step.
const DOCUMENTS: usize = 4;
/// The rows of the step.
pub const ROWS: usize = DOCUMENTS * BLOCK_SIZE;
/// The number of multiprocessors.
pub const MULTIPROCESSORS: usize = 33;

/// A launch of one product, or of the two products of a phase of the backward pass.
#[derive(Clone, Copy, Debug)]
pub struct ProductLaunch {
    pub op: Op,
    /// The number of blocks.
    pub blocks: usize,
    /// The multiply-adds of the matrices' sizes by all warps, each of which computes 32.
    multiply_adds: u64,
    /// The bytes of global memory if each item reads its operands once.
    least_bytes: u64,
    counts: Counts,
}

/// The counts of a profile.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// The executed instructions of all warps on numbers, which access no memory and do not branch.
    arithmetic: u64,
    /// The executed accesses of shared memory.
    shared: u64,
    /// The rounds that bank conflicts add.
    conflicts: u64,
    /// The bytes of the transactions with global memory.
    global_bytes: u64,
}

impl Counts {
    /// Returns the counts of a launch, from its part of a profile.
    fn new(launch: &str) -> Self {
        let kinds = kinds(launch);
        let count = |kind: &str, title: &str| kinds.get(kind).map_or(0, |row| row[title]);
        let arithmetic = [
            "float arithmetic",
            "integer arithmetic, logic",
            "comparison, selection, move",
            "conversion",
            "division, square root",
            "integer division",
        ];
        Self {
            arithmetic: arithmetic.iter().map(|kind| count(kind, "instructions")).sum(),
            shared: count("shared memory", "instructions"),
            conflicts: count("shared memory", "conflicts"),
            global_bytes: 32 * count("global or generic memory", "transactions"),
        }
    }
}

impl ProductLaunch {
    /// Returns the launches of a step.
    ///
    /// # Panics
    /// If the program fails, or launches other products than those planned.
    pub fn of_a_step() -> Vec<Self> {
        let emulator = Emulator::new();
        let text: String = ('0'..='o').cycle().take(8 * ROWS).collect();
        let input = emulator.path("text.txt");
        fs::write(&input, text).expect("the folder is writable");
        let input = input.to_str().expect("the path is UTF-8");
        let flags = format!(
            "--input {input} --corpus text --n-embd 384 --n-head 6 --block-size {BLOCK_SIZE} --batch {DOCUMENTS} --steps 1"
        );
        let kernels = ["tiled_forward", "tiled_backward"];
        let profiles = profiled(&kernels, &flags, &format!("sms={MULTIPROCESSORS}")).0;
        let mut launches = Self::planned();
        // The launches of the trial of the next step follow those of the step.
        assert!(profiles.len() >= launches.len());
        for (launch, profile) in launches.iter_mut().zip(&profiles) {
            let kernel = kernels[usize::from(!launch.op.is_forward())];
            assert!(profile.starts_with(&format!("kernel `{kernel}`")), "{launch:?}");
            launch.counts = Counts::new(profile);
        }
        launches
    }

    /// Returns the launches without the counts of a profile.
    fn planned() -> Vec<Self> {
        let (null, mut launches) = (ptr::null_mut(), Vec::new());
        let shape = RuntimeShape { vocab: VOCAB, block_size: BLOCK_SIZE as u32, n_embd: 384, n_head: 6, n_layer: 1 };
        let arrays = Arrays { w: null, transposed: null, grads: null, m: null, v: null };
        let optimizer = AdamWParams { beta1: 0.9, beta2: 0.95, max_grad_norm: 1.0 };
        let counts = RowCounts {
            rows: ROWS as u32,
            documents: DOCUMENTS as u32,
            longest: BLOCK_SIZE as u32,
            vocab: VOCAB,
            shards: 1,
        };
        let step =
            StepArgs { counts, threads: MULTIPROCESSORS as u32, ..StepArgs::new(shape, arrays, optimizer, true) };
        each_phase(1, true, |phase| {
            // SAFETY: the products are not computed, so their pointers are not read.
            let Some((args, blocks)) = (unsafe { ProductsArgs::new(&step, phase) }) else { return };
            let [first, second] = &args.products;
            let (mut multiply_adds, mut least_bytes) = (0, 0);
            let has_second = blocks > args.first_blocks as usize;
            for (divided, terms) in
                [(first, first.product.left.stride), (second, ROWS)].into_iter().take(1 + usize::from(has_second))
            {
                multiply_adds += (divided.product.rows * divided.product.cols * terms / 32) as u64;
                least_bytes += self::least_bytes(divided, terms) as u64;
            }
            launches.push(Self { op: phase.op, blocks, multiply_adds, least_bytes, counts: Counts::default() });
        });
        launches
    }

    /// Returns the share of multiply-adds in the arithmetic instructions.
    pub fn multiply_adds(&self) -> f64 {
        self.multiply_adds as f64 / self.counts.arithmetic as f64
    }

    /// Returns the rounds that bank conflicts add, for each access of shared memory.
    pub fn conflicts(&self) -> f64 {
        self.counts.conflicts as f64 / self.counts.shared as f64
    }

    /// Returns the bytes of global memory.
    pub fn global_bytes(&self) -> u64 {
        self.counts.global_bytes
    }

    /// Returns the bytes of global memory over the least.
    pub fn of_least_bytes(&self) -> f64 {
        self.counts.global_bytes as f64 / self.least_bytes as f64
    }
}

/// Returns the bytes of global memory of a product with so many contracted indices, if each item reads its operands once.
fn least_bytes(DividedProduct { product, items, .. }: &DividedProduct, terms: usize) -> usize {
    let (rows, cols) = (product.rows, product.cols);
    let operands = cols.div_ceil(items.cols) * rows + rows.div_ceil(items.rows) * cols;
    let results = match product.output {
        Output::Store { .. } | Output::SquaredRelu | Output::Gradient { .. } => 1,
        Output::Add | Output::SquaredReluBackward { .. } => 2,
    };
    4 * (operands * terms + results * rows * cols)
}
