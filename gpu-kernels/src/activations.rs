//! Where the activations of one document lie while it is trained on or evaluated.

use crate::shape::{Shape, TILE, round_up};
use crate::stages::attention;

/// Names every buffer once: a struct of offsets in elements, those of the first layer to begin with.
macro_rules! buffers {
    (|$s:ident| shared { $($(#[$doc:meta])* $name:ident: $len:expr,)* } layer { $($(#[$ldoc:meta])* $lname:ident: $llen:expr,)* }) => {
        /// Offsets of the activations in a block's workspace, in elements.
        ///
        /// Rows are tokens `[T, ..]`, T padded to whole token groups. What a layer has of its own repeats for every layer.
        #[derive(Clone, Copy)]
        pub struct Activations {
            $($(#[$doc])* pub $name: usize,)*
            $($(#[$ldoc])* pub $lname: usize,)*
        }

        impl Activations {
            /// The buffers of layer `l`; those that layers share are the same for every `l`.
            #[inline(always)]
            pub fn of<S: Shape>($s: S, l: usize) -> Self {
                let next = 0;
                $(let ($name, next) = (next, next + round_up($len, TILE));)*
                let next = next + l * Self::layer_len($s);
                $(let ($lname, next) = (next, next + round_up($llen, TILE));)*
                let _ = next;
                Self { $($name,)* $($lname,)* }
            }

            /// Elements of what a layer has of its own.
            #[inline(always)]
            fn layer_len<S: Shape>($s: S) -> usize {
                0 $(+ round_up($llen, TILE))*
            }

            /// Elements of a block's workspace.
            #[inline(always)]
            pub fn len<S: Shape>($s: S) -> usize {
                0 $(+ round_up($len, TILE))* + $s.n_layer() * Self::layer_len($s)
            }
        }
    };
}

#[inline(always)]
fn tokens<S: Shape>(s: S) -> usize {
    s.block_size_padded()
}

buffers! {
    |s|
    shared {
    /// `[T, C]`: the embedding after its norm, the input of layer 0.
    x_embed: tokens(s) * s.n_embd_padded(),
    /// `[T]`: 1 / rms of the embedding.
    r_embed: tokens(s),
    /// `[T, C]`: the residual stream.
    x: tokens(s) * s.n_embd_padded(),
    /// `[T, V]`: logits, then their exponentials, then the loss's gradient by the logits.
    logits: tokens(s) * s.vocab_padded(),
    /// `[T]`: the sum of the exponentials.
    sum_exp: tokens(s),
    /// `[T]`: the largest logit minus the target's.
    gap: tokens(s),
    /// `[T, C]`: the gradient by the sum of the embeddings.
    dx_embed: tokens(s) * s.n_embd_padded(),
    /// `[T, A]`: the gradient by the attention's output.
    dattn: tokens(s) * s.n_attn_padded(),
    /// The gradient by the attention's scores, laid out like `probs`.
    dscores: attention::probs_len(s),
    }
    layer {
    /// `[T, C]`: the input of attention, after its norm.
    xn_attn: tokens(s) * s.n_embd_padded(),
    /// `[T]`: 1 / rms before attention.
    r_attn: tokens(s),
    /// `[T, A]`: queries over `sqrt(D)`.
    q: tokens(s) * s.n_attn_padded(),
    /// `[T, A]`: keys.
    k: tokens(s) * s.n_attn_padded(),
    /// `[T, A]`: values.
    v: tokens(s) * s.n_attn_padded(),
    /// The attention's probabilities, see [`attention::probs_row`].
    probs: attention::probs_len(s),
    /// `[T, A]`: the attention's output.
    attn: tokens(s) * s.n_attn_padded(),
    /// `[T, C]`: the input of the MLP, after its norm.
    xn_mlp: tokens(s) * s.n_embd_padded(),
    /// `[T]`: 1 / rms before the MLP.
    r_mlp: tokens(s),
    /// `[T, 4C]`: `relu(fc1 xn)`.
    h: tokens(s) * s.n_hidden_padded(),
    /// `[T, 4C]`: its square.
    h2: tokens(s) * s.n_hidden_padded(),
    /// `[T, 4C]`: the gradient by `fc1 xn`.
    dh: tokens(s) * s.n_hidden_padded(),
    /// `[T, A]`: the gradient by the unscaled queries.
    dq: tokens(s) * s.n_attn_padded(),
    /// `[T, A]`: the gradient by the keys.
    dk: tokens(s) * s.n_attn_padded(),
    /// `[T, A]`: the gradient by the values.
    dv: tokens(s) * s.n_attn_padded(),
    /// `[T, C]`: the gradient by the residual stream between attention and MLP.
    dx_mid: tokens(s) * s.n_embd_padded(),
    /// `[T, C]`: the gradient by the layer's output.
    dx_out: tokens(s) * s.n_embd_padded(),
    }
}

impl Activations {
    /// `q`, `k`, `v` (`which` 0, 1, 2). By arithmetic: on a GPU an array that is indexed lies in local memory.
    #[inline(always)]
    pub fn qkv(&self, which: usize) -> usize {
        self.q + which * (self.k - self.q)
    }

    /// `dq`, `dk`, `dv` (`which` 0, 1, 2).
    #[inline(always)]
    pub fn dqkv(&self, which: usize) -> usize {
        self.dq + which * (self.dk - self.dq)
    }
}
