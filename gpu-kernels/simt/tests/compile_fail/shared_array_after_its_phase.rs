//! Shared memory that is used after the closure that has it.

use simt::{KernelBlock, Target};

fn phases<T: Target>(block: &mut KernelBlock<T>) {
    let mut kept = None;
    block.shared::<32>(|_, tile| kept = Some(tile));
    let tile = kept.unwrap();
    block.each_warp(|_| tile.store_scalar(0, 1.0));
}

fn main() {}
