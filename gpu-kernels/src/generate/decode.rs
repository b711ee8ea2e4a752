//! The model on rows of samples, with cached keys and values.

use simt::{Block, HALF_WARP, Target, View, WARP, Warp, inline, round_up};

use super::table::Table;
use crate::activations::{Heads, query_group_len};
use crate::layout::Layout;
use crate::model::Gpt;
use crate::ops::attention::{self, Query};
use crate::ops::rmsnorm::RmsNorm;
use crate::ops::{Tokens, embed, linear, rmsnorm};
use crate::shape::{GPU_TOKENS, Shape, TOKENS};

/// The number of rows of a prompt that go through each layer together. With more of them the weights come from memory less
/// often, but their activations leave the L2 cache.
pub(super) const PROMPT_ROWS: usize = 128;

buffers! {
    /// A warp's part of the workspace, for `slots` samples, and a layer's cached keys and values. The rows of a buffer without
    /// a position are those that the warp computes at once, R.
    pub(super) struct Workspace(s, slots)
    model {
    /// `[R, C]`: the residual stream.
    x: rows(s, slots) * s.n_embd_padded(),
    rstd: round_up(rows(s, slots), HALF_WARP),
    xn: rows(s, slots) * s.n_embd_padded(),
    q: rows(s, slots) * s.n_attn_padded(),
    probs: Heads::new(s).groups * query_group_len(s),
    attn: rows(s, slots) * s.n_attn_padded(),
    h2: rows(s, slots) * s.n_hidden_padded(),
    logits: rows(s, slots) * s.vocab_padded(),
    }
    layer {
    /// `[slots, T, A]`.
    keys: slots * cache_len(s),
    /// `[slots, T, A]`.
    values: slots * cache_len(s),
    }
}

/// Returns the number of elements in the columns of a matrix, `[4C, 32]`, that the rows of a prompt share, if any. No matrix has
/// more rows.
#[inline(always)]
pub(super) fn packed_len<S: Shape>(s: S, slots: usize) -> usize {
    if has_prompt_rows::<S>(slots) { s.n_hidden_padded() * WARP } else { 0 }
}

/// Returns R, the most rows that a warp with so many slots computes at once.
fn rows<S: Shape>(_: S, slots: usize) -> usize {
    if has_prompt_rows::<S>(slots) { PROMPT_ROWS } else { slots }
}

/// Returns whether a warp with so many slots computes many positions of a prompt at once. A GPU's rows would take the shared
/// memory of its samples, the page draws short samples, and blocks that are known at compile time are as short as a group of
/// tokens.
pub(super) fn has_prompt_rows<S: Shape>(slots: usize) -> bool {
    // The race checker has the warps of a GPU, and checks these rows too.
    let is_gpu = slots == GPU_TOKENS && !cfg!(feature = "race-check");
    !(is_gpu || S::IS_CONST || cfg!(target_family = "wasm"))
}

/// Returns the number of elements in one sample's cached keys or values of one layer.
fn cache_len<S: Shape>(s: S) -> usize {
    s.block_size_padded() * s.n_attn_padded()
}

/// A token at a position of a sample.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// The slot of the sample.
    pub slot: usize,
    /// The position, from 0.
    pub position: usize,
    /// The token there.
    pub token: usize,
}

/// The rows that a warp computes at once.
pub(super) struct Rows<const N: usize> {
    /// The rows, of which the last ones may be unused.
    pub all: [Row; N],
    /// The number of rows whose results are read.
    pub count: usize,
    /// Whether the logits of the rows' next tokens are read.
    pub has_logits: bool,
}

/// Returns the model and the workspace of layer `l` for one op. Their places are computed where the op uses them, see
/// [`Shape::rematerialize`].
#[inline(always)]
fn op<S: Shape>(model: &Gpt<S>, work: View, l: usize) -> (Gpt<S>, Workspace) {
    let s = model.s.rematerialize();
    (Gpt { s, ..*model }, Workspace::new(s, TOKENS, work, s.rematerialize_index(l)))
}

/// Runs work that threads divide, if there are several. As functions of their own, the parts would take one thread longer. Constant
/// dimensions are too small to divide.
#[inline(always)]
fn divided<T: Target, S: Shape>(block: &Block<T>, warp: &Warp, _: S, work: impl Fn(&Warp) + Copy) {
    if S::IS_CONST || block.threads() == 1 { work(warp) } else { block.divided(warp, work) }
}

/// Adds the keys and values of the rows to the caches of their slots, and computes the logits of their next tokens. A row sees
/// the positions of its sample up to its own, which are in the cache or among the rows.
#[inline(always)]
pub(super) fn decode<T: Target, S: Shape, const N: usize>(
    block: &Block<T>,
    warp: &Warp,
    model: &Gpt<S>,
    table: Option<Table>,
    work: View,
    rows: &Rows<N>,
) {
    let &Rows { all: ref rows, count, has_logits } = rows;
    let tokens = Tokens::<N> { first: 0, end: count };
    let tensors = |s: S, l| Layout(s).layer(s.rematerialize_index(l));
    // The places of a row's query, key and value, `which` 0, 1, 2.
    let place = |s: S, views: &Workspace, which: usize, row: usize| {
        let (a, Row { slot, position, .. }) = (s.n_attn_padded(), rows[row]);
        let cached = slot * cache_len(s) + position * a;
        match which {
            0 => views.q.at(row * a),
            1 => views.keys.at(cached),
            _ => views.values.at(cached),
        }
    };
    let (at_op, views) = op(model, work, 0);
    let s = at_op.s;
    if let Some(table) = table {
        for row in 0..N {
            let Row { position, token, .. } = rows[row];
            let known = table.row(s, token, position);
            known.copy_x(views.x.at(row * s.n_embd_padded()));
            for which in 0..3 {
                known.copy_qkv(which, place(s, &views, which, row));
            }
        }
        warp.sync();
    } else {
        let embedding = at_op.embedding(rows.map(|row| row.token), rows.map(|row| row.position));
        embed::forward(warp, s, &embedding, views.rstd, 0, |at, sum| views.x.store(at, sum));
    }
    for l in 0..model.s.n_layer() {
        if l > 0 || table.is_none() {
            let (at_op, views) = op(model, work, l);
            let norm = RmsNorm { x: views.x, y: views.xn, rstd: views.rstd };
            rmsnorm::forward(warp, at_op.s, &norm, tokens);
            divided(
                block,
                warp,
                at_op.s,
                inline!(move |warp| at_op.qkv(
                    warp,
                    l,
                    views.xn,
                    tokens,
                    inline!(move |which, row, i, y| {
                        // The position of a row from `count` on may be that of another row.
                        if row < count {
                            y.store(place(at_op.s, &views, which, row), i);
                        }
                    })
                )),
            );
            warp.sync();
        }
        // Other positions see a layer's keys and values alone, and the last layer's output gives the logits alone.
        if !has_logits && l + 1 == model.s.n_layer() {
            return;
        }
        divided(
            block,
            warp,
            model.s,
            inline!(move |warp| {
                for row in tokens.live() {
                    let (Gpt { s, .. }, Workspace { q, keys, values, probs, attn, .. }) = op(model, work, l);
                    let (a, Row { slot, position, .. }) = (s.n_attn_padded(), rows[row]);
                    let (q, k, v) = (q.at(row * a), keys.at(slot * cache_len(s)), values.at(slot * cache_len(s)));
                    let query = Query { q, k, v, probs, group_stride: query_group_len(s), attn: attn.at(row * a) };
                    attention::attend(warp, s, &query, position);
                }
            }),
        );
        let (at_op, Workspace { x, attn, .. }) = op(model, work, l);
        let wo = at_op.linear(attn, tensors(at_op.s, l).attn_wo);
        divided(block, warp, at_op.s, inline!(move |warp| linear::accumulate(warp, at_op.s, &wo, tokens, x)));
        let (at_op, Workspace { x, xn, rstd, .. }) = op(model, work, l);
        rmsnorm::forward(warp, at_op.s, &RmsNorm { x, y: xn, rstd }, tokens);
        let (at_op, Workspace { xn, h2, .. }) = op(model, work, l);
        let fc1 = at_op.linear(xn, tensors(at_op.s, l).mlp_fc1);
        divided(block, warp, at_op.s, inline!(move |warp| at_op.hidden(warp, &fc1, tokens, None, h2)));
        let (at_op, Workspace { x, h2, .. }) = op(model, work, l);
        let fc2 = at_op.linear(h2, tensors(at_op.s, l).mlp_fc2);
        divided(block, warp, at_op.s, inline!(move |warp| linear::accumulate(warp, at_op.s, &fc2, tokens, x)));
    }
    let (at_op, Workspace { x, logits, .. }) = op(model, work, 0);
    let wte = at_op.linear(x, Layout(at_op.s).model().wte);
    divided(block, warp, at_op.s, inline!(move |warp| linear::forward_into(warp, at_op.s, &wte, tokens, logits)));
}
