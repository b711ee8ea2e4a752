//! Products of matrices whose sums are held in registers.

use crate::array2::Array2;
#[cfg(not(target_arch = "nvptx64"))]
use crate::cpu as backend;
#[cfg(target_arch = "nvptx64")]
use crate::gpu as backend;
use crate::space::Space;
use crate::target::WARP;
use crate::warp::Warp;
use backend::F32x32;

impl Warp {
    /// Adds the product of `a`, of `N` rows, and `b`, of `32 * W` columns, to `sums`, which has the columns of
    /// [`Array::load_wide`](crate::Array::load_wide).
    ///
    /// `N` is even, and at most 8 so that the sums fit in registers. The columns of `a` are the rows of `b`, a multiple of
    /// four. The rows of `a` begin at multiples of four elements. Each sum has the order of the columns of `a`. All lanes read the same elements of `a`, and a lane reads its own columns of
    /// `b`. So `b` is best in shared memory, and `a` in any memory.
    #[inline(always)]
    #[track_caller]
    pub fn add_product<const N: usize, const W: usize, S: Space, R: Space>(
        &self,
        sums: &mut [[F32x32; W]; N],
        a: Array2<f32, S>,
        b: Array2<f32, R>,
    ) {
        a.check(0, N, 0, b.rows());
        b.check(0, b.rows(), 0, WARP * W);
        if self.accumulators(8) == 8 {
            add_rows::<N, N, W, S, R>(sums, 0, a, b);
        } else {
            // A processor with few registers has room for the sums of two rows.
            for first in (0..N).step_by(2) {
                add_rows::<2, N, W, S, R>(sums, first, a, b);
            }
        }
    }
}

/// Adds the products of the `ROWS` rows from `first` on. The matrices are those of [`Warp::add_product`].
#[inline(always)]
#[allow(clippy::manual_memcpy, reason = "in PTX a copy of slices keeps them in memory")]
fn add_rows<const ROWS: usize, const N: usize, const W: usize, S: Space, R: Space>(
    sums: &mut [[F32x32; W]; N],
    first: usize,
    a: Array2<f32, S>,
    b: Array2<f32, R>,
) {
    let mut totals = [[F32x32::splat(0.0); W]; ROWS];
    for row in 0..ROWS {
        totals[row] = sums[first + row];
    }
    // With these addresses, an access in the loop is one addition away from its row.
    let mut rows = [a.array(); ROWS];
    for row in 0..ROWS {
        rows[row] = a.array().at((first + row) * a.stride());
    }
    for step in (0..b.rows()).step_by(4) {
        // The four factors of a row are one access on a GPU.
        let mut quads = [[F32x32::splat(0.0); 4]; ROWS];
        for row in 0..ROWS {
            quads[row] = rows[row].broadcast_quad(step);
        }
        // Consecutive multiply-adds are those of different sums, because a sum waits for its last one.
        for i in 0..4 {
            let factors = b.array().load_wide::<W>((step + i) * b.stride());
            for row in 0..ROWS {
                for j in 0..W {
                    totals[row][j] = quads[row][i].mul_add(factors[j], totals[row][j]);
                }
            }
        }
    }
    for row in 0..ROWS {
        sums[first + row] = totals[row];
    }
}
