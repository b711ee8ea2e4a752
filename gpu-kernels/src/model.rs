//! The model's forward and backward pass over one document, a table of contents of the stages.

use crate::activations::Activations;
use crate::layout::Layout;
use crate::shape::Shape;
use crate::simt::{F32x16, Ids, TOKENS, Tile, Warp};
use crate::stages::linear::{self, Matrix};
use crate::stages::{attention, cross_entropy, embed, mlp, rmsnorm, tiles};

/// The parameters in both orientations.
#[derive(Clone, Copy)]
pub struct Model<S> {
    /// The dimensions.
    pub s: S,
    /// Where each tensor lies.
    pub layout: Layout<S>,
    /// The parameters, `[out, in]`.
    pub w: Tile,
    /// The transposed matrices, `[in, out]`.
    pub transposed: Tile,
}

/// One document on its way through the model, and the block's workspace.
#[derive(Clone, Copy)]
pub struct Pass {
    /// The document's tokens, `[BOS, .., BOS]`.
    pub document: Ids,
    /// Positions that are trained: `min(T, tokens - 1)`.
    pub n: usize,
    /// The activations, see [`Activations`].
    pub work: Tile,
}

impl Pass {
    /// The tokens from `t0` on: the first, and how many there are.
    #[inline(always)]
    fn tokens(&self, t0: usize) -> (usize, usize) {
        (t0, self.n - t0)
    }
}

impl<S: Shape> Model<S> {
    /// `[out, in]` at `offset`, as the forward pass reads it: contracted over `in`.
    #[inline(always)]
    pub fn forward_matrix(&self, offset: usize, out: usize, input: usize) -> Matrix {
        Matrix { w: self.transposed.at(offset), rows: input, cols: out }
    }

    /// `[out, in]` at `offset`, as the backward pass reads it: contracted over `out`.
    #[inline(always)]
    pub fn backward_matrix(&self, offset: usize, out: usize, input: usize) -> Matrix {
        Matrix { w: self.w.at(offset), rows: out, cols: input }
    }

    /// `q = wq xn / sqrt(D)`, `k = wk xn`, `v = wv xn`: `xn: [.., C]`, the rows of `tokens` -> `[.., A]`, each handed to
    /// `store(which, token, channel, value)` tile by tile, `which` 0, 1, 2 for q, k, v.
    #[inline(always)]
    pub fn project_qkv(
        &self,
        warp: &Warp,
        l: usize,
        xn: Tile,
        tokens: (usize, usize),
        store: impl Fn(usize, usize, usize, F32x16),
    ) {
        let (a, c) = (self.s.n_attn_padded(), self.s.n_embd_padded());
        for which in 0..3 {
            let m = self.forward_matrix(self.layout.attn_qkv(l, which), a, c);
            let scale = if which == 0 { attention::query_scale(self.s) } else { 1.0 };
            for i in tiles(a) {
                linear::product(warp, self.s, xn, tokens, m, i, |t, y| store(which, t, i, y * F32x16::splat(scale)));
            }
        }
    }

    /// `x += m y` for the rows of `tokens`: `y: [T, rows]`, `x: [T, C]`.
    #[inline(always)]
    pub fn add_product(&self, warp: &Warp, y: Tile, m: Matrix, x: Tile, tokens: (usize, usize)) {
        for i in tiles(m.cols) {
            linear::product(warp, self.s, y, tokens, m, i, |t, y| {
                let sum = x.row(t * m.cols + i) + y;
                // Both half-warps have read the residual stream before either replaces it.
                warp.sync();
                x.set_row(t * m.cols + i, sum);
            });
        }
        warp.sync();
    }

    /// Embeds the tokens from `t0` on.
    #[inline(always)]
    pub fn embed(&self, warp: &Warp, p: &Pass, t0: usize) {
        let (s, a) = (self.s, Activations::of(self.s, 0));
        let (mut tokens, mut positions) = ([0; TOKENS], [0; TOKENS]);
        for t in 0..TOKENS {
            // Rows beyond the document repeat its last token.
            positions[t] = (t0 + t).min(p.n - 1);
            tokens[t] = p.document.get(positions[t]);
        }
        let embeddings = (self.w.at(self.layout.wte()), self.w.at(self.layout.wpe()));
        embed::forward(s, embeddings, (&tokens, &positions), (p.work.at(a.x_embed), p.work.at(a.r_embed)), t0);
        for i in tiles(s.n_embd_padded()) {
            for t in 0..TOKENS {
                let at = (t0 + t) * s.n_embd_padded() + i;
                p.work.set_row(a.x + at, p.work.row(a.x_embed + at));
            }
        }
        warp.sync();
    }

    /// Layer `l` up to queries, keys and values, which other tokens need.
    #[inline(always)]
    pub fn before_attention(&self, warp: &Warp, p: &Pass, l: usize, t0: usize) {
        let (s, a) = (self.s, Activations::of(self.s, l));
        rmsnorm::forward(s, p.work.at(a.x), (p.work.at(a.xn_attn), p.work.at(a.r_attn)), t0);
        warp.sync();
        let store = |which: usize, t: usize, i: usize, y| {
            p.work.set_row(a.qkv(which) + t * s.n_attn_padded() + i, y);
        };
        self.project_qkv(warp, l, p.work.at(a.xn_attn), p.tokens(t0), store);
    }

    /// Layer `l` from attention on.
    #[inline(always)]
    pub fn after_attention(&self, warp: &Warp, p: &Pass, l: usize, t0: usize) {
        let (s, a) = (self.s, Activations::of(self.s, l));
        let (c, f, at) = (s.n_embd_padded(), s.n_hidden_padded(), s.n_attn_padded());
        let (w, x) = (p.work, p.work.at(a.x));
        attention::forward(s, (w.at(a.q), w.at(a.k), w.at(a.v)), (w.at(a.probs), w.at(a.attn)), t0, p.n);
        warp.sync();
        self.add_product(warp, w.at(a.attn), self.forward_matrix(self.layout.attn_wo(l), c, at), x, p.tokens(t0));
        rmsnorm::forward(s, x, (w.at(a.xn_mlp), w.at(a.r_mlp)), t0);
        warp.sync();
        for i in tiles(f) {
            let fc1 = self.forward_matrix(self.layout.mlp_fc1(l), f, c);
            linear::product(warp, s, w.at(a.xn_mlp), p.tokens(t0), fc1, i, |t, u| {
                let (h, h2) = mlp::forward(u);
                w.set_row(a.h + t * f + i, h);
                w.set_row(a.h2 + t * f + i, h2);
            });
        }
        warp.sync();
        self.add_product(warp, w.at(a.h2), self.forward_matrix(self.layout.mlp_fc2(l), c, f), x, p.tokens(t0));
    }

    /// `logits = wte x`, and their cross-entropy.
    #[inline(always)]
    pub fn head(&self, warp: &Warp, p: &Pass, t0: usize) {
        let (s, a) = (self.s, Activations::of(self.s, 0));
        let (v, c) = (s.vocab_padded(), s.n_embd_padded());
        for i in tiles(v) {
            let wte = self.forward_matrix(self.layout.wte(), v, c);
            linear::product(warp, s, p.work.at(a.x), p.tokens(t0), wte, i, |t, y| {
                p.work.set_row(a.logits + t * v + i, y);
            });
        }
        warp.sync();
        let reduced = (p.work.at(a.sum_exp), p.work.at(a.gap));
        cross_entropy::forward(warp, s, p.work.at(a.logits), reduced, p.document, t0, p.n);
    }

    /// The loss's gradient by the logits, and from there by the last layer's output.
    #[inline(always)]
    pub fn head_backward(&self, warp: &Warp, p: &Pass, t0: usize) {
        let (s, a) = (self.s, Activations::of(self.s, self.s.n_layer() - 1));
        let (v, c) = (s.vocab_padded(), s.n_embd_padded());
        let (dlogits, sum_exp) = (p.work.at(a.logits), p.work.at(a.sum_exp));
        cross_entropy::backward(warp, s, dlogits, sum_exp, p.document, t0, p.n);
        for i in tiles(c) {
            let wte = self.backward_matrix(self.layout.wte(), v, c);
            linear::product(warp, s, dlogits, p.tokens(t0), wte, i, |t, dx| p.work.set_row(a.dx_out + t * c + i, dx));
        }
        warp.sync();
    }

    /// Layer `l` backward, from its output to the gradients of the scores, which other tokens need.
    #[inline(always)]
    pub fn backward_to_scores(&self, warp: &Warp, p: &Pass, l: usize, t0: usize) {
        let (s, a) = (self.s, Activations::of(self.s, l));
        let (c, f, at) = (s.n_embd_padded(), s.n_hidden_padded(), s.n_attn_padded());
        let w = p.work;
        for i in tiles(f) {
            let fc2 = self.backward_matrix(self.layout.mlp_fc2(l), c, f);
            linear::product(warp, s, w.at(a.dx_out), p.tokens(t0), fc2, i, |t, dh2| {
                w.set_row(a.dh + t * f + i, mlp::backward(dh2, w.row(a.h + t * f + i)));
            });
        }
        warp.sync();
        for i in tiles(c) {
            let fc1 = self.backward_matrix(self.layout.mlp_fc1(l), f, c);
            linear::product(warp, s, w.at(a.dh), p.tokens(t0), fc1, i, |t, dxn| w.set_row(a.dx_mid + t * c + i, dxn));
        }
        warp.sync();
        let norm = (w.at(a.xn_mlp), w.at(a.r_mlp));
        rmsnorm::backward(warp, s, norm, Some(w.at(a.dx_out)), w.at(a.dx_mid), t0);
        for i in tiles(at) {
            let wo = self.backward_matrix(self.layout.attn_wo(l), c, at);
            linear::product(warp, s, w.at(a.dx_mid), p.tokens(t0), wo, i, |t, y| w.set_row(a.dattn + t * at + i, y));
        }
        warp.sync();
        let forward = (w.at(a.k), w.at(a.v), w.at(a.probs));
        attention::backward_queries(s, w.at(a.dattn), forward, (w.at(a.dscores), w.at(a.dq)), t0, p.n);
    }

    /// Layer `l` backward, from the gradients of the scores to its input: the gradient by the output of the layer below,
    /// or by the embedding.
    #[inline(always)]
    pub fn backward_from_scores(&self, warp: &Warp, p: &Pass, l: usize, t0: usize) {
        let (s, a) = (self.s, Activations::of(self.s, l));
        let (c, at) = (s.n_embd_padded(), s.n_attn_padded());
        let w = p.work;
        let (queries, scores) = ((w.at(a.q), w.at(a.dattn)), (w.at(a.probs), w.at(a.dscores)));
        attention::backward_keys(s, queries, scores, (w.at(a.dk), w.at(a.dv)), t0, p.n);
        warp.sync();
        let dx = w.at(if l == 0 { a.dx_embed } else { Activations::of(s, l - 1).dx_out });
        for i in tiles(c) {
            linear::sum_of_products(
                warp,
                s,
                |which| (w.at(a.dqkv(which)), self.backward_matrix(self.layout.attn_qkv(l, which), at, c)),
                3,
                p.tokens(t0),
                i,
                |t, y| dx.set_row(t * c + i, y),
            );
        }
        warp.sync();
        rmsnorm::backward(warp, s, (w.at(a.xn_attn), w.at(a.r_attn)), Some(w.at(a.dx_mid)), dx, t0);
        if l == 0 {
            rmsnorm::backward(warp, s, (w.at(a.x_embed), w.at(a.r_embed)), None, dx, t0);
        }
    }
}
