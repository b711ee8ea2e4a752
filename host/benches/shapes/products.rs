//! The products of the tiled executor beside those of the crates `gemm` and `matrixmultiply`.
//!
//! Each product is computed by all in turn, in rounds, so that all meet the same state of the computer.

#[path = "../../tests/common/product.rs"]
mod operands;

use microgpt::device::cpu::available;

use self::operands::Operands;
use crate::clock::seconds;
use crate::peak;

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

/// Prints the throughput of each product, and its share of the peak.
pub fn print() {
    let kernels = available()[0];
    println!(
        "\n{:>20}  {:>8} {:>8} {:>8} {:>8}  {:>10} {:>12}",
        "rows x sum x cols", "peak", "ours", "gemm", "matrixm.", "ours/peak", "ours/faster"
    );
    for sizes in PRODUCTS {
        let [rows, len, cols] = sizes;
        let flop = 2.0 * (rows * len * cols) as f64;
        let repeat = (1e8 / flop).ceil() as usize;
        let mut operands = Operands::new(sizes, [false; 2], 1);
        let mut others = vec![0.0f32; rows * cols];
        let mut times: [Vec<f64>; 4] = Default::default();
        for _ in 0..ROUNDS {
            let per_flop =
                |work: &mut dyn FnMut()| seconds(|| (0..repeat).for_each(|_| work())) / (flop * repeat as f64);
            times[0].push(peak::seconds_per_flop(kernels.isa()));
            times[1].push(per_flop(&mut || operands.multiply(kernels)));
            times[2].push(per_flop(&mut || by_gemm(sizes, &operands, &mut others)));
            assert!(close(&operands.y, &others, len), "the product differs from that of the crate gemm");
            times[3].push(per_flop(&mut || by_matrixmultiply(sizes, &operands, &mut others)));
            assert!(close(&operands.y, &others, len), "the product differs from that of the crate matrixmultiply");
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

fn by_gemm([rows, len, cols]: [usize; 3], operands: &Operands, y: &mut [f32]) {
    // SAFETY: the slices have the lengths of the matrices.
    unsafe {
        gemm::gemm(
            rows,
            cols,
            len,
            y.as_mut_ptr(),
            1,
            cols as isize,
            false,
            operands.left.as_ptr(),
            1,
            len as isize,
            operands.right.as_ptr(),
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
}

fn by_matrixmultiply([rows, len, cols]: [usize; 3], operands: &Operands, y: &mut [f32]) {
    // SAFETY: the slices have the lengths of the matrices.
    unsafe {
        matrixmultiply::sgemm(
            rows,
            len,
            cols,
            1.0,
            operands.left.as_ptr(),
            len as isize,
            1,
            operands.right.as_ptr(),
            cols as isize,
            1,
            0.0,
            y.as_mut_ptr(),
            cols as isize,
            1,
        );
    }
}

/// Returns whether two results of sums of `len` products of values up to 1 agree within the rounding.
fn close(a: &[f32], b: &[f32], len: usize) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-6 * len as f32)
}
