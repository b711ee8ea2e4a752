//! The use that the values of a product are put to.

use simt::{F32x16, F32x32, HALF_WARP, View, inline};

use super::tile::Tile;
use crate::ops::mlp;

/// The use of a product's values `x`.
#[derive(Clone, Copy, Debug)]
#[repr(C, u32)]
pub enum Output<V = View> {
    /// Stores `y = x`, for columns below `scaled` times `scale`.
    Store {
        /// The end of the columns that are scaled.
        scaled: usize,
        /// The factor of these columns.
        scale: f32,
    },
    /// Adds the values, `y += x`.
    Add,
    /// Stores `y = relu(x)^2`.
    SquaredRelu,
    /// Stores `y = x 2 sqrt(h2)`, the gradient of `h2 = relu(u)^2`.
    SquaredReluBackward {
        /// `h2`, laid out like `y`.
        h2: V,
    },
    /// Stores the gradient of a tensor, `y = x scale`, and the sums of squares of its blocks of 16 by 16 weights.
    Gradient {
        /// The factor.
        scale: f32,
        /// The sums of squares, sixteen for each block, row by row of the tensor's blocks.
        squares: V,
    },
}

/// The distances of a tile's rows in the result, in elements.
#[derive(Clone, Copy)]
pub(super) struct Strides {
    /// From the lower row of a pair to that of the next pair.
    pub pair: usize,
    /// From the lower row of a pair to the upper one.
    pub half: usize,
}

impl<V> Output<V> {
    /// Applies `f` to the view, if there is one.
    #[inline(always)]
    pub(super) fn map<W>(self, f: impl FnOnce(V) -> W) -> Output<W> {
        match self {
            Self::Store { scaled, scale } => Output::Store { scaled, scale },
            Self::Add => Output::Add,
            Self::SquaredRelu => Output::SquaredRelu,
            Self::SquaredReluBackward { h2 } => Output::SquaredReluBackward { h2: f(h2) },
            Self::Gradient { scale, squares } => Output::Gradient { scale, squares: f(squares) },
        }
    }
}

impl Output {
    /// Prefetches the values that [`Self::apply`] reads.
    #[inline(always)]
    pub(super) fn prefetch<const PAIRS: usize, const WIDTH: usize>(self, y: View, stride: usize, at: usize) {
        let read = match self {
            Self::Add => y.at(at),
            Self::SquaredReluBackward { h2 } => h2.at(at),
            _ => return,
        };
        for row in 0..2 * PAIRS {
            for i in 0..WIDTH {
                read.prefetch(row * stride + i * HALF_WARP);
            }
        }
    }

    /// Puts the values of a tile to their use. `at` is the offset of its first value in `y`, whose column is `col`.
    #[inline(always)]
    pub(super) fn apply<const PAIRS: usize, const WIDTH: usize>(
        self,
        tile: Tile<PAIRS, WIDTH>,
        y: View,
        strides: Strides,
        at: usize,
        col: usize,
    ) {
        let Strides { half, .. } = strides;
        let y = y.at(at);
        match self {
            Self::Store { scaled, scale } => store(
                tile,
                y,
                strides,
                inline!(|x, _, i| { if col + i < scaled { x * F32x32::splat(scale) } else { x } }),
            ),
            Self::Add => store(tile, y, strides, inline!(|x, at, _| y.load_halves(at, half) + x)),
            Self::SquaredRelu => store(
                tile,
                y,
                strides,
                inline!(|x, _, _| {
                    let h = x.map(mlp::forward);
                    h * h
                }),
            ),
            Self::SquaredReluBackward { h2 } => {
                let h2 = h2.at(at);
                store(
                    tile,
                    y,
                    strides,
                    inline!(|x, at, _| {
                        let h = h2.load_halves(at, half).map(F32x16::sqrt);
                        x * (h + h)
                    }),
                );
            }
            Self::Gradient { scale, .. } => store(tile, y, strides, inline!(|x, _, _| x * F32x32::splat(scale))),
        }
    }
}

/// Stores `f(x, offset, column)` for each pair of half-rows of a tile at `offset` from `y`.
#[inline(always)]
fn store<const PAIRS: usize, const WIDTH: usize>(
    tile: Tile<PAIRS, WIDTH>,
    y: View,
    strides: Strides,
    f: impl Fn(F32x32, usize, usize) -> F32x32,
) {
    for pair in 0..PAIRS {
        for i in 0..WIDTH {
            let at = pair * strides.pair + i * HALF_WARP;
            y.store_halves(at, strides.half, f(tile[pair][i], at, i * HALF_WARP));
        }
    }
}
