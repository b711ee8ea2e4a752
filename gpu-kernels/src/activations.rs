//! The activations of one document in a block's workspace.

use simt::{HALF_WARP, View, round_up};

use crate::ops::attention;
use crate::shape::Shape;

/// Makes the views and their places from one table of the name and the length of each buffer, in elements.
macro_rules! buffers {
    (
        |$s:ident|
        model { $($(#[$doc:meta])* $name:ident: $len:expr,)* }
        layer { $($(#[$ldoc:meta])* $lname:ident: $llen:expr,)* }
    ) => {
        /// The activations of one layer, and those that layers share, in a block's workspace.
        ///
        /// Rows are tokens, T padded to token groups. Widths are padded: C, A (see [`Shape::n_attn_padded`]), 4C and V.
        #[derive(Clone, Copy)]
        pub struct Activations {
            $($(#[$doc])* pub $name: View,)*
            $($(#[$ldoc])* pub $lname: View,)*
        }

        impl Activations {
            /// Returns the activations of layer `l` in the workspace `work`.
            #[inline(always)]
            pub fn new<S: Shape>($s: S, work: View, l: usize) -> Self {
                let next = 0;
                $(let ($name, next) = (work.at(next), next + round_up($len, HALF_WARP));)*
                let next = next + l * Self::layer_len($s);
                $(let ($lname, next) = (work.at(next), next + round_up($llen, HALF_WARP));)*
                let _ = next;
                Self { $($name,)* $($lname,)* }
            }

            /// Returns the number of elements in a layer's own buffers.
            #[inline(always)]
            fn layer_len<S: Shape>($s: S) -> usize {
                0 $(+ round_up($llen, HALF_WARP))*
            }

            /// Returns the number of elements in a block's workspace.
            #[inline(always)]
            pub fn len<S: Shape>($s: S) -> usize {
                0 $(+ round_up($len, HALF_WARP))* + $s.n_layer() * Self::layer_len($s)
            }
        }
    };
}

/// Returns the number of elements in a buffer `[T, width]`.
#[inline(always)]
fn rows<S: Shape>(s: S, width: usize) -> usize {
    s.block_size_padded() * width
}

buffers! {
    |s|
    model {
    /// `[T, C]`: the embedding after its norm, the input of layer 0.
    x_embed: rows(s, s.n_embd_padded()),
    /// `[T]`: 1 / rms of the embedding.
    rstd_embed: rows(s, 1),
    /// `[T, C]`: the residual stream.
    x: rows(s, s.n_embd_padded()),
    /// `[T, V]`: the logits, then their exponentials, then the gradient of the logits.
    logits: rows(s, s.vocab_padded()),
    /// `[T]`: the sum of the exponentials.
    sum_exp: rows(s, 1),
    /// `[T]`: the largest logit minus the target's.
    gap: rows(s, 1),
    /// `[T, C]`: the gradient of the sum of the embeddings.
    dx_embed: rows(s, s.n_embd_padded()),
    /// `[T, A]`: the gradient of the attention's output.
    dattn: rows(s, s.n_attn_padded()),
    /// The gradient of the attention's scores, laid out like `probs`.
    dscores: attention::probs_len(s),
    }
    layer {
    /// `[T, C]`: the input of attention, after its norm.
    xn_attn: rows(s, s.n_embd_padded()),
    /// `[T]`: 1 / rms before attention.
    rstd_attn: rows(s, 1),
    /// `[T, A]`: the queries over `sqrt(D)`.
    q: rows(s, s.n_attn_padded()),
    /// `[T, A]`: the keys.
    k: rows(s, s.n_attn_padded()),
    /// `[T, A]`: the values.
    v: rows(s, s.n_attn_padded()),
    /// The attention's probabilities, see [`attention::probs_row`].
    probs: attention::probs_len(s),
    /// `[T, A]`: the attention's output.
    attn: rows(s, s.n_attn_padded()),
    /// `[T, C]`: the input of the MLP, after its norm.
    xn_mlp: rows(s, s.n_embd_padded()),
    /// `[T]`: 1 / rms before the MLP.
    rstd_mlp: rows(s, 1),
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

impl Activations {
    /// Returns `q`, `k` or `v` (`which` 0, 1, 2), which are adjacent. The view is computed, because a GPU keeps a dynamically
    /// indexed array in local memory.
    #[inline(always)]
    pub fn qkv<S: Shape>(&self, s: S, which: usize) -> View {
        self.q.at(which * rows(s, s.n_attn_padded()))
    }

    /// Returns `dq`, `dk` or `dv` (`which` 0, 1, 2), see [`Self::qkv`].
    #[inline(always)]
    pub fn dqkv<S: Shape>(&self, s: S, which: usize) -> View {
        self.dq.at(which * rows(s, s.n_attn_padded()))
    }
}
