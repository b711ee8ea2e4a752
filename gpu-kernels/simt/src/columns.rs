//! Adjacent columns of a row, as many as fit in the lanes, and their products.

use core::ops::Add;

#[cfg(not(target_arch = "nvptx64"))]
use crate::cpu as backend;
#[cfg(target_arch = "nvptx64")]
use crate::gpu as backend;
use crate::index::half_warps;
use crate::target::{HALF_WARP, WARP};
use backend::{F32x16, F32x32, View};

/// Adjacent columns of a row. The number of columns is known at compile time once a kernel is inlined.
#[derive(Clone, Copy)]
pub enum Columns {
    /// Sixteen columns, the same in both half-warps.
    Half(F32x16),
    /// A column in each lane.
    Full(F32x32),
}

impl Add for Columns {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        match (self, other) {
            (Self::Half(x), Self::Half(y)) => Self::Half(x + y),
            (Self::Full(x), Self::Full(y)) => Self::Full(x + y),
            _ => panic!("one operand has 16 columns, and the other 32"),
        }
    }
}

impl Columns {
    /// Returns `x` in each column, of which there are 32 if `is_full`, otherwise 16.
    #[inline(always)]
    pub fn splat(x: f32, is_full: bool) -> Self {
        if is_full { Self::Full(F32x32::splat(x)) } else { Self::Half(F32x16::splat(x)) }
    }

    /// Returns `N` products of a row of `x: [N / B, rows]` with a block of columns of `w: [rows, cols]`, those of each row with `B`
    /// adjacent blocks. A block has 32 columns if `FULL`, otherwise 16. The numbers of rows and columns are multiples of 16.
    ///
    /// The even rows of `w` are summed in order, and so are the odd ones. Then the two sums are added. In a block of sixteen
    /// columns, the lower half-warp sums the even rows, and the upper one the odd rows. `is_const` says whether the compiler
    /// knows the dimensions.
    #[inline(always)]
    pub fn products<const N: usize, const B: usize, const FULL: bool>(
        x: View,
        w: View,
        rows: usize,
        cols: usize,
        is_const: bool,
    ) -> [Self; N] {
        let width = if FULL { WARP } else { HALF_WARP };
        let (mut even, mut odd) = ([F32x32::splat(0.0); N], [F32x32::splat(0.0); N]);
        for i in half_warps(rows) {
            let (x, w) = (x.window(i, is_const), w.window(i * cols, is_const));
            let (mut pairs, mut each) = ([x.broadcast_pairs(0); N], [x.broadcasts(0); N]);
            for t in 0..N / B {
                (pairs[t], each[t]) = (x.broadcast_pairs(t * rows), x.broadcasts(t * rows));
            }
            for pair in 0..HALF_WARP / 2 {
                for block in 0..B {
                    let at = 2 * pair * cols + block * width;
                    if FULL {
                        let w = [w.load_halves(at, HALF_WARP), w.load_halves(at + cols, HALF_WARP)];
                        for t in 0..N / B {
                            let i = t * B + block;
                            even[i] = each[t].splat(2 * pair).mul_add(w[0], even[i]);
                            odd[i] = each[t].splat(2 * pair + 1).mul_add(w[1], odd[i]);
                        }
                    } else {
                        let w = w.load_halves(at, cols);
                        for t in 0..N / B {
                            let i = t * B + block;
                            even[i] = pairs[t].broadcast_pair(pair).mul_add(w, even[i]);
                        }
                    }
                }
            }
        }
        let mut y = [Self::Full(even[0]); N];
        for i in 0..N {
            y[i] = if FULL { Self::Full(even[i] + odd[i]) } else { Self::Half(even[i].add_halves()) };
        }
        y
    }

    /// Applies `f` to each column.
    #[inline(always)]
    pub fn map(self, f: impl Fn(F32x16) -> F32x16) -> Self {
        match self {
            Self::Half(x) => Self::Half(f(x)),
            Self::Full(x) => Self::Full(x.map(f)),
        }
    }

    /// Applies `f` to each column and the element from `i` on that has the column's index.
    #[inline(always)]
    pub fn map_with(self, view: View, i: usize, f: impl Fn(F32x16, F32x16) -> F32x16) -> Self {
        match self {
            Self::Half(x) => Self::Half(f(x, view.load(i))),
            Self::Full(x) => Self::Full(x.zip(view.load_halves(i, HALF_WARP), f)),
        }
    }

    /// Stores [`Self::map_with`] in `into`, at the elements that are read from `view`.
    #[inline(always)]
    pub fn map_into(self, view: View, into: View, i: usize, f: impl Fn(F32x16, F32x16) -> F32x16) {
        self.map_with(view, i, f).store(into, i);
    }

    /// Stores the columns from element `i` on.
    #[inline(always)]
    pub fn store(self, view: View, i: usize) {
        match self {
            Self::Half(x) => view.store(i, x),
            Self::Full(x) => view.store_halves(i, HALF_WARP, x),
        }
    }
}
