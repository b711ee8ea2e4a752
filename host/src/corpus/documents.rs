//! Documents as tokens.

use std::sync::Arc;

/// The tokens of one document or more, which clones share.
///
/// Only this module's parent constructs this type, because kernels index by tokens and offsets unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documents {
    tokens: Arc<[u32]>,
    offsets: Arc<[u32]>,
}

impl Documents {
    /// Returns documents of two tokens or more, one after the other. Document `i` starts at `offsets[i]` and ends at
    /// `offsets[i + 1]`.
    pub(super) fn new(tokens: Vec<u32>, offsets: Vec<u32>) -> Self {
        Self { tokens: tokens.into(), offsets: offsets.into() }
    }

    /// Returns the tokens of all documents. A line has `BOS` at both ends, and a window of a text has none.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Returns the start of each document in [`Self::tokens`], followed by the end of the last document.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// Returns every `step`-th document from document `first` on. There may be none.
    #[cfg(feature = "mpi")]
    #[must_use]
    pub(crate) fn every(&self, first: usize, step: usize) -> Self {
        let (mut tokens, mut offsets) = (Vec::new(), vec![0]);
        for i in (first..self.len()).step_by(step) {
            tokens.extend(self.get(i));
            offsets.push(tokens.len() as u32);
        }
        Self::new(tokens, offsets)
    }

    /// Returns the number of documents.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Returns the tokens of document `i`.
    ///
    /// # Panics
    /// If there is no document `i`.
    #[inline]
    pub fn get(&self, i: usize) -> &[u32] {
        &self.tokens[self.offsets[i] as usize..self.offsets[i + 1] as usize]
    }

    /// Returns the documents up to the first `positions` tokens that a model predicts.
    #[must_use]
    pub fn cut(&self, positions: usize) -> Self {
        let (mut tokens, mut offsets) = (Vec::new(), vec![0]);
        for i in 0..self.len() {
            tokens.extend(&self.get(i)[..=self.positions(i, positions)]);
            offsets.push(tokens.len() as u32);
        }
        Self::new(tokens, offsets)
    }

    /// Returns n, the number of positions of document `i` at which a model of this block size predicts the next token.
    ///
    /// # Panics
    /// If there is no document `i`.
    #[inline]
    pub fn positions(&self, i: usize, block_size: usize) -> usize {
        block_size.min(self.get(i).len() - 1)
    }
}
