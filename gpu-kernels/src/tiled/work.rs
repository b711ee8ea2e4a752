//! The work of a launch, which are items of a product or of a phase of a step.

use simt::{Grid, Target, View, inline};

use super::items::{ItemMemory, Items};
use super::phases::Phase;
use super::product::Product;
use super::step::StepArgs;

/// Independent items, one for each block of a grid.
#[derive(Clone, Copy)]
pub enum Work {
    /// The items of a product.
    Product(Product, Items),
    /// The items of a phase of a step.
    Step(StepArgs, Phase),
}

/// The arguments of a launch on the CPU.
#[derive(Clone, Copy)]
pub struct WorkArgs {
    /// The work.
    pub work: Work,
    /// The block's memory for staging, then that for partial sums.
    pub scratch: View,
    /// The lengths of both.
    pub memory: ItemMemory,
}

impl WorkArgs {
    /// Computes the items of the grid's blocks.
    ///
    /// # Safety
    /// The pointers in the arguments are valid for the lengths in their docs. No other launch writes what the items read.
    #[inline(always)]
    pub unsafe fn run<T: Target>(&self, grid: &Grid<T>) {
        let Self { work, scratch, memory } = *self;
        grid.each_block(inline!(|block| {
            let product = match work {
                Work::Product(product, items) => Some((product, items, block.index)),
                // SAFETY: the caller keeps the contract.
                Work::Step(step, phase) => unsafe { step.product(phase, block.index) },
            };
            match (product, work) {
                (Some((product, items, index)), _) => {
                    product.item(block, items, items.place(product.cols, index), [scratch, scratch.at(memory.staging)]);
                }
                (None, Work::Step(step, phase)) if phase.op.is_attention() => {
                    // SAFETY: the caller keeps the contract.
                    unsafe { step.attention_item(block, phase, block.index, scratch) }
                }
                // SAFETY: the caller keeps the contract.
                (None, Work::Step(step, phase)) => unsafe { step.item(block, phase, block.index, scratch) },
                (None, Work::Product(..)) => {}
            }
        }));
    }
}
