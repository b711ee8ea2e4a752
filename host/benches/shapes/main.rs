//! The benchmark of the tiled executor's products, on one core.
//!
//! `cargo bench -p host --bench shapes` prints a table. A figure is the best of several rounds, because other programs
//! only add to a time. The peak is that of multiply-adds in registers, measured in the same rounds.

#![allow(missing_docs)]
#![feature(portable_simd)]

mod clock;
#[path = "../../tests/common/product.rs"]
mod operands;
mod peak;
mod products;

use microgpt::device::cpu::available;

fn main() {
    println!("CPU kernels: {}", available()[0].isa().name());
    products::print();
}
