//! The parts of a step between two barriers of the grid.

use simt::{Grid, Target, View, inline};

use super::product::{Items, Product};

/// A part of a step, which consists of independent items.
#[derive(Clone, Copy)]
pub enum Phase {
    /// A product.
    Product(Product, Items),
}

/// The arguments of a phase. Each block computes one item.
#[derive(Clone, Copy)]
pub struct PhaseArgs {
    /// The phase.
    pub phase: Phase,
    /// The block's scratch memory.
    pub scratch: View,
}

impl PhaseArgs {
    /// Computes the items of the grid's blocks.
    #[inline(always)]
    pub fn run<T: Target>(&self, grid: &Grid<T>) {
        let Self { phase, scratch } = *self;
        grid.each_block(inline!(|block| {
            match phase {
                Phase::Product(product, items) => product.item(block, items, block.index, scratch),
            }
        }));
    }
}
