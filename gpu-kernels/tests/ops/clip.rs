//! The op `clip` against the reference.

use gpu_kernels::ops::clip::{norm, scale, squares};
use reference::clip;
use simt::{HALF_WARP, Warp};

use crate::support::{Channels, Padded, ROUNDING, launch, to_f64, values, view};
use crate::tensors::{self, assert_close};

/// Returns the norm of a gradient `[rows, cols]`, computed from blocks of 16 by 16 elements.
fn norm_of(gradient: &[f32], rows: usize, cols: usize) -> f32 {
    let c = Channels::plain(cols);
    let mut g = Padded::new(rows.next_multiple_of(HALF_WARP), c, gradient, 0.0);
    let (high, wide) = (rows.div_ceil(HALF_WARP), c.padded / HALF_WARP);
    let mut partial = vec![f32::NAN; high * wide * HALF_WARP];
    let mut out = [f32::NAN];
    let (g, partial, out_view) = (g.view(), view(&mut partial), view(&mut out));
    let block = |warp: &Warp, index: usize| {
        let at = index / wide * HALF_WARP * c.padded + index % wide * HALF_WARP;
        let rows: [_; HALF_WARP / 2] = std::array::from_fn(|r| g.load_halves(at + 2 * r * c.padded, c.padded));
        partial.store(index * HALF_WARP, squares(rows));
        warp.sync();
    };
    launch(|warp| warp.block_stride(high * wide).for_each(|index| block(warp, index)));
    launch(|warp| {
        if warp.index == 0 {
            out_view.store_scalar(0, norm(partial, high * wide * HALF_WARP));
        }
    });
    out[0]
}

#[test]
#[cfg_attr(miri, ignore = "too slow in Miri")]
fn the_norm_and_the_clipped_gradient_agree_with_the_reference() {
    for (rows, cols, size) in [(16, 16, 1.0), (5, 21, 0.01), (84, 34, 20.0), (1, 3, 1.0), (261, 9, 1e-6)] {
        let gradient: Vec<f32> = values(1, rows * cols).iter().map(|g| g * size).collect();
        let got = norm_of(&gradient, rows, cols);
        for max_norm in [0.25, 1.0, 1000.0] {
            let what = format!("[{rows}, {cols}] of size {size:e} clipped at {max_norm}");
            let mut expected = to_f64(&gradient);
            let norm = clip(&mut expected, f64::from(max_norm));
            // The root halves the relative error of the sum. The sum takes 8 multiply-adds a lane, the addition of both
            // halves, one addition a block, and four in the butterfly.
            let blocks = rows.div_ceil(HALF_WARP) * cols.div_ceil(HALF_WARP);
            let roundings = 0.5 * (8.0 + 1.0 + blocks as f64 + 4.0) + 1.0;
            assert_close(format!("{what}: norm"), 1, &[got], &[norm], roundings * ROUNDING * norm);
            let clipped: Vec<f32> = gradient.iter().map(|g| g * scale(got, max_norm)).collect();
            let bound = (roundings + 2.0) * ROUNDING * tensors::norm(&expected);
            assert_close(what, cols, &clipped, &expected, bound);
        }
    }
}

#[test]
#[expect(clippy::float_cmp, reason = "a factor of exactly 1 keeps every bit of the gradient")]
fn gradients_up_to_the_largest_norm_keep_their_bits() {
    let zero = norm_of(&[0.0; 21 * 5], 5, 21);
    assert!(zero < 1e-13, "{zero:e}");
    assert_eq!(scale(zero, 1.0), 1.0);
    assert_eq!(scale(norm_of(&[3.0, -4.0], 2, 1), 5.0), 1.0);
    assert_eq!(scale(norm_of(&[3.0, -4.0], 2, 1), 2.5), 0.5);
}
