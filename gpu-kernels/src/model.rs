//! The model's forward and backward pass over one document, as a table of contents of the ops.

use simt::{Block, Columns, F32x16, RaggedView, Target, View, Warp, inline};

use crate::activations::{Activations, Pass, one_of_three};
use crate::layout::{LayerTensors, Layout, Place};
use crate::ops::cross_entropy::HeldLogits;
use crate::ops::embed::{self, Embed};
use crate::ops::held_attention::HeldAttention;
use crate::ops::linear::{self, Linear};
use crate::ops::rmsnorm::{self, RmsNorm, RmsNormBackward};
use crate::ops::rows::Rows;
use crate::ops::{Tokens, attention, cross_entropy, mlp};
use crate::shape::Shape;

/// The model's parameters in both orientations.
#[derive(Clone, Copy)]
pub struct Gpt<S> {
    /// The dimensions.
    pub s: S,
    /// The parameters, `[out, in]`.
    pub w: View,
    /// The transposed matrices, `[in, out]`.
    pub transposed: View,
    /// The memory for packed columns, see [`Linear::packed`].
    pub packed: Option<View>,
}

/// The tokens of a launch's documents.
#[derive(Clone, Copy)]
pub(crate) struct Documents(pub RaggedView);

impl Documents {
    /// Returns document `i` with a block's workspace.
    pub fn pass<S: Shape>(self, s: S, i: usize, work: View) -> Pass {
        let (document, len) = self.0.list(i);
        Pass { document, n: s.block_size().min(len - 1), work }
    }
}

impl<S: Shape> Gpt<S> {
    /// Copies a model to the block's memory, and returns the copy with the block's workspace.
    ///
    /// # Safety
    /// `params` and `transposed` are valid for [`Layout::len`] elements, and `workspace` for `size` elements a block.
    #[inline(always)]
    pub unsafe fn stage<T: Target>(
        block: &Block<T>,
        s: S,
        params: *mut f32,
        transposed: *mut f32,
        workspace: *mut f32,
        size: usize,
    ) -> (Self, View) {
        let (mut memory, len) = (block.memory(), Layout(s).len());
        // SAFETY: the caller vouches for pointers and lengths.
        let (w, transposed, work) = unsafe {
            let workspace = workspace.wrapping_add(block.index * size);
            (memory.staged(params, len), memory.staged(transposed, len), memory.workspace(workspace, size))
        };
        block.each_warp(inline!(move |warp| {
            warp.fetch(&w);
            warp.fetch(&transposed);
            warp.fetch(&work);
        }));
        (Self { s, w: w.view, transposed: transposed.view, packed: None }, work.view.even_first())
    }

    /// Returns the model, the activations and the tensors of layer `l` for one op. Their places are computed where the op uses
    /// them, see [`Shape::rematerialize`].
    #[inline(always)]
    fn op(&self, pass: &Pass, l: usize) -> (Self, Activations, LayerTensors) {
        let (model, l) = (Self { s: self.s.rematerialize(), ..*self }, self.s.rematerialize_index(l));
        (model, pass.activations(model.s, l), Layout(model.s).layer(l))
    }

    /// Returns the product of `x` with a matrix as the forward pass computes it, contracted over the matrix's inputs.
    pub fn linear(&self, x: View, matrix: Place) -> Linear {
        let (w, packed) = (self.transposed.at(matrix.offset), self.packed);
        Linear { x, w, rows: matrix.cols, cols: matrix.rows, packed }
    }

    /// Returns the product of `dy` with a matrix as the backward pass computes it, contracted over the matrix's outputs.
    fn linear_backward(&self, dy: View, matrix: Place) -> Linear {
        Linear { x: dy, w: self.w.at(matrix.offset), rows: matrix.rows, cols: matrix.cols, packed: None }
    }

    /// Runs the forward pass, with each group of tokens in one warp. Barriers precede attention to other tokens' keys.
    ///
    /// `beside` runs in each warp before layer 0's attention, where it is hidden beside the longest region. `after` runs last
    /// for each group of tokens, when the group's loss is known.
    #[inline(always)]
    pub fn forward<T: Target, const N: usize>(
        self,
        block: &Block<T>,
        pass: Pass,
        beside: impl Fn(&Warp) + Copy,
        after: impl Fn(&Warp, Tokens<N>, &HeldLogits<N>) + Copy,
    ) {
        let layers = self.s.n_layer();
        block.each_warp(inline!(move |warp| {
            for tokens in pass.tokens::<S, N>(self.s, warp) {
                let x = self.embed(warp, &pass, tokens);
                self.before_attention(warp, &pass, 0, tokens, &x);
            }
        }));
        for l in 0..layers {
            block.each_warp(inline!(move |warp| {
                if l == 0 {
                    beside(warp);
                }
                for tokens in pass.tokens::<S, N>(self.s, warp) {
                    let x = self.after_attention(warp, &pass, l, tokens);
                    if l + 1 < layers {
                        self.before_attention(warp, &pass, l + 1, tokens, &x);
                    } else {
                        let logits = self.lm_head(warp, &pass, tokens);
                        after(warp, tokens, &logits);
                    }
                }
            }));
        }
    }

    /// Runs the backward pass after the gradients of the last layer's scores ([`Self::backward_to_scores`]).
    ///
    /// A barrier precedes the keys' gradients, because they need the gradients of other tokens' scores. Another barrier
    /// precedes the next layer's scores, because their gradients replace those of this layer. `beside` runs first in each warp
    /// of layer 0.
    #[inline(always)]
    pub fn backward<T: Target, const N: usize>(self, block: &Block<T>, pass: Pass, beside: impl Fn(&Warp) + Copy) {
        for l in (0..self.s.n_layer()).rev() {
            block.each_warp(inline!(move |warp| {
                if l == 0 {
                    beside(warp);
                }
                for tokens in pass.tokens::<S, N>(self.s, warp) {
                    self.backward_from_scores(warp, &pass, l, tokens);
                }
            }));
            if l > 0 {
                block.each_warp(inline!(move |warp| {
                    for tokens in pass.tokens::<S, N>(self.s, warp) {
                        self.backward_to_scores(warp, &pass, l - 1, tokens);
                    }
                }));
            }
        }
    }

    /// Embeds the document's tokens, the input of layer 0.
    #[inline(always)]
    fn embed<const N: usize>(&self, warp: &Warp, pass: &Pass, tokens: Tokens<N>) -> Rows<N> {
        let (Self { s, .. }, a, _) = self.op(pass, 0);
        let t0 = tokens.first;
        // Rows from the document's end on repeat its last token, so that every load is within the document.
        let positions: [usize; N] = core::array::from_fn(|t| (t0 + t).min(tokens.end - 1));
        let ids = positions.map(|t| pass.document.load_scalar(t));
        let (mut x, c) = (Rows::new(s, a.x, tokens), s.n_embd_padded());
        embed::rows(s, &self.embedding(ids, positions), a.rstd_embed, tokens, |t, i, row| {
            a.x_embed.store((t0 + t) * c + i, row);
            x.set(t, i, Columns::Half(row));
        });
        x.write();
        x.sync(warp);
        x
    }

    /// Returns the inputs of the embedding of these tokens.
    pub fn embedding<const N: usize>(&self, tokens: [usize; N], positions: [usize; N]) -> Embed<N> {
        let tensors = Layout(self.s).model();
        Embed { wte: self.w.at(tensors.wte.offset), wpe: self.w.at(tensors.wpe.offset), tokens, positions }
    }

    /// Computes layer `l` up to queries, keys and values. Its input is `x`.
    #[inline(always)]
    fn before_attention<const N: usize>(&self, warp: &Warp, pass: &Pass, l: usize, tokens: Tokens<N>, x: &Rows<N>) {
        let (_, a, _) = self.op(pass, l);
        self.normalize(x, &RmsNorm { x: a.x, y: a.xn_attn, rstd: a.rstd_attn }, tokens);
        warp.sync();
        let (model, a, _) = self.op(pass, l);
        let (width, qkv) = (model.s.n_attn_padded(), |which| one_of_three(model.s, a.q, which));
        model.qkv(warp, l, a.xn_attn, tokens, inline!(|which, t, i, y| y.store(qkv(which), t * width + i)));
    }

    /// Hands `wq xn / sqrt(D)`, `wk xn`, `wv xn` of the normalised input to `store(which, token, channel, value)`, `which` 0, 1, 2.
    /// The caller synchronises the warp.
    #[inline(always)]
    pub fn qkv<const N: usize>(
        &self,
        warp: &Warp,
        l: usize,
        xn: View,
        tokens: Tokens<N>,
        store: impl Fn(usize, usize, usize, Columns),
    ) {
        for which in 0..3 {
            let product = self.linear(xn, Layout(self.s).layer(l).attn_qkv(which));
            let scale = F32x16::splat(if which == 0 { attention::query_scale(self.s) } else { 1.0 });
            let scaled = |y: Columns| y.map(|y| y * scale);
            linear::forward_sum(warp, self.s, 1, |_| product, tokens, inline!(|t, i, y| store(which, t, i, scaled(y))));
        }
    }

    /// Computes the norm of the rows `x`, which are those of [`RmsNorm::x`]. The caller synchronises the warp.
    #[inline(always)]
    fn normalize<const N: usize>(&self, x: &Rows<N>, norm: &RmsNorm, tokens: Tokens<N>) {
        let s = self.s.rematerialize();
        let (t0, c) = (tokens.first, s.n_embd_padded());
        let store = |t: usize, i: usize, y| norm.y.store((t0 + t) * c + i, y);
        rmsnorm::normalize(s, |t, i| x.load(t, i), norm.rstd, tokens, store);
    }

    /// Computes layer `l` from attention on, and returns its output.
    #[inline(always)]
    fn after_attention<const N: usize>(&self, warp: &Warp, pass: &Pass, l: usize, tokens: Tokens<N>) -> Rows<N> {
        let (Self { s, .. }, a, _) = self.op(pass, l);
        let mut x = Rows::loaded(s, a.x, tokens);
        if HeldAttention::<N>::is_held(s) {
            HeldAttention::new(tokens).forward(warp, s, &a);
        } else {
            attention::forward(warp, s, &a, tokens);
        }
        let (model, a, tensors) = self.op(pass, l);
        linear::add_to(warp, model.s, &model.linear(a.attn, tensors.attn_wo), tokens, &mut x);
        self.mlp(warp, pass, l, &mut x);
        x
    }

    /// Adds the MLP of the normalised residual stream to the rows of the residual stream.
    #[inline(always)]
    fn mlp<const N: usize>(&self, warp: &Warp, pass: &Pass, l: usize, x: &mut Rows<N>) {
        let (_, a, _) = self.op(pass, l);
        self.normalize(x, &RmsNorm { x: a.x, y: a.xn_mlp, rstd: a.rstd_mlp }, x.tokens);
        warp.sync();
        let (model, a, tensors) = self.op(pass, l);
        model.hidden(warp, &model.linear(a.xn_mlp, tensors.mlp_fc1), x.tokens, Some(a.h), a.h2);
        let (model, a, tensors) = self.op(pass, l);
        linear::add_to(warp, model.s, &model.linear(a.h2, tensors.mlp_fc2), x.tokens, x);
        x.write();
        warp.sync();
    }

    /// Computes `h = relu(fc1 xn)`, if there is a place for it, and its square `h2`.
    #[inline(always)]
    pub fn hidden<const N: usize>(&self, warp: &Warp, fc1: &Linear, tokens: Tokens<N>, h: Option<View>, h2: View) {
        let s = self.s;
        linear::forward(
            warp,
            s,
            fc1,
            tokens,
            inline!(|t, i, u| {
                let (at, value) = (t * s.n_hidden_padded() + i, u.map(mlp::forward));
                if let Some(h) = h {
                    value.store(h, at);
                }
                value.map(|h| h * h).store(h2, at);
            }),
        );
    }

    /// Computes `logits = wte x` and their cross-entropy. Returns the logits' exponentials, if registers hold them.
    #[inline(always)]
    fn lm_head<const N: usize>(&self, warp: &Warp, pass: &Pass, tokens: Tokens<N>) -> HeldLogits<N> {
        let (model, a, _) = self.op(pass, 0);
        let (s, mut held) = (model.s, HeldLogits::unset());
        let wte = model.linear(a.x, Layout(s).model().wte);
        if HeldLogits::<N>::are_held(s) {
            linear::forward_sum(warp, s, 1, |_| wte, tokens, inline!(|t, _, y| held.set(t - tokens.first, y)));
            held.forward(s, pass, tokens);
        } else {
            linear::forward_into(warp, s, &wte, tokens, a.logits);
            cross_entropy::forward(warp, self.s, pass, tokens);
        }
        held
    }

    /// Computes the gradients of the logits and of the last layer's output.
    #[inline(always)]
    pub fn lm_head_backward<const N: usize>(&self, warp: &Warp, pass: &Pass, tokens: Tokens<N>, held: &HeldLogits<N>) {
        let s = self.s;
        if HeldLogits::<N>::are_held(s) {
            held.backward(warp, s, pass, tokens);
        } else {
            cross_entropy::backward(warp, s, pass, tokens);
        }
        let (model, a, _) = self.op(pass, s.rematerialize().n_layer() - 1);
        let wte = Layout(model.s).model().wte;
        linear::forward_into(warp, model.s, &model.linear_backward(a.logits, wte), tokens, a.dx_out);
    }

    /// Computes layer `l` backward, from its output to the gradients of scores and queries.
    #[inline(always)]
    pub fn backward_to_scores<const N: usize>(&self, warp: &Warp, pass: &Pass, l: usize, tokens: Tokens<N>) {
        let (model, a, tensors) = self.op(pass, l);
        let (s, fc2, c) = (model.s, model.linear_backward(a.dx_out, tensors.mlp_fc2), model.s.n_hidden_padded());
        linear::forward(warp, s, &fc2, tokens, inline!(|t, i, dh2| dh2.map_into(a.h, a.dh, t * c + i, mlp::backward)));
        let (model, a, tensors) = self.op(pass, l);
        let (fc1, mut dx) = (model.linear_backward(a.dh, tensors.mlp_fc1), Rows::new(model.s, a.dx_mid, tokens));
        linear::forward_sum(warp, model.s, 1, |_| fc1, tokens, inline!(|t, i, y| dx.set(t - tokens.first, i, y)));
        dx.sync(warp);
        let (Self { s, .. }, a, _) = self.op(pass, l);
        let norm = RmsNormBackward { y: a.xn_mlp, rstd: a.rstd_mlp, dx_skip: Some(a.dx_out), dx: a.dx_mid };
        rmsnorm::backward_rows(warp, s, &norm, tokens, &mut dx);
        dx.write();
        warp.sync();
        let (model, a, tensors) = self.op(pass, l);
        let (s, wo) = (model.s, model.linear_backward(a.dx_mid, tensors.attn_wo));
        if HeldAttention::<N>::is_held(s) {
            let mut held = HeldAttention::new(tokens);
            linear::forward_sum(warp, s, 1, |_| wo, tokens, inline!(|t, _, y| held.set_dattn(&a, t - tokens.first, y)));
            held.backward_queries(s, &a);
        } else {
            linear::forward_into(warp, s, &wo, tokens, a.dattn);
            let (Self { s, .. }, a, _) = self.op(pass, l);
            attention::backward_queries(warp, s, &a, tokens);
        }
    }

    /// Computes layer `l` backward, from the gradients of the scores to the layer's input.
    #[inline(always)]
    fn backward_from_scores<const N: usize>(&self, warp: &Warp, pass: &Pass, l: usize, tokens: Tokens<N>) {
        let (Self { s, .. }, a, _) = self.op(pass, l);
        if HeldAttention::<N>::is_held(s) {
            HeldAttention::backward_keys(warp, &a, tokens);
        } else {
            attention::backward_keys(warp, s, &a, tokens);
        }
        let (model, a, tensors) = self.op(pass, l);
        let s = model.s;
        let view = if l == 0 { a.dx_embed } else { pass.activations(s, l - 1).dx_out };
        let term = |which| model.linear_backward(one_of_three(s, a.dq, which), tensors.attn_qkv(which));
        let mut dx = Rows::new(s, view, tokens);
        linear::forward_sum(warp, s, 3, term, tokens, inline!(|t, i, y| dx.set(t - tokens.first, i, y)));
        dx.sync(warp);
        let (Self { s, .. }, a, _) = self.op(pass, l);
        let norm = RmsNormBackward { y: a.xn_attn, rstd: a.rstd_attn, dx_skip: Some(a.dx_mid), dx: view };
        rmsnorm::backward_rows(warp, s, &norm, tokens, &mut dx);
        if l == 0 {
            let norm = RmsNormBackward { y: a.x_embed, rstd: a.rstd_embed, dx_skip: None, dx: view };
            rmsnorm::backward_rows(warp, s, &norm, tokens, &mut dx);
        }
        // The block's barrier follows.
        dx.write();
    }
}
