//! The root-mean-square norm without gain, `y = x / sqrt(mean(x^2) + 1e-5)`.

use simt::{F32x16, View, Warp, half_warps, sqrt, unroll};

use super::Tokens;
use super::rows::Rows;
use crate::shape::Shape;

/// The addend of the mean square.
const EPS: f32 = 1e-5;

/// The views of [`forward`].
#[derive(Clone, Copy)]
pub struct RmsNorm {
    /// `[T, C]`: the input.
    pub x: View,
    /// `[T, C]`: the output, written.
    pub y: View,
    /// `[T]`: 1 / rms, written.
    pub rstd: View,
}

/// Computes `y = x rstd` with `rstd = 1 / sqrt(mean(x^2) + 1e-5)`.
#[inline(always)]
pub fn forward<S: Shape, const N: usize>(warp: &Warp, s: S, norm: &RmsNorm, tokens: Tokens<N>) {
    let (c, t0) = (s.n_embd_padded(), tokens.first);
    normalize(s, |t, i| norm.x.load((t0 + t) * c + i), norm.rstd, tokens, |t, i, y| norm.y.store((t0 + t) * c + i, y));
    warp.sync();
}

/// Computes [`forward`] of `x(t, channel)` for the rows of `tokens`, and hands it to `store(t, channel, y)`. Rows count from
/// the first token, and the caller synchronises the warp. If the sum of squares overflows, `rstd` is NaN, since a model that has diverged
/// would otherwise go on with zeros.
#[inline(always)]
pub fn normalize<S: Shape, const N: usize>(
    s: S,
    x: impl Fn(usize, usize) -> F32x16,
    rstd: View,
    tokens: Tokens<N>,
    mut store: impl FnMut(usize, usize, F32x16),
) {
    let (c, t0) = (s.n_embd_padded(), tokens.first);
    let mut squares = [F32x16::splat(0.0); N];
    for i in half_warps(c) {
        unroll!(for t in 0..N {
            let x = x(t, i);
            squares[t] = x.mul_add(x, squares[t]);
        });
    }
    let mut scale = [0.0; N];
    unroll!(for t in 0..N {
        let mean = squares[t].reduce_sum() / s.n_embd() as f32 + EPS;
        scale[t] = 1.0 / sqrt(mean) + 0.0 * mean;
        rstd.store_scalar(t0 + t, scale[t]);
    });
    for i in half_warps(c) {
        unroll!(for t in 0..N {
            store(t, i, x(t, i) * F32x16::splat(scale[t]));
        });
    }
}

/// The views of [`backward`].
pub struct RmsNormBackward {
    /// `[T, C]`: the norm's output.
    pub y: View,
    /// `[T]`: 1 / rms.
    pub rstd: View,
    /// `[T, C]`: the gradient of the skip connection, if any.
    pub dx_skip: Option<View>,
    /// `[T, C]`: the gradient of `y`, replaced by the gradient of `x`.
    pub dx: View,
}

/// Computes `dx = dx_skip + rstd (dy - y mean(dy y))`.
#[inline(always)]
pub fn backward<S: Shape, const N: usize>(warp: &Warp, s: S, norm: &RmsNormBackward, tokens: Tokens<N>) {
    let mut dx = Rows::loaded(s, norm.dx, tokens);
    backward_rows(warp, s, norm, tokens, &mut dx);
    dx.write();
    warp.sync();
}

/// Computes [`backward`] for the rows `dx`, which are those of [`RmsNormBackward::dx`].
#[inline(always)]
pub fn backward_rows<S: Shape, const N: usize>(
    warp: &Warp,
    s: S,
    norm: &RmsNormBackward,
    tokens: Tokens<N>,
    dx: &mut Rows<N>,
) {
    let (c, t0) = (s.n_embd_padded(), tokens.first);
    let mut products = [F32x16::splat(0.0); N];
    for i in half_warps(c) {
        unroll!(for t in 0..N {
            let at = (t0 + t) * c + i;
            products[t] = dx.load(t, i).mul_add(norm.y.load(at), products[t]);
        });
    }
    let mut mean = [0.0; N];
    unroll!(for t in 0..N {
        mean[t] = products[t].reduce_sum() / s.n_embd() as f32;
    });
    for i in half_warps(c) {
        let mut d = [F32x16::splat(0.0); N];
        unroll!(for t in 0..N {
            let at = (t0 + t) * c + i;
            let rstd = F32x16::splat(norm.rstd.load_scalar(t0 + t));
            d[t] = norm.y.load(at).mul_add(F32x16::splat(-mean[t]), dx.load(t, i));
            d[t] = match norm.dx_skip {
                Some(skip) => d[t].mul_add(rstd, skip.load(at)),
                None => d[t] * rstd,
            };
        });
        dx.replace(warp, i, d);
    }
    dx.sync(warp);
}
