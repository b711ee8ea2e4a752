//! A barrier under a condition of lanes, which only some lanes would reach.

use simt::{Array, F32x32, Warp};

fn phase(warp: &Warp, x: Array<f32>) {
    let value = x.load_lanes(0);
    if value.lt(F32x32::splat(1.0)) {
        warp.sync();
    }
}

fn main() {}
