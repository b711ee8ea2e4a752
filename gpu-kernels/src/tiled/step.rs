//! A step on the host's memory, and the items of its phases.

use core::ptr;

use simt::{AS_ON_GPU, Block, HALF_WARP, Target, View, WARPS, inline, round_up};

use super::attention_forward;
use super::embedding_gradient::STACK_LEN;
use super::ends;
use super::items::{ItemMemory, Items};
use super::ops::ITEM_ROWS;
use super::phases::{Op, Phase};
use super::product::Product;
use super::rows::{RowCounts, Rows};
use super::squares::squares_len;
#[cfg(not(target_arch = "nvptx64"))]
use super::update::each_matrix;
use super::update::strips;
use super::views::Step;
use super::workspace::Workspace;
use crate::layout::{Arrays, Layout};
use crate::ops::adamw::{AdamW, AdamWParams, StepCoefficients};
use crate::ops::clip;
use crate::shape::{RuntimeShape, Shape};

/// The arguments of a step, or of an evaluation.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StepArgs {
    /// The flat arrays, padded, `Layout::len` elements each. An evaluation uses `w` alone, and no step uses
    /// `transposed`.
    pub arrays: Arrays<*mut f32>,
    /// The activations, [`StepArgs::workspace_len`] elements.
    pub workspace: *mut f32,
    /// The partial sums of squares of the gradients, [`squares_len`] elements.
    pub squares: *mut f32,
    /// The lists that describe the rows, [`RowCounts::lists_len`] elements.
    pub lists: *const u32,
    /// The loss and the gradient's norm, two elements, written.
    pub log: *mut f32,
    /// The loss of each document, B elements rounded up to half-warps, written. A training step averages over the
    /// positions, and an evaluation adds them up.
    pub losses: *mut f32,
    /// The model's dimensions.
    pub shape: RuntimeShape,
    /// The numbers of rows.
    pub counts: RowCounts,
    /// The optimiser's constants.
    pub optimizer: AdamWParams,
    /// The coefficients of the step.
    pub coefficients: StepCoefficients,
    /// The number of threads of a CPU, or of multiprocessors of a GPU, that share the work. It decides the sizes of items,
    /// and changes no bits.
    pub threads: u32,
    /// Whether the step trains. Otherwise all layers share their activations.
    pub trains: bool,
    /// Whether the documents are a part of the step's. Then `arrays.grads` has [`StepArgs::part_len`] elements, which are
    /// sums over the documents, and [`Op::Join`] is left to make the step's gradients of the parts' sums.
    pub is_part: bool,
}

/// Returns the number of elements that an item of this op stages, for documents of up to `longest` positions and blocks of
/// `warps` warps. An op of products stages more.
pub fn staging_len<S: Shape>(op: Op, s: S, longest: usize, warps: usize) -> usize {
    match op {
        Op::EmbedBackward => STACK_LEN * warps + 2 * HALF_WARP,
        Op::Attention | Op::AttentionBackward => attention_forward::scratch_len(s.head_dim_padded(), longest),
        _ => 0,
    }
}

impl StepArgs {
    /// Returns the arguments that all steps of a model have in common. The executor adds its memory and the rows.
    pub fn new(shape: RuntimeShape, arrays: Arrays<*mut f32>, optimizer: AdamWParams, trains: bool) -> Self {
        Self {
            arrays,
            workspace: ptr::null_mut(),
            squares: ptr::null_mut(),
            lists: ptr::null(),
            log: ptr::null_mut(),
            losses: ptr::null_mut(),
            shape,
            counts: RowCounts::default(),
            optimizer,
            coefficients: StepCoefficients::default(),
            threads: 1,
            trains,
            is_part: false,
        }
    }

    /// Returns the number of elements in a workspace for this many rows.
    pub fn workspace_len<S: Shape>(s: S, counts: RowCounts, trains: bool) -> usize {
        let layers = RuntimeShape { n_layer: if trains { s.n_layer() as u32 } else { 1 }, ..s.to_runtime() };
        Workspace::len(layers, counts.padded())
    }

    /// Returns the number of elements in the gradients of a part of a step. The embedding's part of the gradient of `wte`
    /// follows the gradients, because the parts of the embedding and of the `lm_head` are summed on their own.
    #[inline(always)]
    pub fn part_len<S: Shape>(s: S) -> usize {
        Layout(s).len() + Layout(s).model().wte.len()
    }

    /// Returns the number of items of a phase that does not consist of products.
    ///
    /// # Safety
    /// The pointers are valid for the lengths that the fields' docs state.
    pub unsafe fn items_without_products(&self, phase: Phase) -> usize {
        // SAFETY: the caller keeps the contract.
        unsafe { self.step(phase) }.items_without_products(phase.op)
    }

    /// Returns the memory of an item of a phase on a CPU, and calls `visit` for the length of each group of adjacent items.
    /// The threads share the items of each group. So a strip of the weights is updated by the thread that has computed
    /// most of its gradient, if the threads divide the rows of the gradient.
    ///
    /// # Safety
    /// The pointers are valid for the lengths that the fields' docs state.
    #[cfg(not(target_arch = "nvptx64"))]
    pub unsafe fn item_memory(&self, phase: Phase, mut visit: impl FnMut(usize)) -> ItemMemory {
        // SAFETY: the caller keeps the contract.
        let (step, threads, op) = (unsafe { self.step(phase) }, self.threads as usize, phase.op);
        let staging = staging_len(op, self.shape, self.counts.longest as usize, WARPS);
        let mut memory = ItemMemory { staging, partial: 0 };
        match step.products(op) {
            [Some(first), second] => {
                for product in second.into_iter().chain([first]) {
                    let items = product.division(threads);
                    memory = memory.max(items.memory(product.contraction.stack_len(step.longest_shard())));
                    visit(items.count(product.rows, product.cols));
                }
            }
            _ if matches!(op, Op::Join | Op::Update) => each_matrix(self.shape, visit),
            _ if op.is_row_by_row() && !AS_ON_GPU => visit(step.items_without_products(op).next_multiple_of(threads)),
            _ => visit(step.items_without_products(op)),
        }
        memory
    }

    /// Returns the views of a phase.
    ///
    /// # Safety
    /// The pointers are valid for the lengths that the fields' docs state.
    #[inline(always)]
    unsafe fn step(&self, phase: Phase) -> Step {
        let (s, layer, len) = (self.shape, phase.layer as usize, Layout(self.shape).len());
        let work_len = Self::workspace_len(s, self.counts, self.trains);
        // SAFETY: the caller keeps the contract.
        let (arrays, squares, rows, work) = unsafe {
            let arrays = self.arrays.map(inline!(|array| View::new(array, len)));
            let grads_len = if self.is_part || phase.op == Op::Join { Self::part_len(s) } else { len };
            (
                Arrays { grads: View::new(self.arrays.grads, grads_len), ..arrays },
                View::new(self.squares, squares_len(s)),
                Rows::new(self.lists, self.counts),
                View::new(self.workspace, work_len),
            )
        };
        let a = Workspace::new(s, self.counts.padded(), work, if self.trains { layer } else { 0 });
        Step { s, arrays, squares, rows, counts: self.counts, a, layer, trains: self.trains, is_part: self.is_part }
    }

    /// Returns the products of a phase.
    ///
    /// # Safety
    /// The pointers are valid for the lengths that the fields' docs state.
    #[inline(always)]
    pub(super) unsafe fn products(&self, phase: Phase) -> [Option<Product>; 2] {
        // SAFETY: the caller keeps the contract.
        unsafe { self.step(phase) }.products(phase.op)
    }

    /// Returns the product of an item of a phase with the item's index in the product, if the phase consists of products. The
    /// items of the second product come first, because they have the most work.
    ///
    /// # Safety
    /// The pointers are valid for the lengths that the fields' docs state.
    #[inline(always)]
    pub(super) unsafe fn product(&self, phase: Phase, index: usize) -> Option<(Product, Items, usize)> {
        // SAFETY: the caller keeps the contract.
        let [first, second] = unsafe { self.products(phase) };
        let (first, threads, mut index) = (first?, self.threads as usize, index);
        if let Some(second) = second {
            let items = second.division(threads);
            let count = items.count(second.rows, second.cols);
            if index < count {
                return Some((second, items, index));
            }
            index -= count;
        }
        Some((first, first.division(threads), index))
    }

    /// Computes an item of a phase of attention.
    ///
    /// # Safety
    /// The pointers are valid for the lengths that the fields' docs state.
    #[inline(always)]
    pub(super) unsafe fn attention_item<T: Target>(&self, block: &Block<T>, phase: Phase, index: usize, staging: View) {
        // SAFETY: the caller keeps the contract.
        let step = unsafe { self.step(phase) };
        if phase.op == Op::Attention {
            step.attention(block, index, staging);
        } else {
            step.attention_backward(block, index, staging);
        }
    }

    /// Computes an item of a phase of neither products nor attention.
    ///
    /// # Safety
    /// The pointers are valid for the lengths that the fields' docs state.
    #[inline(always)]
    pub(super) unsafe fn item<T: Target>(&self, block: &Block<T>, phase: Phase, index: usize, staging: View) {
        // SAFETY: the caller keeps the contract.
        let (step, log, losses) = unsafe {
            let losses = View::new(self.losses, round_up(self.counts.documents as usize, HALF_WARP));
            (self.step(phase), View::new(self.log, 2), losses)
        };
        match phase.op {
            Op::Embed | Op::AttnNorm | Op::MlpNorm | Op::MlpNormBackward | Op::AttnNormBackward => {
                step.each_group(block, phase.op, index);
            }
            Op::CrossEntropy => {
                let (first, count) = step.item_rows(block, index);
                block.each_warp(inline!(move |warp| {
                    for i in warp.block_stride(count) {
                        ends::cross_entropy(warp, step.s, &step.rows, &step.a, first + i, step.trains);
                    }
                }));
            }
            Op::Losses => step.losses(block, index, losses),
            Op::EmbedBackward => step.embed_backward(block, index, staging),
            Op::Join => step.join(block, index),
            Op::Norm => step.norm(block, losses, log),
            Op::Update => {
                let clip = clip::scale(log.load_scalar(1), self.optimizer.max_grad_norm);
                step.update(block, AdamW { params: self.optimizer, step: self.coefficients, clip }, index);
            }
            _ => {}
        }
    }
}

impl Step {
    /// Returns the number of rows of the longest shard.
    #[cfg(not(target_arch = "nvptx64"))]
    #[inline(always)]
    fn longest_shard(&self) -> usize {
        let (bounds, mut longest) = (self.rows.shard_bounds, 0);
        // An iterator's closures could become functions of their own, which `.ci/run` refuses.
        for shard in 0..self.counts.shards as usize {
            longest = longest.max(bounds.load_scalar(shard + 1) - bounds.load_scalar(shard));
        }
        longest
    }

    /// Returns the number of items of a phase that does not consist of products.
    #[inline(always)]
    fn items_without_products(&self, op: Op) -> usize {
        let (s, tensors) = (self.s, Layout(self.s).model());
        let heads = s.n_head() * self.counts.documents as usize;
        match op {
            Op::Attention => heads * attention_forward::blocks(self.counts.longest as usize),
            Op::AttentionBackward => heads,
            Op::Losses => self.counts.documents as usize,
            Op::EmbedBackward => tensors.wte.rows / HALF_WARP + tensors.wpe.rows / 2,
            Op::Norm => 1,
            Op::Join | Op::Update => strips(s),
            _ => self.rows_len().div_ceil(ITEM_ROWS),
        }
    }
}
