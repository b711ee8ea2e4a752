//! A barrier of the block under a condition of a warp, which only one warp would reach.

use simt::{KernelBlock, Target};

fn phases<T: Target>(block: &KernelBlock<T>) {
    block.each_warp(|warp| {
        if warp.index == 0 {
            block.each_warp(|_| {});
        }
    });
}

fn main() {}
