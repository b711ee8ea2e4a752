//! A value of a warp as a condition of the block, which would differ between warps.

use simt::{KernelBlock, Target};

use std::cell::Cell;

fn phases<T: Target>(block: &KernelBlock<T>) {
    let first = Cell::new(false);
    block.each_warp(|warp| first.set(warp.index == 0));
    if first.get() {
        block.each_warp(|_| {});
    }
}

fn main() {}
