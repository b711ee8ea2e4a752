//! Where the activations of one document lie while it is trained on or evaluated.

use crate::shape::{Shape, TILE, round_up};
use crate::stages::attention;

/// Names every buffer once: a struct of offsets in elements, and their total.
macro_rules! buffers {
    (|$s:ident| $($(#[$doc:meta])* $name:ident: $len:expr,)*) => {
        /// Offsets of the activations in a block's workspace, in elements.
        ///
        /// Rows are tokens `[T, ..]`, T padded to whole token groups. What a layer has of its own repeats every
        /// `layer` elements.
        #[derive(Clone, Copy)]
        pub struct Activations {
            $($(#[$doc])* pub $name: usize,)*
        }

        impl Activations {
            #[inline(always)]
            fn sequence<S: Shape>($s: S) -> (Self, usize) {
                let mut next = 0;
                $(let $name = next; next += round_up($len, TILE);)*
                (Self { $($name,)* }, next)
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
    /// `[T, C]`, layer: the input of attention, after its norm.
    xn_attn: tokens(s) * s.n_embd_padded(),
    /// `[T]`, layer: 1 / rms before attention.
    r_attn: tokens(s),
    /// `[T, A]`, layer: queries over `sqrt(D)`.
    q: tokens(s) * s.n_attn_padded(),
    /// `[T, A]`, layer: keys.
    k: tokens(s) * s.n_attn_padded(),
    /// `[T, A]`, layer: values.
    v: tokens(s) * s.n_attn_padded(),
    /// Layer: the attention's probabilities, see [`attention::probs_row`].
    probs: attention::probs_len(s),
    /// `[T, A]`, layer: the attention's output.
    attn: tokens(s) * s.n_attn_padded(),
    /// `[T, C]`, layer: the input of the MLP, after its norm.
    xn_mlp: tokens(s) * s.n_embd_padded(),
    /// `[T]`, layer: 1 / rms before the MLP.
    r_mlp: tokens(s),
    /// `[T, 4C]`, layer: `relu(fc1 xn)`.
    h: tokens(s) * s.n_hidden_padded(),
    /// `[T, 4C]`, layer: its square.
    h2: tokens(s) * s.n_hidden_padded(),
    /// `[T, 4C]`, layer: the gradient by `fc1 xn`.
    dh: tokens(s) * s.n_hidden_padded(),
    /// `[T, A]`, layer: the gradient by the unscaled queries.
    dq: tokens(s) * s.n_attn_padded(),
    /// `[T, A]`, layer: the gradient by the keys.
    dk: tokens(s) * s.n_attn_padded(),
    /// `[T, A]`, layer: the gradient by the values.
    dv: tokens(s) * s.n_attn_padded(),
    /// `[T, C]`, layer: the gradient by the residual stream between attention and MLP.
    dx_mid: tokens(s) * s.n_embd_padded(),
    /// `[T, C]`, layer: the gradient by the layer's output.
    dx_out: tokens(s) * s.n_embd_padded(),
}

impl Activations {
    /// The buffers of layer `l`; those that layers share are the same for every `l`.
    #[inline(always)]
    pub fn of<S: Shape>(s: S, l: usize) -> Self {
        let (mut a, end) = Self::sequence(s);
        let skip = l * (end - a.xn_attn);
        for offset in [
            &mut a.xn_attn,
            &mut a.r_attn,
            &mut a.q,
            &mut a.k,
            &mut a.v,
            &mut a.probs,
            &mut a.attn,
            &mut a.xn_mlp,
            &mut a.r_mlp,
            &mut a.h,
            &mut a.h2,
            &mut a.dh,
            &mut a.dq,
            &mut a.dk,
            &mut a.dv,
            &mut a.dx_mid,
            &mut a.dx_out,
        ] {
            *offset += skip;
        }
        a
    }

    /// Elements of a block's workspace.
    #[inline(always)]
    pub fn len<S: Shape>(s: S) -> usize {
        let (a, end) = Self::sequence(s);
        a.xn_attn + s.n_layer() * (end - a.xn_attn)
    }
}
