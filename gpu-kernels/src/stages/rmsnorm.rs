//! Root-mean-square norm, without gain: `y = x / sqrt(mean(x^2) + 1e-5)`.

use crate::shape::Shape;
use crate::simt::{F32x16, TOKENS, Tile, Warp, sqrt};
use crate::stages::tiles;

const EPS: f32 = 1e-5;

/// 1 / rms of each token from its channels' squares, summed over tiles; NaN where the sum overflows, so that a model which has
/// diverged says so instead of going on with zeros.
#[inline(always)]
pub fn inverse_rms<S: Shape>(s: S, squares: [F32x16; TOKENS]) -> [f32; TOKENS] {
    let mut r = [0.0; TOKENS];
    for t in 0..TOKENS {
        r[t] = squares[t].sum();
    }
    for r in &mut r {
        let mean = *r / s.n_embd() as f32 + EPS;
        *r = 1.0 / sqrt(mean) + 0.0 * mean;
    }
    r
}

/// `y = x r`, `r = 1 / sqrt(mean(x^2) + 1e-5)`.
///
/// `x: [T, C]` -> `y: [T, C]`, `r: [T]`, rows from `t0` on.
#[inline(always)]
pub fn forward<S: Shape>(s: S, x: Tile, (y, r): (Tile, Tile), t0: usize) {
    let c = s.n_embd_padded();
    let mut squares = [F32x16::splat(0.0); TOKENS];
    for i in tiles(c) {
        for t in 0..TOKENS {
            let x = x.row((t0 + t) * c + i);
            squares[t] = x.mul_add(x, squares[t]);
        }
    }
    let scale = inverse_rms(s, squares);
    for t in 0..TOKENS {
        r.set(t0 + t, scale[t]);
    }
    for i in tiles(c) {
        for t in 0..TOKENS {
            y.set_row((t0 + t) * c + i, x.row((t0 + t) * c + i) * F32x16::splat(scale[t]));
        }
    }
}

/// `dx = dx_skip + r (dy - y mean(dy y))`: the norm's gradient, added to that of the path around it.
///
/// `dx: [T, C]` holds `dy` and becomes `dx`; `y, dx_skip: [T, C]`, `r: [T]`; rows from `t0` on.
#[inline(always)]
pub fn backward<S: Shape>(warp: &Warp, s: S, (y, r): (Tile, Tile), dx_skip: Option<Tile>, dx: Tile, t0: usize) {
    let c = s.n_embd_padded();
    let mut products = [F32x16::splat(0.0); TOKENS];
    for i in tiles(c) {
        for t in 0..TOKENS {
            let at = (t0 + t) * c + i;
            products[t] = dx.row(at).mul_add(y.row(at), products[t]);
        }
    }
    let mut mean = [0.0; TOKENS];
    for t in 0..TOKENS {
        mean[t] = products[t].sum() / s.n_embd() as f32;
    }
    for i in tiles(c) {
        let mut d = [F32x16::splat(0.0); TOKENS];
        for t in 0..TOKENS {
            let at = (t0 + t) * c + i;
            let r = F32x16::splat(r.get(t0 + t));
            d[t] = y.row(at).mul_add(F32x16::splat(-mean[t]), dx.row(at));
            d[t] = match dx_skip {
                Some(skip) => d[t].mul_add(r, skip.row(at)),
                None => d[t] * r,
            };
        }
        // Both half-warps have read `dy` before either replaces it.
        warp.sync();
        for t in 0..TOKENS {
            dx.set_row((t0 + t) * c + i, d[t]);
        }
    }
    warp.sync();
}
