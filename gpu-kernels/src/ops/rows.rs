//! The rows of a warp's tokens on their way from op to op.

use simt::{AS_ON_GPU, Columns, F32x16, HALF_WARP, View, Warp, unroll};

use super::Tokens;
use crate::shape::{HELD_TOKENS, Shape};

/// Returns whether a warp that takes [`HELD_TOKENS`] tokens at once keeps their rows in registers.
#[inline(always)]
pub fn are_held<S: Shape>(s: S) -> bool {
    AS_ON_GPU && S::IS_CONST && s.n_embd_padded() == HALF_WARP
}

/// Replaces the value of token `t`. A GPU would keep an array in local memory whose index the compiler does not know.
#[inline(always)]
pub(super) fn set<V: Copy, const N: usize>(values: &mut [V; N], t: usize, f: impl Fn(V) -> V) {
    unroll!(for i in 0..N {
        if i == t {
            values[i] = f(values[i]);
        }
    });
}

/// The rows of a warp's tokens in a buffer `[T, C]`.
///
/// A GPU keeps rows of sixteen channels in registers if the shape is known at compile time, because the way through shared
/// memory takes longer than the arithmetic of most ops. Other rows are in memory.
#[derive(Clone, Copy)]
pub struct Rows<const N: usize> {
    view: View,
    width: usize,
    /// The tokens.
    pub tokens: Tokens<N>,
    /// Whether the rows are in registers.
    are_held: bool,
    /// The rows that are in registers.
    values: [F32x16; N],
}

impl<const N: usize> Rows<N> {
    /// Returns rows without defined values.
    #[inline(always)]
    pub fn new<S: Shape>(s: S, view: View, tokens: Tokens<N>) -> Self {
        let (width, are_held) = (s.n_embd_padded(), N == HELD_TOKENS && are_held(s));
        Self { view, width, tokens, are_held, values: [F32x16::splat(0.0); N] }
    }

    /// Returns the rows of the buffer.
    #[inline(always)]
    pub fn loaded<S: Shape>(s: S, view: View, tokens: Tokens<N>) -> Self {
        let mut rows = Self::new(s, view, tokens);
        if rows.are_held {
            unroll!(for t in 0..N {
                rows.values[t] = view.load(rows.at(t, 0));
            });
        }
        rows
    }

    /// Returns the place in the buffer of channel `i` of the warp's token `t`.
    #[inline(always)]
    fn at(&self, t: usize, i: usize) -> usize {
        (self.tokens.first + t) * self.width + i
    }

    /// Returns the sixteen channels from `i` on of the warp's token `t`.
    #[inline(always)]
    pub fn load(&self, t: usize, i: usize) -> F32x16 {
        if self.are_held { self.values[t] } else { self.view.load(self.at(t, i)) }
    }

    /// Sets the channels from `i` on of the warp's token `t`. The caller has synchronised the warp after it read them.
    #[inline(always)]
    pub fn set(&mut self, t: usize, i: usize, x: Columns) {
        match x {
            Columns::Half(x) if self.are_held => set(&mut self.values, t, |_| x),
            x => x.store(self.view, self.at(t, i)),
        }
    }

    /// Adds `y` to the channels from `i` on of the warp's token `t`.
    #[inline(always)]
    pub fn add(&mut self, warp: &Warp, t: usize, i: usize, y: Columns) {
        match y {
            Columns::Half(y) if self.are_held => set(&mut self.values, t, |x| x + y),
            y => {
                let sum = y.map_with(self.view, self.at(t, i), |y, x| x + y);
                // Both half-warps have read the row before either replaces it.
                warp.sync();
                sum.store(self.view, self.at(t, i));
            }
        }
    }

    /// Replaces the channels from `i` on of every token.
    #[inline(always)]
    pub fn replace(&mut self, warp: &Warp, i: usize, rows: [F32x16; N]) {
        if self.are_held {
            self.values = rows;
            return;
        }
        // Both half-warps have read the rows before either replaces them.
        warp.sync();
        unroll!(for t in 0..N {
            self.view.store(self.at(t, i), rows[t]);
        });
    }

    /// Makes the rows visible to all lanes that load them from here.
    #[inline(always)]
    pub fn sync(&self, warp: &Warp) {
        if !self.are_held {
            warp.sync();
        }
    }

    /// Writes rows from registers to the buffer. The caller synchronises the warp.
    #[inline(always)]
    pub fn write(&self) {
        if self.are_held {
            unroll!(for t in 0..N {
                self.view.store(self.at(t, 0), self.values[t]);
            });
        }
    }
}
