//! A loop whose length differs between lanes.

use simt::{Array};

fn phase(x: Array<u32>) {
    let bound = x.load_lanes(0);
    for i in 0..bound {
        x.store_scalar(i, 0);
    }
}

fn main() {}
