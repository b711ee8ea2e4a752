//! Index arithmetic that cannot panic. A kernel on a GPU has no way to report a panic, and the code of a panic costs
//! registers.

use crate::target::HALF_WARP;

/// Returns `n` rounded up to a multiple of `to`.
#[inline(always)]
pub const fn round_up(n: usize, to: usize) -> usize {
    // Two instructions of a GPU do for a power of two, and a division takes five.
    if to.is_power_of_two() { (n + (to - 1)) & !(to - 1) } else { n.div_ceil(to) * to }
}

/// Returns `a / b`, or `a` if `b` is zero. Dimensions are never zero, but the compiler cannot know that.
#[inline(always)]
pub const fn div(a: usize, b: usize) -> usize {
    a / if b == 0 { 1 } else { b }
}

/// Returns `a % b`, or zero if `b` is zero. See [`div`].
#[inline(always)]
pub const fn rem(a: usize, b: usize) -> usize {
    a % if b == 0 { 1 } else { b }
}

/// Returns the first channel of each half-warp in a row of `n` channels.
#[inline(always)]
pub fn half_warps(n: usize) -> impl DoubleEndedIterator<Item = usize> {
    (0..n / HALF_WARP).map(|i| i * HALF_WARP)
}

/// Returns the sum of `f(channel)` over the first channel of each half-warp in a row of `n` channels, in order. Unlike
/// [`Iterator::fold`], the function is inlined whatever it costs.
#[inline(always)]
pub fn sum_half_warps(n: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut sum = 0.0;
    for i in half_warps(n) {
        sum += f(i);
    }
    sum
}
