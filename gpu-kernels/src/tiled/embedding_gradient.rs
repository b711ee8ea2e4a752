//! The gradients of the two embeddings, sums over the rows of a token or a position.
//!
//! Rows of a shard are added in order, and shards as the binary tree that [`sum`](super::sum) states for segments.
//! Shards without a row are left out of the tree. So a sum over no row is -0, which changes nothing that it is added to.

use simt::{F32x16, F32x32, HALF_WARP, U32View, View, Warp, half_warps};

use super::rows::Rows;
use crate::layout::Place;
use crate::ops::clip;

/// The number of levels of the tree over the shards.
const LEVELS: usize = crate::train::batch::MAX_SHARDS.ilog2() as usize;

/// The number of elements in a warp's stack of partial sums.
pub const STACK_LEN: usize = LEVELS * HALF_WARP;

/// A sum over rows in ascending order, as a tree over their shards. Each half-warp keeps its partial sums in the same
/// stack, which holds no more than one partial sum a level.
struct TreeSum {
    stack: View,
    /// The levels that have a partial sum, as bits.
    levels: usize,
    /// The shard of the last row, if there was a row.
    shard: Option<usize>,
    /// The sum of the rows since the last partial sum.
    sum: F32x16,
}

impl TreeSum {
    #[inline(always)]
    fn new(stack: View) -> Self {
        Self { stack, levels: 0, shard: None, sum: F32x16::splat(-0.0) }
    }

    /// Adds a row of this shard.
    #[inline(always)]
    fn add(&mut self, warp: &Warp, shard: usize, x: F32x16) {
        match self.shard {
            None => self.sum = x,
            Some(last) if last == shard => self.sum = self.sum + x,
            Some(last) => {
                // The highest bit in which the shards differ is the level at which the tree joins them. All below is
                // complete.
                let level = (u32::BITS - 1 - ((last ^ shard) as u32).leading_zeros()) as usize;
                self.join(level);
                // Both half-warps have read the level's last partial sum before either replaces it.
                warp.sync();
                self.stack.store(level * HALF_WARP, self.sum);
                self.levels |= 1 << level;
                self.sum = x;
            }
        }
        self.shard = Some(shard);
    }

    /// Adds the partial sums of the levels below `end`.
    #[inline(always)]
    fn join(&mut self, end: usize) {
        for level in 0..end {
            if self.levels >> level & 1 == 1 {
                self.sum = self.stack.load(level * HALF_WARP) + self.sum;
                self.levels &= !(1 << level);
            }
        }
    }

    #[inline(always)]
    fn total(mut self) -> F32x16 {
        self.join(LEVELS);
        self.sum
    }
}

/// The gradients of the embeddings.
#[derive(Clone, Copy)]
pub struct EmbeddingGradient {
    /// `[R, C]`: the gradient of the sum of the embeddings.
    pub dx: View,
    /// The flat array of gradients.
    pub grads: View,
    /// The factor of the gradients.
    pub scale: f32,
    /// The warp's stack, [`STACK_LEN`] elements.
    pub stack: View,
    /// `[V, C]`: the sums over the rows of each token, if they are kept apart from the `lm_head`'s part.
    pub apart: Option<View>,
}

impl EmbeddingGradient {
    /// Adds the embedding's part to sixteen rows of the gradient of `wte`, which hold the `lm_head`'s part, and sums up
    /// the squares. `index` is the index of the sixteen rows, and `squares` are those of `wte`'s blocks.
    #[inline(always)]
    pub fn tokens(&self, warp: &Warp, rows: &Rows<U32View>, wte: Place, vocab: usize, index: usize, squares: View) {
        let (c, first) = (wte.cols, index * HALF_WARP);
        for col in warp.block_stride(c / HALF_WARP) {
            for token in first..vocab.min(first + HALF_WARP) {
                let mut sum = TreeSum::new(self.stack);
                let (begin, end) = (rows.token_bounds.load_uniform(token), rows.token_bounds.load_uniform(token + 1));
                for i in begin..end {
                    let row = rows.by_token.load_uniform(i);
                    sum.add(warp, rows.shards.load_uniform(row), self.dx.load(row * c + col * HALF_WARP));
                }
                let at = wte.offset + token * c + col * HALF_WARP;
                if let Some(apart) = self.apart {
                    apart.store(at - wte.offset, sum.total());
                    continue;
                }
                let gradient = sum.total().mul_add(F32x16::splat(self.scale), self.grads.load(at));
                // Both half-warps have read the gradient before either replaces it.
                warp.sync();
                self.grads.store(at, gradient);
            }
            // A block is read by other lanes than those that wrote it.
            warp.sync();
            let i = index * (c / HALF_WARP) + col;
            let block = wte.block(HALF_WARP, i).load::<{ HALF_WARP / 2 }>(self.grads);
            squares.store(i * HALF_WARP, clip::squares(block));
        }
    }

    /// Computes a pair of rows of the gradient of `wpe`, and sums up the squares. `documents` is the number of documents.
    #[inline(always)]
    pub fn positions(
        &self,
        warp: &Warp,
        rows: &Rows<U32View>,
        wpe: Place,
        documents: usize,
        pair: usize,
        squares: View,
    ) {
        let c = wpe.cols;
        for i in half_warps(c) {
            let place = wpe.block(2, pair * (c / HALF_WARP) + i / HALF_WARP);
            for t in 2 * pair..2 * pair + 2 {
                let mut sum = TreeSum::new(self.stack);
                for document in 0..documents {
                    let (begin, end) = (rows.bounds.load_uniform(document), rows.bounds.load_uniform(document + 1));
                    if begin + t < end {
                        let row = begin + t;
                        sum.add(warp, rows.shards.load_uniform(row), self.dx.load(row * c + i));
                    }
                }
                let at = wpe.offset + t * c + i;
                self.grads.store(at, sum.total() * F32x16::splat(self.scale));
            }
            warp.sync();
            let block: [F32x32; 1] = place.load(self.grads);
            squares.store((pair * (c / HALF_WARP) + i / HALF_WARP) * HALF_WARP, clip::squares(block));
        }
    }
}
