//! Sixteen vectors turned into their columns.

use core::simd::{Simd, simd_swizzle};

use super::{F32x16, F32x32};
use crate::shape::TILE;

/// Transposes 16 by 16 numbers held as pairs of rows `(2i, 2i + 1)`: within the quarters of the vectors by interleaving,
/// then whole quarters, so that each exchange is one instruction.
#[inline(always)]
pub(super) fn transpose(rows: [F32x32; TILE / 2]) -> [F32x32; TILE / 2] {
    let mut x = [Simd::splat(0.0); TILE];
    for i in 0..TILE / 2 {
        (x[2 * i], x[2 * i + 1]) = (rows[i].0.0, rows[i].1.0);
    }
    // Rows (4q + i, 4q + i + 1): quarter k of the result holds columns 4k and 4k + 1, or 4k + 2 and 4k + 3, of both.
    let mut y = x;
    for i in (0..TILE).step_by(2) {
        let (a, b) = (x[i], x[i + 1]);
        y[i] = simd_swizzle!(a, b, [0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29]);
        y[i + 1] = simd_swizzle!(a, b, [2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31]);
    }
    // Row 4q + j: quarter k holds column 4k + j of the rows 4q to 4q + 3.
    for q in (0..TILE).step_by(4) {
        for half in 0..2 {
            let (a, b) = (y[q + half], y[q + 2 + half]);
            x[q + 2 * half] = simd_swizzle!(a, b, [0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29]);
            x[q + 2 * half + 1] = simd_swizzle!(a, b, [2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31]);
        }
    }
    // The four by four quarters of the rows j, 4 + j, 8 + j, 12 + j.
    for j in 0..4 {
        let (a, b, c, d) = (x[j], x[4 + j], x[8 + j], x[12 + j]);
        macro_rules! quarters {
            ($a:ident, $b:ident, $i:literal, $j:literal) => {
                simd_swizzle!(
                    $a,
                    $b,
                    [
                        4 * $i,
                        4 * $i + 1,
                        4 * $i + 2,
                        4 * $i + 3,
                        4 * $j,
                        4 * $j + 1,
                        4 * $j + 2,
                        4 * $j + 3,
                        16 + 4 * $i,
                        17 + 4 * $i,
                        18 + 4 * $i,
                        19 + 4 * $i,
                        16 + 4 * $j,
                        17 + 4 * $j,
                        18 + 4 * $j,
                        19 + 4 * $j
                    ]
                )
            };
        }
        let (ab_low, cd_low) = (quarters!(a, b, 0, 1), quarters!(c, d, 0, 1));
        let (ab_high, cd_high) = (quarters!(a, b, 2, 3), quarters!(c, d, 2, 3));
        y[j] = quarters!(ab_low, cd_low, 0, 2);
        y[4 + j] = quarters!(ab_low, cd_low, 1, 3);
        y[8 + j] = quarters!(ab_high, cd_high, 0, 2);
        y[12 + j] = quarters!(ab_high, cd_high, 1, 3);
    }
    let mut columns = rows;
    for i in 0..TILE / 2 {
        columns[i] = F32x32(F32x16(y[2 * i]), F32x16(y[2 * i + 1]));
    }
    columns
}
