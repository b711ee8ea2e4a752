//! The tiled executor's products have the same bits with every instruction set.
#![allow(missing_docs)]
#![cfg(not(feature = "race-check"))]

#[path = "common/product.rs"]
mod operands;

use gpu_kernels::entry::CpuKernels;
use gpu_kernels::tiled::sum::PART;
use microgpt::device::cpu::available;

use operands::Operands;

/// Returns the bits of a product of `[rows, len]` and `[len, cols]`, whose operands are transposed in memory or not.
fn product(kernels: CpuKernels, sizes: [usize; 3], transposed: [bool; 2]) -> Vec<u32> {
    let mut operands = Operands::new(sizes, transposed, 2);
    operands.multiply(kernels);
    operands.y.into_iter().map(f32::to_bits).collect()
}

#[test]
fn products_have_the_same_bits_with_every_instruction_set() {
    // The widths have panels of one, two and three half-warps with AVX-512.
    for sizes in [[16, 16, 16], [48, 96, 64], [112, 3 * PART, 80], [32, PART + 16, 112]] {
        for transposed in [[false, false], [true, false], [false, true]] {
            let expected = product(available()[0], sizes, transposed);
            assert!(expected.iter().all(|&bits| f32::from_bits(bits).is_finite()));
            for kernels in available().into_iter().skip(1) {
                let name = kernels.isa().name();
                assert!(product(kernels, sizes, transposed) == expected, "{sizes:?}, {transposed:?}: {name} differs");
            }
        }
    }
}
