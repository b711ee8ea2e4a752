//! The ops of a step that are no products, item by item.

use simt::{AS_ON_GPU, Block, HALF_WARP, Target, View, Warp, div, inline, rem};

use super::attention_backward::AttentionGradients;
use super::attention_forward::{self, Attention, Head};
use super::embedding_gradient::{EmbeddingGradient, STACK_LEN};
use super::ends;
use super::items::even_part;
use super::phases::Op;
use super::squares::{Squares, squares_len};
use super::views::Step;
use crate::layout::Layout;
use crate::ops::attention::query_scale;
use crate::ops::rmsnorm::{self, RmsNorm, RmsNormBackward};
use crate::ops::{Tokens, clip};
use crate::shape::{Shape, TOKEN_GROUP, TOKENS};

/// The number of rows of an item of an op that computes row by row.
pub(super) const ITEM_ROWS: usize = 64;

// A group of rows may reach past the last row, which the padding of the buffers covers.
const _: () = assert!(TOKEN_GROUP <= HALF_WARP);

impl Step {
    /// Returns the first row of an item of an op that computes row by row, and the number of rows. A GPU has
    /// [`ITEM_ROWS`] rows an item. The items of a CPU differ by [`TOKENS`] rows at most, and some of few rows are empty.
    #[inline(always)]
    pub fn item_rows<T: Target>(&self, block: &Block<T>, index: usize) -> (usize, usize) {
        if AS_ON_GPU {
            let first = index * ITEM_ROWS;
            (first, ITEM_ROWS.min(self.rows_len() - first))
        } else {
            let rows = even_part(self.rows_len(), block.count, TOKENS, index);
            (rows.start, rows.len())
        }
    }

    /// Computes an op of the rows of an item, a group of rows in a warp.
    #[inline(always)]
    pub fn each_group<T: Target>(self, block: &Block<T>, op: Op, index: usize) {
        let (first, count) = self.item_rows(block, index);
        block.each_warp(inline!(move |warp| {
            for group in warp.block_stride_groups(TOKENS, count) {
                self.group(warp, op, Tokens { first: first + group, end: self.rows_len() });
            }
        }));
    }

    #[inline(always)]
    fn group(&self, warp: &Warp, op: Op, tokens: Tokens) {
        let (s, a) = (self.s, &self.a);
        match op {
            Op::Embed => {
                let tensors = Layout(s).model();
                let tables = [tensors.wte, tensors.wpe].map(|tensor| self.arrays.w.at(tensor.offset));
                ends::embed(warp, s, tables, &self.rows, a, [tokens.first, tokens.end]);
            }
            Op::AttnNorm => {
                rmsnorm::forward(warp, s, &RmsNorm { x: a.x, y: a.xn_attn, rstd: a.rstd_attn }, tokens);
            }
            Op::MlpNorm => rmsnorm::forward(warp, s, &RmsNorm { x: a.x, y: a.xn_mlp, rstd: a.rstd_mlp }, tokens),
            Op::MlpNormBackward => {
                let norm = RmsNormBackward { y: a.xn_mlp, rstd: a.rstd_mlp, dx_skip: Some(a.dx), dx: a.dx_mid };
                rmsnorm::backward(warp, s, &norm, tokens);
            }
            _ => {
                let norm = RmsNormBackward { y: a.xn_attn, rstd: a.rstd_attn, dx_skip: Some(a.dx_mid), dx: a.dx };
                rmsnorm::backward(warp, s, &norm, tokens);
                if self.layer == 0 {
                    let norm = RmsNormBackward { y: a.x_embed, rstd: a.rstd_embed, dx_skip: None, dx: a.dx };
                    rmsnorm::backward(warp, s, &norm, tokens);
                }
            }
        }
    }

    /// Returns the attention of the layer.
    #[inline(always)]
    fn attention_args(&self) -> Attention {
        let (s, a) = (self.s, &self.a);
        Attention {
            qkv: a.qkv,
            attn: a.attn,
            max: a.attn_max,
            inverse_sum: a.attn_inverse_sum,
            rows: self.counts.padded(),
            width: s.n_attn_padded(),
            head_dim: s.head_dim_padded(),
        }
    }

    /// Returns the head with this index among the heads of all documents.
    #[inline(always)]
    fn head(&self, index: usize) -> Head {
        let document = div(index, self.s.n_head());
        let first_row = self.rows.bounds.load_uniform(document);
        let n = self.rows.bounds.load_uniform(document + 1) - first_row;
        Head { index: rem(index, self.s.n_head()), first_row, n }
    }

    #[inline(always)]
    pub fn attention<T: Target>(self, block: &Block<T>, index: usize, scratch: View) {
        let heads = self.s.n_head() * self.counts.documents as usize;
        let blocks = attention_forward::blocks(self.counts.longest as usize);
        // The last block of queries has the most work, and comes first. A CPU computes all blocks of a head before the next
        // head, whose keys and values stay in the L2 cache.
        let (head, i) =
            if AS_ON_GPU { (rem(index, heads), div(index, heads)) } else { (div(index, blocks), rem(index, blocks)) };
        let (head, i) = (self.head(head), blocks - 1 - i);
        if i < attention_forward::blocks(head.n) {
            self.attention_args().forward(block, head, i, scratch);
        }
    }

    #[inline(always)]
    pub fn attention_backward<T: Target>(self, block: &Block<T>, index: usize, scratch: View) {
        let to = AttentionGradients { dattn: self.a.dattn, dqkv: self.a.dqkv, query_scale: query_scale(self.s) };
        self.attention_args().backward(block, to, self.head(index), scratch);
    }

    /// Computes the loss of a document.
    #[inline(always)]
    pub fn losses<T: Target>(self, block: &Block<T>, document: usize, losses: View) {
        block.each_warp(inline!(move |warp| {
            if warp.index == 0 {
                let first = self.rows.bounds.load_uniform(document);
                let n = self.rows.bounds.load_uniform(document + 1) - first;
                let nll = ends::nll(&self.a, first, n);
                losses.store_scalar(document, if self.trains { nll / n as f32 } else { nll });
            }
        }));
    }

    /// Computes sixteen rows of the gradient of `wte`, or a pair of rows of that of `wpe`.
    #[inline(always)]
    pub fn embed_backward<T: Target>(self, block: &Block<T>, index: usize, scratch: View) {
        let (s, tensors, squares) = (self.s, Layout(self.s).model(), self.squares);
        block.each_warp(inline!(move |warp| {
            let gradient = EmbeddingGradient {
                dx: self.a.dx,
                grads: self.arrays.grads,
                scale: self.scale(),
                stack: scratch.at(warp.index * STACK_LEN),
                apart: self.is_part.then(|| self.arrays.grads.at(Layout(s).len())),
            };
            let tokens = tensors.wte.rows / HALF_WARP;
            if index < tokens {
                gradient.tokens(warp, &self.rows, tensors.wte, s.vocab(), index, squares);
            } else if warp.index == 0 {
                let squares = squares.at(Squares::new(s).wpe);
                gradient.positions(
                    warp,
                    &self.rows,
                    tensors.wpe,
                    self.counts.documents as usize,
                    index - tokens,
                    squares,
                );
            }
        }));
    }

    /// Computes the gradient's norm and the mean loss.
    #[inline(always)]
    pub fn norm<T: Target>(self, block: &Block<T>, losses: View, log: View) {
        let documents = self.counts.documents as usize;
        block.each_warp(inline!(move |warp| {
            if warp.index == 0 {
                log.store_scalar(0, losses.sum(documents) / documents as f32);
                log.store_scalar(1, clip::norm(self.squares, squares_len(self.s)));
            }
        }));
    }
}
