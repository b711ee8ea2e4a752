//! The shared memory of one block in the next block.

use simt::{KernelBlock, Launch, Target};

use std::cell::Cell;

fn run<T: Target>(launch: &Launch<T>) {
    let kept = Cell::new(None);
    launch.each_block(|block: &mut KernelBlock<T>| {
        block.shared::<32>(|_, tile| kept.set(Some(tile)));
    });
}

fn main() {}
