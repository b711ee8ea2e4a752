//! The benchmark of the tiled executor's products.
//!
//! `cargo bench -p host --bench shapes` prints a table. Each product is computed by the kernels on one core, and by the
//! crates `gemm` and `matrixmultiply` in turn, in rounds, so that all meet the same state of the computer. A figure is
//! the best of the rounds, because other programs only add to a time. The peak is measured in the same rounds, by
//! multiply-adds in registers.

#![allow(missing_docs)]
#![feature(portable_simd)]

use std::hint::black_box;
use std::simd::{Simd, StdFloat};

use gpu_kernels::entry::CpuKernels;
use gpu_kernels::tiled::product::{Items, Left, Output, Product, Right};
use gpu_kernels::tiled::sum::{Contraction, stack_len};
use gpu_kernels::tiled::work::{Work, WorkArgs};
use microgpt::device::cpu::available;
use simt::{Isa, View};

/// The rows, the contracted length and the columns of each product.
const PRODUCTS: [[usize; 3]; 8] = [
    [1024, 1024, 1024],
    [1024, 384, 1536],
    [1024, 1536, 384],
    [1024, 384, 384],
    [1792, 256, 1024],
    [1024, 128, 512],
    [4096, 64, 256],
    [448, 64, 64],
];

/// The number of rounds of a measurement.
const ROUNDS: usize = 40;

fn main() {
    let kernels = available()[0];
    println!("CPU kernels: {}", kernels.isa().name());
    products(kernels);
}

/// Sixteen values at the alignment of the widest vectors.
#[derive(Clone, Copy)]
#[repr(align(64))]
#[expect(dead_code, reason = "read and written as floats")]
struct Line([f32; 16]);

/// Returns values between -1 and 1 without symmetry.
fn values(seed: usize, len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
}

/// Returns the thread's processor time in seconds, to which other programs add nothing.
#[cfg(unix)]
fn now() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is that of a `timespec`.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
}

/// Returns the time in seconds since the first call.
#[cfg(not(unix))]
fn now() -> f64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed().as_secs_f64()
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = now();
    work();
    now() - start
}

/// Prints the throughput of each product, and its share of the peak.
fn products(kernels: CpuKernels) {
    println!(
        "{:>20}  {:>8} {:>8} {:>8} {:>8}  {:>10} {:>12}",
        "rows x sum x cols", "peak", "ours", "gemm", "matrixm.", "ours/peak", "ours/faster"
    );
    for [rows, len, cols] in PRODUCTS {
        let (mut a, mut b) = (values(1, rows * len), values(2, len * cols));
        let (mut y, mut others) = (vec![0.0f32; rows * cols], vec![0.0f32; rows * cols]);
        let flop = 2.0 * (rows * len * cols) as f64;
        let repeat = (1e8 / flop).ceil() as usize;
        let items = Items::new(rows, cols, 1, usize::MAX);
        let mut scratch = vec![Line([0.0; 16]); items.scratch_len(stack_len(1, len)).div_ceil(16)];
        let mut times: [Vec<f64>; 4] = Default::default();
        for _ in 0..ROUNDS {
            let (peak_flop, peak_seconds) = peak(kernels.isa());
            times[0].push(peak_seconds / peak_flop);
            let per_flop =
                |work: &mut dyn FnMut()| seconds(|| (0..repeat).for_each(|_| work())) / (flop * repeat as f64);
            times[1].push(per_flop(&mut || {
                // SAFETY: the vectors have the lengths of the matrices, and outlive the product.
                let view = |x: &mut Vec<f32>| unsafe { View::new(x.as_mut_ptr(), x.len()) };
                let product = Product {
                    left: Left { view: view(&mut a), stride: len, is_transposed: false, is_squared: false },
                    right: Right { view: view(&mut b), stride: cols, width: cols, next: 0, is_squared: false },
                    contraction: Contraction::Whole(len),
                    y: view(&mut y),
                    y_stride: cols,
                    rows,
                    cols,
                    output: Output::Store { scaled: 0, scale: 1.0 },
                };
                let count = items.count(rows, cols);
                // SAFETY: the lines have the elements of the item's scratch memory.
                let scratch = unsafe { View::new(scratch.as_mut_ptr().cast(), 16 * scratch.len()) };
                let args = WorkArgs { work: Work::Product(product, items), scratch };
                // SAFETY: the views are valid, and the processor has the kernels.
                unsafe { kernels.tiled(&args, 0..count, count) };
            }));
            times[2].push(per_flop(&mut || {
                // SAFETY: the vectors have the lengths of the matrices.
                unsafe {
                    gemm::gemm(
                        rows,
                        cols,
                        len,
                        others.as_mut_ptr(),
                        1,
                        cols as isize,
                        false,
                        a.as_ptr(),
                        1,
                        len as isize,
                        b.as_ptr(),
                        1,
                        cols as isize,
                        0.0,
                        1.0,
                        false,
                        false,
                        false,
                        gemm::Parallelism::None,
                    );
                }
            }));
            assert!(close(&y, &others, len), "the product differs from that of the crate gemm");
            times[3].push(per_flop(&mut || {
                // SAFETY: the vectors have the lengths of the matrices.
                unsafe {
                    matrixmultiply::sgemm(
                        rows,
                        len,
                        cols,
                        1.0,
                        a.as_ptr(),
                        len as isize,
                        1,
                        b.as_ptr(),
                        cols as isize,
                        1,
                        0.0,
                        others.as_mut_ptr(),
                        cols as isize,
                        1,
                    );
                }
            }));
            assert!(close(&y, &others, len), "the product differs from that of the crate matrixmultiply");
        }
        let [peak, ours, gemm, matrixmultiply] =
            times.map(|times| 1e-9 / times.into_iter().fold(f64::INFINITY, f64::min));
        println!(
            "{:>20}  {peak:8.1} {ours:8.1} {gemm:8.1} {matrixmultiply:8.1}  {:>10.2} {:>12.2}",
            format!("{rows} x {len} x {cols}"),
            ours / peak,
            ours / gemm.max(matrixmultiply)
        );
    }
    println!("in GFLOP/s; the last columns are ratios");
}

/// Returns whether two results of sums of `len` products of values up to 1 agree within the rounding.
fn close(a: &[f32], b: &[f32], len: usize) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-6 * len as f32)
}

/// Runs multiply-adds in registers, and returns their floating-point operations and seconds.
fn peak(isa: Isa) -> (f64, f64) {
    const ROUNDS: usize = 200_000;
    let x = black_box(0.999);
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the processor has the instruction set of its kernels.
        Isa::Avx512 => (2.0 * 16.0 * 24.0 * ROUNDS as f64, seconds(|| unsafe { avx512(ROUNDS, x) })),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the processor has the instruction set of its kernels.
        Isa::Avx2 => (2.0 * 8.0 * 12.0 * ROUNDS as f64, seconds(|| unsafe { avx2(ROUNDS, x) })),
        _ => (2.0 * 4.0 * 16.0 * ROUNDS as f64, seconds(|| multiply_adds::<4, 16>(ROUNDS, x))),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(rounds: usize, x: f32) {
    multiply_adds::<16, 24>(rounds, x);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(rounds: usize, x: f32) {
    multiply_adds::<8, 12>(rounds, x);
}

/// Computes `N` chains of multiply-adds.
#[inline(always)]
fn multiply_adds<const LANES: usize, const N: usize>(rounds: usize, x: f32) {
    let (x, mut sums) = (Simd::<f32, LANES>::splat(x), [Simd::splat(0.5); N]);
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = sum.mul_add(x, x);
        }
    }
    black_box(sums);
}
