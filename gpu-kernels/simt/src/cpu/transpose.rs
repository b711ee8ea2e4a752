//! The transposition of 16 by 16 values in registers.

use core::simd::{Simd, simd_swizzle};

use super::channels::F32x16;
use super::lanes::F32x32;
use crate::target::HALF_WARP;

/// Transposes 16 by 16 values held as pairs of rows `(2i, 2i + 1)`. Elements are interleaved within the quarters of the
/// vectors first, then whole quarters are moved, so that each shuffle is one instruction.
#[inline(always)]
pub(super) fn transpose(rows: [F32x32; HALF_WARP / 2]) -> [F32x32; HALF_WARP / 2] {
    let mut x = [Simd::splat(0.0); HALF_WARP];
    for i in 0..HALF_WARP / 2 {
        (x[2 * i], x[2 * i + 1]) = (rows[i].0.0, rows[i].1.0);
    }
    // Quarter k of `y[i]` holds columns 4k and 4k + 1 of rows i and i + 1, and quarter k of `y[i + 1]` holds the next
    // two columns.
    let mut y = x;
    for i in (0..HALF_WARP).step_by(2) {
        let (a, b) = (x[i], x[i + 1]);
        y[i] = simd_swizzle!(a, b, [0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29]);
        y[i + 1] = simd_swizzle!(a, b, [2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31]);
    }
    // Quarter k of `x[4q + j]` holds column 4k + j of the rows 4q to 4q + 3.
    for q in (0..HALF_WARP).step_by(4) {
        for half in 0..2 {
            let (a, b) = (y[q + half], y[q + 2 + half]);
            x[q + 2 * half] = simd_swizzle!(a, b, [0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29]);
            x[q + 2 * half + 1] = simd_swizzle!(a, b, [2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31]);
        }
    }
    // The quarters of x[j], x[4 + j], x[8 + j] and x[12 + j] are transposed as a block of four by four.
    for j in 0..4 {
        let (a, b, c, d) = (x[j], x[4 + j], x[8 + j], x[12 + j]);
        macro_rules! quarters {
            ($a:ident, $b:ident, $i:literal, $j:literal) => {{
                const fn quarters(i: usize, j: usize) -> [usize; 16] {
                    let (mut lanes, mut k) = ([0; 16], 0);
                    while k < 16 {
                        lanes[k] = 16 * (k / 8) + 4 * (if k % 8 < 4 { i } else { j }) + k % 4;
                        k += 1;
                    }
                    lanes
                }
                simd_swizzle!($a, $b, quarters($i, $j))
            }};
        }
        let (ab_low, cd_low) = (quarters!(a, b, 0, 1), quarters!(c, d, 0, 1));
        let (ab_high, cd_high) = (quarters!(a, b, 2, 3), quarters!(c, d, 2, 3));
        y[j] = quarters!(ab_low, cd_low, 0, 2);
        y[4 + j] = quarters!(ab_low, cd_low, 1, 3);
        y[8 + j] = quarters!(ab_high, cd_high, 0, 2);
        y[12 + j] = quarters!(ab_high, cd_high, 1, 3);
    }
    let mut columns = rows;
    for i in 0..HALF_WARP / 2 {
        columns[i] = F32x32(F32x16(y[2 * i]), F32x16(y[2 * i + 1]));
    }
    columns
}
