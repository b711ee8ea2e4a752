//! The benchmark of the executors at several shapes, on one core.
//!
//! `cargo bench -p host --bench shapes` prints a table of whole steps, and on Linux and x86-64 one of products. A
//! figure is the best of several rounds, because other programs only add to a time. The peak is that of multiply-adds in
//! registers, measured in the same rounds. A step runs in a process of its own, whose memory is printed too. With
//! `-- TEXT` the benchmark prints only the steps whose shape and batch, such as `384/6/6/256x4`, contain the text.

#![allow(missing_docs)]
#![feature(portable_simd)]

mod clock;
#[path = "../../tests/common/models.rs"]
mod models;
mod peak;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod products;
mod steps;

use std::env;

use microgpt::device::cpu::available;

fn main() {
    // The benchmarks measure one core, without the cost of a thread pool.
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("the pool is built once");
    if let Some(step) = env::var_os(steps::VARIABLE) {
        return steps::measure(&step.into_string().expect("the benchmark has set the variable"));
    }
    println!("CPU kernels: {}", available()[0].isa().name());
    let filter = env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    steps::print(filter.as_deref());
    // The crates to compare with are dependencies there alone.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if filter.is_none() {
        products::print();
    }
}
