//! The attention and the predictions of a trained model, to be shown.

use gpu_kernels::activations::{Activations, prob_index};
use gpu_kernels::evaluate::EvaluateArgs;
use gpu_kernels::shape::{ExpandedShape, Shape};
use simt::View;

use super::super::validate;
use super::Cpu;
use super::buffer::Buffer;
use crate::error::{Error, Result};

impl Cpu {
    /// Returns the last layer's probabilities for a document `[BOS, .., BOS]`.
    ///
    /// The shape is `[H, n, n]` (head, query, key) with `n = min(T, tokens - 1)`. A key after its query has probability
    /// 0.
    ///
    /// # Errors
    /// If the document is short or has an unknown token, or memory is too small.
    pub fn attention(&mut self, document: &[u32]) -> Result<Vec<f32>> {
        let s = self.shape;
        let mut workspace = self.forward(document)?;
        let n = s.block_size().min(document.len() - 1);
        // SAFETY: `workspace` has `Activations::len` elements and outlives the view.
        let work = unsafe { View::new(workspace.as_mut_ptr(), Activations::len(s)) };
        let probs = Activations::new(s, work, s.n_layer() - 1).probs;
        let mut attention = vec![0.0; s.n_head() * n * n];
        for (h, head) in attention.chunks_mut(n * n).enumerate() {
            for (t, row) in head.chunks_mut(n).enumerate() {
                for (key, prob) in row[..=t].iter_mut().enumerate() {
                    *prob = probs.load_scalar(prob_index(s, h, t, key));
                }
            }
        }
        Ok(attention)
    }

    /// Returns the probabilities of the next token at each position of a document `[BOS, .., BOS]`.
    ///
    /// The shape is `[n, V]` with `n = min(T, tokens - 1)`.
    ///
    /// # Errors
    /// If the document is short or has an unknown token, or memory is too small.
    pub fn predictions(&mut self, document: &[u32]) -> Result<Vec<f32>> {
        let s = self.shape;
        let mut workspace = self.forward(document)?;
        let n = s.block_size().min(document.len() - 1);
        // SAFETY: `workspace` has `Activations::len` elements and outlives the view.
        let work = unsafe { View::new(workspace.as_mut_ptr(), Activations::len(s)) };
        let Activations { logits: e, sum_exp, .. } = Activations::new(s, work, 0);
        let row = |t| (0..s.vocab()).map(move |v| e.load_scalar(t * s.vocab_padded() + v) / sum_exp.load_scalar(t));
        Ok((0..n).flat_map(row).collect())
    }

    /// Runs the forward pass over a document, and returns the workspace, [`Activations::len`] elements.
    pub(super) fn forward(&mut self, document: &[u32]) -> Result<Buffer> {
        let s = self.shape;
        if document.len() < 2 {
            const HINT: &str = "put `<BOS>` at both ends of the document";
            return Err(Error::argument("a document", "at least 2 tokens long", &document.len(), HINT));
        }
        validate::tokens(s, document)?;
        self.refresh_transposed();
        let mut workspace = Buffer::zeros(Activations::len(s))?;
        let (offsets, mut nll) = ([0, document.len() as u32], 0.0);
        let args = EvaluateArgs {
            params: self.params.as_mut_ptr(),
            transposed: self.transposed.as_mut_ptr(),
            workspace: workspace.as_mut_ptr(),
            tokens: document.as_ptr(),
            offsets: offsets.as_ptr(),
            nll: &raw mut nll,
            documents: 1,
            shape: ExpandedShape::new(s),
        };
        // SAFETY: every buffer has the length that `EvaluateArgs` states for one document in one block, the tokens are
        // below the vocabulary, and `with_kernels` has checked that this processor has the kernels.
        unsafe { self.kernels.evaluate(&args, 0..1, 1) };
        Ok(workspace)
    }
}
