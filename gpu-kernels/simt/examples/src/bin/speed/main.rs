//! The time of each example on one core, beside the bound that its line names. A time is the least of many runs, and runs
//! of a kernel and of its bound alternate.
//!
//! The bound of the matrix product is the peak of fused multiply-adds, for each instruction set that has them. The other
//! bounds are hand-written intrinsics, which need AVX-512. The sizes are those of arrays in the L2 cache, and one of arrays
//! in memory, which measures its bandwidth.

// Loops index several arrays by one row, as in the kernels.
#![allow(clippy::needless_range_loop)]

#[cfg(target_arch = "x86_64")]
mod by_hand;
#[cfg(target_arch = "x86_64")]
mod comparisons;
mod peak;

use std::hint::black_box;
use std::io::{Write, stdout};
use std::num::NonZero;
use std::time::Instant;

use peak::{Peak, SUMS};
use simt::{Cpu, Global, Isa, WARP};
use simt_examples::matrix_product::MatrixProduct;

/// The least seconds of a kernel and of its bound.
struct Times {
    kernel: f64,
    bound: f64,
}

/// Runs both by turns, and returns the least times.
fn paired(rounds: usize, mut kernel: impl FnMut(), mut bound: impl FnMut()) -> Times {
    let seconds = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    let mut times = Times { kernel: f64::MAX, bound: f64::MAX };
    for _ in 0..rounds {
        times.kernel = times.kernel.min(seconds(&mut kernel));
        times.bound = times.bound.min(seconds(&mut bound));
    }
    times
}

/// Prints a line of the table.
fn print(example: &str, size: &str, bound: &str, times: &Times) {
    let (kernel, ratio) = (1e6 * times.kernel, times.kernel / times.bound);
    // A closed pipe, as of `head`, is the reader's wish to stop.
    if writeln!(stdout(), "{example:14}  {size:24}  {kernel:10.1}  {ratio:5.2}  {bound}").is_err() {
        std::process::exit(0);
    }
}

/// Returns values from 0 to below 1.
fn values(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * seed) % 977) as f32 / 977.0).collect()
}

/// Measures the product of matrices of 512 by 512 elements.
fn measure_product(cpu: Cpu) {
    /// The rows and columns of the matrices.
    const N: usize = 512;
    // As many operations as the product has.
    let rounds = (N * N * N / (WARP * SUMS)) as u32;
    let (a, b, mut c, mut x) = (values(N * N, 31), values(N * N, 57), vec![0.0; N * N], [0.5; WARP]);
    let (a, b, n) = (Global::of(&a), Global::of(&b), N as u32);
    let product = MatrixProduct { a, b, c: Global::of_mut(&mut c), inner: n, columns: n };
    let peak = Peak { x: Global::of_mut(&mut x), rounds };
    // SAFETY: the arrays live, have the lengths that the kernels ask for, and nothing else uses them.
    let times = paired(400, || unsafe { cpu.launch(1, &product) }, || unsafe { cpu.launch(1, &peak) });
    let name = cpu.isa().name();
    let gflops = |seconds: f64| 2.0 * (N * N * N) as f64 / seconds / 1e9;
    let bound = format!("the FMA peak of {name}: {:.0} of {:.0} GFLOP/s", gflops(times.kernel), gflops(times.bound));
    print("matrix_product", "512 x 512 x 512", &bound, &times);
    black_box((c, x));
}

fn main() {
    println!("{:14}  {:24}  {:>10}  {:>5}  bound", "example", "size", "µs", "ratio");
    // The baseline has no fused multiply-add.
    for cpu in Cpu::all().filter(|cpu| cpu.isa() != Isa::Baseline) {
        measure_product(cpu.threads(NonZero::<usize>::MIN));
    }
    #[cfg(target_arch = "x86_64")]
    if Cpu::new().isa() == Isa::Avx512 {
        // SAFETY: the processor has AVX-512.
        unsafe { comparisons::measure() };
    }
}
