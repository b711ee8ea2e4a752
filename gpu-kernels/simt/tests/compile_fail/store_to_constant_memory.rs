//! A store to memory that the launch only reads.

use simt::{Array, ConstantMemory};

fn phase(x: Array<f32, ConstantMemory>) {
    x.store_scalar(0, 1.0);
}

fn main() {}
