//! Shared memory twice at the same time, which would be the same memory on a GPU.

use simt::{KernelBlock, Target};

fn phases<T: Target>(block: &mut KernelBlock<T>) {
    block.shared::<32>(|block, tile| {
        block.each_warp(|_| tile.store_scalar(0, 1.0));
        block.shared::<32>(|_, _| {});
    });
}

fn main() {}
