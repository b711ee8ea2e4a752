//! The activations of one document in a block's workspace.

use simt::{HALF_WARP, U32View, View, Warp, inline, round_up};

use crate::ops::Tokens;
use crate::shape::Shape;

/// The arrangement of heads in a row of channels.
#[derive(Clone, Copy)]
pub(crate) struct Heads {
    /// The number of channels of a half-warp that share a score.
    pub width: usize,
    /// The number of half-warps of a head.
    pub half_warps: usize,
    /// The number of groups of `half_warps` half-warps in a row.
    pub groups: usize,
}

impl Heads {
    pub fn new<S: Shape>(s: S) -> Self {
        let half_warps = s.head_dim_padded().div_ceil(HALF_WARP);
        let width = s.head_dim_padded().min(HALF_WARP);
        Self { width, half_warps, groups: s.head_groups() }
    }

    /// Returns the first channel of each half-warp of a group.
    pub fn channels(self, group: usize) -> impl Iterator<Item = usize> {
        (0..self.half_warps).map(move |i| (group * self.half_warps + i) * HALF_WARP)
    }
}

/// Returns the offset of query `t` in a head group's probabilities.
///
/// The layout is `[head group][query][key pair][2 x 16 lanes]`. Query `t` has the pairs of keys `(s, s + 1)` up to `t`.
pub fn probs_row(t: usize) -> usize {
    t.div_ceil(2) * (t / 2 + 1) * 2 * HALF_WARP
}

/// Returns the index of the probability of head `h`, query `t` and key `key <= t` in a document's probabilities.
pub fn prob_index<S: Shape>(s: S, h: usize, t: usize, key: usize) -> usize {
    let channel = h * s.head_dim_padded();
    let group = channel / HALF_WARP / Heads::new(s).half_warps;
    group * probs_row(s.block_size_padded()) + probs_row(t) + key * HALF_WARP + channel % HALF_WARP
}

/// Returns the number of elements in a document's probabilities.
pub fn probs_len<S: Shape>(s: S) -> usize {
    Heads::new(s).groups * probs_row(s.block_size_padded())
}

/// Returns the number of elements in one query's probabilities in one head group.
pub fn query_group_len<S: Shape>(s: S) -> usize {
    s.block_size_padded() * HALF_WARP
}

/// Defines the views of a workspace and their places, from a table of each buffer's name and length in elements,
/// a multiple of [`HALF_WARP`].
macro_rules! buffers {
    (
        $(#[$type_doc:meta])*
        $visibility:vis struct $type:ident($s:ident $(, $arg:ident)*)
        model { $($(#[$doc:meta])* $name:ident: $len:expr,)* }
        layer { $($(#[$ldoc:meta])* $lname:ident: $llen:expr,)* }
    ) => {
        $(#[$type_doc])*
        #[derive(Clone, Copy)]
        $visibility struct $type {
            $($(#[$doc])* pub $name: View,)*
            $($(#[$ldoc])* pub $lname: View,)*
        }

        impl $type {
            /// Returns the views of layer `l` in the workspace `work`.
            #[inline(always)]
            pub fn new<S: Shape>($s: S, $($arg: usize,)* work: View, l: usize) -> Self {
                let next = 0;
                $(let ($name, next) = (work.at(next), next + $len);)*
                let next = next + l * Self::layer_len($s $(, $arg)*);
                $(let ($lname, next) = (work.at(next), next + $llen);)*
                let _ = next;
                Self { $($name,)* $($lname,)* }
            }

            /// Returns the number of elements in a layer's own buffers.
            #[inline(always)]
            fn layer_len<S: Shape>($s: S $(, $arg: usize)*) -> usize {
                0 $(+ $llen)*
            }

            /// Returns the number of elements in the workspace.
            #[inline(always)]
            pub fn len<S: Shape>($s: S $(, $arg: usize)*) -> usize {
                0 $(+ $len)* + $s.n_layer() * Self::layer_len($s $(, $arg)*)
            }
        }
    };
}

/// Returns the number of elements in a buffer `[T, width]`, for a width of whole half-warps.
fn rows<S: Shape>(s: S, width: usize) -> usize {
    s.block_size_padded() * width
}

/// Returns the number of elements in a buffer `[T]`.
fn scalars<S: Shape>(s: S) -> usize {
    round_up(s.block_size_padded(), HALF_WARP)
}

buffers! {
    /// The activations of one layer and of the whole model, in a block's workspace.
    ///
    /// Rows are tokens, T padded to token groups. Widths are padded: C, A (see [`Shape::n_attn_padded`]), 4C and V.
    pub struct Activations(s)
    model {
    /// `[T, C]`: the embedding after its norm, the input of layer 0.
    x_embed: rows(s, s.n_embd_padded()),
    /// `[T]`: 1 / rms of the embedding.
    rstd_embed: scalars(s),
    /// `[T, C]`: the residual stream.
    x: rows(s, s.n_embd_padded()),
    /// `[T, V]`: the logits, then their exponentials, then the gradient of the logits.
    logits: rows(s, s.vocab_padded()),
    /// `[T]`: the sum of the exponentials.
    sum_exp: scalars(s),
    /// `[T]`: the largest logit minus the target's.
    gap: scalars(s),
    /// `[T, C]`: the gradient of the sum of the embeddings.
    dx_embed: rows(s, s.n_embd_padded()),
    /// `[T, A]`: the gradient of the attention's output.
    dattn: rows(s, s.n_attn_padded()),
    /// The gradient of the attention's scores, laid out like `probs`.
    dscores: probs_len(s),
    }
    layer {
    /// `[T, C]`: the input of attention, after its norm.
    xn_attn: rows(s, s.n_embd_padded()),
    /// `[T]`: 1 / rms before attention.
    rstd_attn: scalars(s),
    /// `[T, A]`: the queries over `sqrt(D)`.
    q: rows(s, s.n_attn_padded()),
    /// `[T, A]`: the keys.
    k: rows(s, s.n_attn_padded()),
    /// `[T, A]`: the values.
    v: rows(s, s.n_attn_padded()),
    /// The attention's probabilities, see [`probs_row`].
    probs: probs_len(s),
    /// `[T, A]`: the attention's output.
    attn: rows(s, s.n_attn_padded()),
    /// `[T, C]`: the input of the MLP, after its norm.
    xn_mlp: rows(s, s.n_embd_padded()),
    /// `[T]`: 1 / rms before the MLP.
    rstd_mlp: scalars(s),
    /// `[T, 4C]`: `relu(fc1 xn)`.
    h: rows(s, s.n_hidden_padded()),
    /// `[T, 4C]`: the square of `h`.
    h2: rows(s, s.n_hidden_padded()),
    /// `[T, 4C]`: the gradient of `fc1 xn`.
    dh: rows(s, s.n_hidden_padded()),
    /// `[T, A]`: the gradient of the unscaled queries.
    dq: rows(s, s.n_attn_padded()),
    /// `[T, A]`: the gradient of the keys.
    dk: rows(s, s.n_attn_padded()),
    /// `[T, A]`: the gradient of the values.
    dv: rows(s, s.n_attn_padded()),
    /// `[T, C]`: the gradient of the residual stream between attention and MLP.
    dx_mid: rows(s, s.n_embd_padded()),
    /// `[T, C]`: the gradient of the layer's output.
    dx_out: rows(s, s.n_embd_padded()),
    }
}

/// One document on its way through the model.
#[derive(Clone, Copy)]
pub struct Pass {
    /// The document's tokens, `[BOS, .., BOS]`.
    pub document: U32View,
    /// The number of positions that are trained, `min(T, tokens - 1)`.
    pub n: usize,
    /// The block's workspace, see [`Activations`].
    pub work: View,
}

impl Pass {
    /// Returns the groups of tokens that `warp` computes.
    pub fn tokens<S: Shape, const N: usize>(self, s: S, warp: &Warp) -> impl Iterator<Item = Tokens<N>> {
        let groups = warp.block_stride_groups(N, self.n);
        groups.map(inline!(move |first| Tokens { first: s.rematerialize_index(first), end: self.n }))
    }

    /// Returns the activations of layer `l`.
    pub fn activations<S: Shape>(&self, s: S, l: usize) -> Activations {
        Activations::new(s, self.work, l)
    }
}

/// Returns buffer `which` (0, 1, 2) of `q`, `k`, `v` or of `dq`, `dk`, `dv`. The three buffers are adjacent, and
/// `first` is the first. The view is computed, because a GPU keeps a dynamically indexed array in local memory.
pub fn one_of_three<S: Shape>(s: S, first: View, which: usize) -> View {
    first.at(which * rows(s, s.n_attn_padded()))
}
