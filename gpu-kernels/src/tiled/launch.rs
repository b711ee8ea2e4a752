//! The arguments of a step's launches on a GPU, where each phase is a launch.

#[cfg(not(target_arch = "nvptx64"))]
use simt::GPU_WARPS;
use simt::{Block, Grid, Target, U32View, View, div, inline, rem};

use super::items::{ItemMemory, Items};
use super::operand::{Left, Right};
use super::phases::Phase;
use super::product::Product;
#[cfg(not(target_arch = "nvptx64"))]
use super::staging::STAGED_LEN;
use super::step::StepArgs;
use super::sum::Contraction;

/// The arguments of a launch with a block for each item of a phase that does not consist of products.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct PhaseArgs {
    /// The step.
    pub step: StepArgs,
    /// The phase.
    pub phase: Phase,
    /// The blocks' memory for staging, `staging` elements each. It is not used if the entry stages in shared memory.
    pub scratch: *mut f32,
    /// The number of elements that a block stages.
    pub staging: u64,
    /// The item of the first block. It is 0 for attention.
    pub first_item: u64,
}

impl PhaseArgs {
    /// Computes the items of a phase of attention.
    ///
    /// # Safety
    /// The pointers are valid for the lengths in their docs, and the grid has a block for each item of the phase. Only
    /// this launch writes what it reads.
    #[inline(always)]
    pub unsafe fn attention<T: Target>(&self, grid: &Grid<T>) {
        grid.each_block(inline!(|block| {
            // SAFETY: the caller keeps the contract.
            unsafe { self.step.attention_item(block, self.phase, block.index, self.staging(block)) }
        }));
    }

    /// Computes the items of another phase.
    ///
    /// # Safety
    /// That of [`Self::attention`].
    #[inline(always)]
    pub unsafe fn rows<T: Target>(&self, grid: &Grid<T>) {
        grid.each_block(inline!(|block| {
            // SAFETY: the caller keeps the contract.
            unsafe { self.step.item(block, self.phase, self.first_item as usize + block.index, self.staging(block)) }
        }));
    }

    /// Returns the block's memory for staging.
    ///
    /// # Safety
    /// That of [`Self::attention`].
    #[inline(always)]
    unsafe fn staging<T: Target>(&self, block: &Block<T>) -> View {
        let len = self.staging as usize;
        // SAFETY: the caller vouches for the memory of each block.
        unsafe { block.memory().workspace(self.scratch.wrapping_add(block.index * len), len).view }
    }
}

/// The arguments of a launch with a block for each item of one or two products. The host prepares the products, so that a
/// block reads sizes and pointers from constant memory instead of computing them.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ProductsArgs {
    /// The products. The blocks of the second one follow those of the first one.
    pub products: [DividedProduct; 2],
    /// The number of blocks of the first product.
    pub first_blocks: u64,
    /// The memory for the partial sums of the blocks, `memory.partial` elements each.
    pub scratch: *mut f32,
    /// The memory of an item.
    pub memory: ItemMemory,
}

/// A product of matrices on a GPU, with its division into items.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct DividedProduct {
    /// The product.
    pub product: Product<*mut f32, *const u32>,
    /// The size of its items.
    pub items: Items,
    /// The number of items in a row of them.
    pub across: u64,
}

#[cfg(not(target_arch = "nvptx64"))]
impl ProductsArgs {
    /// Returns the arguments of a phase of products on a GPU of `step.threads` multiprocessors, without memory for partial
    /// sums, and the number of items. Another phase has none.
    ///
    /// # Safety
    /// The pointers in `step` are valid on the GPU for the lengths that its docs state.
    pub unsafe fn new(step: &StepArgs, phase: Phase) -> Option<(Self, usize)> {
        // SAFETY: the caller keeps the contract.
        let [first, second] = unsafe { step.products(phase) };
        let multiprocessors = step.threads as usize;
        let items = |product: Product, warps| Items::staged([product.rows, product.cols], multiprocessors, warps);
        // All blocks of a launch have as many warps. None of the second product idles, whose items have the most work.
        let warps = second.map_or(GPU_WARPS, |second| items(second, GPU_WARPS).warps());
        let mut partial = 0;
        let mut divided = |product: Product| {
            let items = items(product, warps);
            // The sums of a segment stay in registers however long it is.
            partial = partial.max(items.partial_len(product.contraction.stack_len(0)));
            let count = items.count(product.rows, product.cols);
            let across = items.across(product.cols) as u64;
            (DividedProduct { product: product.map(View::as_ptr, U32View::as_ptr), items, across }, count)
        };
        let (first, first_blocks) = divided(first?);
        let (second, second_blocks) = second.map_or((first, 0), divided);
        let memory = ItemMemory { staging: STAGED_LEN, partial };
        let products = [first, second];
        let args = Self { products, first_blocks: first_blocks as u64, scratch: core::ptr::null_mut(), memory };
        Some((args, first_blocks + second_blocks))
    }

    /// Returns the number of warps of a block.
    pub fn warps(&self) -> usize {
        let [first, second] = self.products.map(|divided| divided.items.warps());
        first.max(second)
    }
}

impl ProductsArgs {
    /// Computes the items of a product of the forward pass, which is the first one.
    ///
    /// # Safety
    /// The pointers are valid for the sizes of the products, and the grid has a block for each item. Only this launch
    /// writes what it reads.
    #[inline(always)]
    pub unsafe fn forward<T: Target>(&self, grid: &Grid<T>) {
        grid.each_block(inline!(|block| {
            let DividedProduct { mut product, items, across } = self.products[0];
            // The compiler leaves out the code for other products.
            (product.left.is_transposed, product.right.is_transposed) = (false, true);
            (product.contraction, product.output) = (product.contraction.whole(), product.output.of_forward());
            // SAFETY: the caller keeps the contract.
            unsafe { self.item(block, DividedProduct { product, items, across }, block.index) }
        }));
    }

    /// Computes the items of the products of the backward pass. The first one is the gradient of activations, and the
    /// second one that of weights.
    ///
    /// # Safety
    /// That of [`Self::forward`].
    #[inline(always)]
    pub unsafe fn backward<T: Target>(&self, grid: &Grid<T>) {
        grid.each_block(inline!(|block| {
            let [mut first, mut second] = self.products;
            // The compiler leaves out the code for other products. Both have their own code, which takes fewer registers.
            (first.product.left.is_transposed, first.product.right.is_transposed) = (false, false);
            (second.product.left.is_transposed, second.product.right.is_transposed) = (true, false);
            first.product.contraction = first.product.contraction.whole();
            first.product.output = first.product.output.of_activations();
            second.product.output = second.product.output.of_weights();
            let first_blocks = self.first_blocks as usize;
            // SAFETY: the caller keeps the contract.
            unsafe {
                if block.index < first_blocks {
                    self.item(block, first, block.index);
                } else {
                    self.item(block, second, block.index - first_blocks);
                }
            }
        }));
    }

    /// Computes an item of a product.
    ///
    /// # Safety
    /// That of [`Self::forward`].
    #[inline(always)]
    unsafe fn item<T: Target>(
        &self,
        block: &Block<T>,
        DividedProduct { product, items, across }: DividedProduct,
        index: usize,
    ) {
        let ItemMemory { staging, partial } = self.memory;
        // SAFETY: the caller vouches for the matrices and for the memory of each block.
        unsafe {
            let product = product.map(
                inline!(|matrix| View::new(matrix, usize::MAX / 8)),
                inline!(|bounds| U32View::new(bounds, usize::MAX / 8)),
            );
            let product = Product {
                left: Left { stride: narrow(product.left.stride), ..product.left },
                right: Right { stride: narrow(product.right.stride), ..product.right },
                y_stride: narrow(product.y_stride),
                contraction: match product.contraction {
                    Contraction::Whole(len) => Contraction::Whole(narrow(len)),
                    Contraction::Segments { bounds, count } => Contraction::Segments { bounds, count: narrow(count) },
                },
                rows: narrow(product.rows),
                cols: narrow(product.cols),
                ..product
            };
            let partial = View::new(self.scratch.wrapping_add(block.index * partial), partial);
            let staging = block.memory().workspace(self.scratch, staging).view;
            let items = Items { rows: narrow(items.rows), cols: narrow(items.cols) };
            let across = narrow(across as usize);
            let place = [div(narrow(index), across), rem(narrow(index), across)];
            product.item(block, items, place, [staging, partial]);
        }
    }
}

/// Returns a size, which is below 2^32. A GPU keeps the upper half of a size in another register unless the compiler
/// knows that it is zero.
#[inline(always)]
fn narrow(size: usize) -> usize {
    size as u32 as usize
}
