//! The values that the lanes of a GPU's warp have computed, four rows by four columns each.

use simt::{F32x32, Mask32, U32x32, View, inline};

use super::output::Values;
use super::staging::{QUAD, Quad};

/// The values of a tile, and their place in the result.
#[derive(Clone, Copy)]
pub(super) struct LaneValues {
    pub sums: [Quad; QUAD],
    /// The offset of the tile's first value in the result.
    pub at: usize,
    /// The index of the lane's first value after it.
    pub index: U32x32,
    /// The stride of the result's rows.
    pub stride: usize,
    /// The lanes whose rows and columns the result has.
    pub is_in_result: Mask32,
    /// The lane's first column.
    pub col: U32x32,
}

impl LaneValues {
    /// Stores `f(quad, view, index)` for each row of the lane, with its place in `y`.
    #[inline(always)]
    fn each(self, y: View, f: impl Fn(Quad, usize) -> Quad) {
        for i in 0..QUAD {
            let at = self.at + i * self.stride;
            y.at(at).store_quads_where(self.is_in_result, self.index, f(self.sums[i], at));
        }
    }
}

/// Applies `f` to four values.
#[inline(always)]
fn map(mut quad: Quad, f: impl Fn(F32x32, usize) -> F32x32) -> Quad {
    for j in 0..QUAD {
        quad[j] = f(quad[j], j);
    }
    quad
}

impl Values for LaneValues {
    #[inline(always)]
    fn store(self, y: View, f: impl Fn(F32x32) -> F32x32) {
        self.each(y, inline!(|quad, _| map(quad, inline!(|x, _| f(x)))));
    }

    #[inline(always)]
    fn store_with(self, y: View, other: View, f: impl Fn(F32x32, F32x32) -> F32x32) {
        self.each(
            y,
            inline!(|quad, at| {
                let other = other.at(at).load_quads_where(self.is_in_result, self.index);
                map(quad, inline!(|x, j| f(x, other[j])))
            }),
        );
    }

    #[inline(always)]
    fn store_scaled(self, y: View, end: usize, scale: f32) {
        let scale = self.col.lt(U32x32::splat(end as u32)).select(F32x32::splat(scale), F32x32::splat(1.0));
        self.each(y, inline!(|quad, _| map(quad, inline!(|x, _| x * scale))));
    }
}
