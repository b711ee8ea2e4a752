//! The use that the values of a product are put to.

use simt::{F32x16, F32x32, View, inline};

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
        /// The sums of squares, sixteen for each block, row by row of the tensor's blocks.
        squares: V,
        /// The factor.
        scale: f32,
    },
}

/// The values of a part of a product, and their places in the result.
pub(super) trait Values: Copy {
    /// Stores `f(x)` for each value `x` in `y`.
    fn store(self, y: View, f: impl Fn(F32x32) -> F32x32);

    /// Stores `f(x, z)` in `y` for each value `x` and the element `z` at its place in `other`, which is laid out like `y`.
    fn store_with(self, y: View, other: View, f: impl Fn(F32x32, F32x32) -> F32x32);

    /// Stores the values in `y`, those of columns below `end` times `scale`.
    fn store_scaled(self, y: View, end: usize, scale: f32);
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
            Self::Gradient { squares, scale } => Output::Gradient { squares: f(squares), scale },
        }
    }

    /// Returns the use, which is one of the forward pass, so that the compiler leaves out the code for others.
    #[inline(always)]
    pub(super) fn of_forward(self) -> Self {
        match self {
            Self::Store { .. } | Self::Add => self,
            _ => Self::SquaredRelu,
        }
    }

    /// Returns the use, which is one of gradients of activations.
    #[inline(always)]
    pub(super) fn of_activations(self) -> Self {
        match self {
            Self::SquaredReluBackward { .. } => self,
            _ => Self::Store { scaled: 0, scale: 1.0 },
        }
    }

    /// Returns the use, which is one of gradients of weights.
    #[inline(always)]
    pub(super) fn of_weights(self) -> Self {
        match self {
            Self::Gradient { .. } | Self::Store { .. } => self,
            _ => Self::Add,
        }
    }
}

impl Output {
    /// Puts the values to their use.
    #[inline(always)]
    pub(super) fn apply(self, values: impl Values, y: View) {
        match self {
            Self::Store { scaled, scale } => values.store_scaled(y, scaled, scale),
            Self::Add => values.store_with(y, y, inline!(|x, before| before + x)),
            Self::SquaredRelu => values.store(
                y,
                inline!(|x| {
                    let h = x.map(mlp::forward);
                    h * h
                }),
            ),
            Self::SquaredReluBackward { h2 } => values.store_with(
                y,
                h2.in_global_memory(),
                inline!(|x, h2| {
                    let h = h2.map(F32x16::sqrt);
                    x * (h + h)
                }),
            ),
            Self::Gradient { scale, .. } => values.store(y, inline!(|x| x * F32x32::splat(scale))),
        }
    }
}
