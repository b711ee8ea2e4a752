//! An array that is used after its launch.

use simt::{Array, Global, Grid, Launch, AnyCpu};

fn array(memory: Global<f32>) -> Array<'static, f32> {
    // SAFETY: nothing runs.
    let launch = unsafe { Launch::new(Grid::new(0..1, 1, AnyCpu)) };
    launch.array(memory, "memory")
}

fn main() {}
