//! A table of what layer 0 computes before attention, which depends on a token and its position alone.

use simt::{View, Warp, div, half_warps, inline, rem};

use crate::model::Gpt;
use crate::ops::rmsnorm::RmsNorm;
use crate::ops::{Tokens, embed, rmsnorm};
use crate::shape::{GPU_TOKENS, Shape, TOKENS};

/// The largest number of elements of a table. A larger one would not stay in a core's cache.
const MAX_LEN: usize = 1 << 16;

/// Rows `x`, `q`, `k` and `v` for each token and position, which a launch computes once.
///
/// A GPU has no table, because a table would take the shared memory of its warps' samples. The page draws too few samples at
/// once for one.
#[derive(Clone, Copy)]
pub(super) struct Table(View);

impl Table {
    /// Returns the table of a block that generates so many samples, if it takes less time than it saves. `memory` has
    /// [`Self::len`] elements.
    #[inline(always)]
    pub(super) fn new<S: Shape>(s: S, memory: View, samples: usize) -> Option<Self> {
        (Self::len(s, TOKENS) > 0 && samples >= 2 * s.vocab()).then_some(Self(memory))
    }

    /// Returns the number of elements, or zero if warps that take `tokens` tokens at once use no table of this shape.
    #[inline(always)]
    pub(super) fn len<S: Shape>(s: S, tokens: usize) -> usize {
        let len = s.vocab().saturating_mul(s.block_size()).saturating_mul(row_len(s));
        let has_none = tokens == GPU_TOKENS || cfg!(target_family = "wasm");
        if has_none || len > MAX_LEN { 0 } else { len }
    }

    /// Returns the row of a token at a position.
    #[inline(always)]
    pub(super) fn row<S: Shape>(self, s: S, token: usize, position: usize) -> Row<S> {
        Row { s, view: self.0.at((token * s.block_size() + position) * row_len(s)) }
    }

    /// Computes the warp's share of the rows. The rows of `norm` are overwritten.
    #[inline(always)]
    pub(super) fn fill<S: Shape>(self, warp: &Warp, model: &Gpt<S>, norm: &RmsNorm) {
        let (s, count) = (model.s, model.s.vocab() * model.s.block_size());
        let (c, a) = (s.n_embd_padded(), s.n_attn_padded());
        for first in warp.block_stride_groups(TOKENS, count) {
            // The last group repeats the last row.
            let rows: [usize; TOKENS] = core::array::from_fn(|t| (first + t).min(count - 1));
            let row = |t: usize| self.0.at(rows[t] * row_len(s));
            let embedding = model.embedding(rows.map(|i| div(i, s.block_size())), rows.map(|i| rem(i, s.block_size())));
            embed::forward(warp, s, &embedding, norm.rstd, 0, |at, x| norm.x.store(at, x));
            for t in 0..TOKENS {
                copy(norm.x.at(t * c), row(t), c);
            }
            let tokens = Tokens::<TOKENS> { first: 0, end: TOKENS };
            rmsnorm::forward(warp, s, norm, tokens);
            model.qkv(warp, 0, norm.y, tokens, inline!(|which, t, i, y| y.store(row(t), c + which * a + i)));
            warp.sync();
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy)]
pub(super) struct Row<S> {
    s: S,
    view: View,
}

impl<S: Shape> Row<S> {
    /// Copies the input of layer 0.
    #[inline(always)]
    pub(super) fn copy_x(self, to: View) {
        copy(self.view, to, self.s.n_embd_padded());
    }

    /// Copies the query, the key or the value, `which` 0, 1, 2.
    #[inline(always)]
    pub(super) fn copy_qkv(self, which: usize, to: View) {
        let a = self.s.n_attn_padded();
        copy(self.view.at(self.s.n_embd_padded() + which * a), to, a);
    }
}

/// Returns the number of elements in a row.
#[inline(always)]
fn row_len<S: Shape>(s: S) -> usize {
    s.n_embd_padded() + 3 * s.n_attn_padded()
}

/// Copies `len` elements.
#[inline(always)]
fn copy(from: View, to: View, len: usize) {
    for i in half_warps(len) {
        to.store(i, from.load(i));
    }
}
