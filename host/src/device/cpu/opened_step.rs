//! A training step with all that the kernels compute on the way, to be shown.

use gpu_kernels::activations::{Activations, Pass, one_of_three, prob_index};
use gpu_kernels::layout::{Axis, Layout, Place};
use gpu_kernels::math::ln;
use gpu_kernels::model::Gpt;
use gpu_kernels::ops::linear::{self, Linear};
use gpu_kernels::ops::rmsnorm::{self, RmsNormBackward};
use gpu_kernels::ops::{Tokens, attention};
use gpu_kernels::shape::{RuntimeShape, Shape};
use gpu_kernels::train::activations_offset;
use simt::{AnyCpu, Grid, HALF_WARP, U32View, View, Warp, half_warps};

use super::Cpu;
use super::buffer::Buffer;
use crate::device::types::{Device, Executor, State, StepLog};
use crate::error::{Error, Result};
use crate::weights::Weights;

/// A training step with its intermediate results.
pub struct OpenedStep {
    /// The report of the step.
    pub log: StepLog,
    /// The tokens of the step's document.
    pub document: Vec<u32>,
    /// The activations and their gradients. The rows are the document's `n = min(T, tokens - 1)` positions.
    pub values: Vec<Values>,
    /// The weights and moments before the step.
    pub before: State,
    /// The gradients of the weights before clipping.
    pub gradients: Weights,
    /// The weights and moments after the step.
    pub after: State,
}

/// Intermediate results, without padding.
pub struct Values {
    /// The name in [`Activations`], after the layer, as in `layer0.attn`. The gradient of `y` is `dy`.
    pub name: String,
    /// The lengths of the axes.
    pub shape: Vec<usize>,
    /// The values, with the last axis adjacent.
    pub values: Vec<f32>,
}

impl Cpu {
    /// Takes the next step, and returns all that the kernels compute on the way.
    ///
    /// The kernels replace some of their intermediate results by later ones. These come from the same ops, which run
    /// once more on the results that are left, and so have the bits that were replaced.
    ///
    /// # Errors
    /// [`Error::Argument`] if a step takes several documents or the tiled executor runs the model, and an error if memory
    /// is too small.
    pub fn opened_step(&mut self) -> Result<OpenedStep> {
        let s = self.shape;
        let Self { executors, config, .. } = self;
        if config.batch != 1 || executors.training == Executor::Tiled {
            let found = format!("{} by the {:?} executor", config.batch, executors.training).to_lowercase();
            let expected = "1 by the fused executor";
            return Err(Error::argument("the documents of an opened step", expected, &found, "choose a smaller model"));
        }
        let batches = self.dataset.batches(self.step, 1, 1, s.block_size())?;
        let document = batches.documents.get(batches.first as usize).to_vec();
        let before = self.download()?;
        self.refresh_transposed();
        let mut copies = [&self.params, &self.transposed].map(|array| array.as_slice().to_vec());
        let mut forward = self.forward(&document)?;
        let log = self.train(1)?.first().copied().ok_or(Error::Stopped)?;
        let mut scratch = Buffer::zeros(2 * s.block_size_padded() * s.vocab_padded().max(s.n_embd_padded()))?;
        let len = Layout(s).len();
        // SAFETY: each array has the length of its view and outlives it. No launch uses the arrays meanwhile.
        let (model, work, forward, scratch, tokens) = unsafe {
            let [w, transposed] = copies.each_mut().map(|array| View::new(array.as_mut_ptr(), len));
            let work = View::new(self.workspace.as_mut_ptr().add(activations_offset(s)), Activations::len(s));
            let forward = View::new(forward.as_mut_ptr(), Activations::len(s));
            let scratch = View::new(scratch.as_mut_ptr(), scratch.as_slice().len());
            (
                Gpt { s, w, transposed, packed: None },
                work,
                forward,
                scratch,
                U32View::new(document.as_ptr(), document.len()),
            )
        };
        let n = s.block_size().min(document.len() - 1);
        let mut reader = Reader { model, pass: Pass { document: tokens, n, work }, scratch, values: Vec::new() };
        reader.forward();
        reader.predictions(forward);
        reader.backward();
        let values = reader.values;
        Ok(OpenedStep { log, document, values, before, gradients: self.gradients(), after: self.download()? })
    }
}

/// The reader of the results of a step.
struct Reader {
    /// The model before the step.
    model: Gpt<RuntimeShape>,
    /// The pass of the step, whose workspace has the results.
    pass: Pass,
    /// Room for the results of two ops.
    scratch: View,
    values: Vec<Values>,
}

impl Reader {
    /// Reads the activations of the layers.
    fn forward(&mut self) {
        let (s, x) = (self.model.s, self.scratch);
        let a = self.activations(0);
        self.rows("x_embed".to_owned(), a.x_embed, Axis::Channels);
        self.column("rstd_embed".to_owned(), a.rstd_embed);
        self.copy(a.x_embed, x);
        for l in 0..s.n_layer() {
            let (a, tensors) = (self.activations(l), Layout(s).layer(l));
            let name = |name: &str| format!("layer{l}.{name}");
            self.rows(name("xn_attn"), a.xn_attn, Axis::Channels);
            self.column(name("rstd_attn"), a.rstd_attn);
            for (which, letter) in ["q", "k", "v"].into_iter().enumerate() {
                self.rows(name(letter), one_of_three(s, a.q, which), Axis::Heads);
            }
            self.scores(name("probs"), a.probs);
            self.rows(name("attn"), a.attn, Axis::Heads);
            let product = self.model.linear(a.attn, tensors.attn_wo);
            self.launch(|warp, tokens| linear::accumulate(warp, s, &product, tokens, x));
            self.rows(name("x_mid"), x, Axis::Channels);
            self.rows(name("xn_mlp"), a.xn_mlp, Axis::Channels);
            self.column(name("rstd_mlp"), a.rstd_mlp);
            self.rows(name("h"), a.h, Axis::Hidden);
            self.rows(name("h2"), a.h2, Axis::Hidden);
            let product = self.model.linear(a.h2, tensors.mlp_fc2);
            self.launch(|warp, tokens| linear::accumulate(warp, s, &product, tokens, x));
            self.rows(name("x_out"), x, Axis::Channels);
        }
    }

    /// Reads the logits, and the predictions that a forward pass has left in the workspace `forward`.
    fn predictions(&mut self, forward: View) {
        let (s, x) = (self.model.s, self.scratch);
        let logits = self.scratch.at(s.block_size_padded() * s.n_embd_padded().max(s.vocab_padded()));
        let product = self.model.linear(self.activations(0).x, Layout(s).model().wte);
        self.launch(|warp, tokens| linear::forward_into(warp, s, &product, tokens, logits));
        self.rows("logits".to_owned(), logits, Axis::Vocab);
        let Activations { logits: e, sum_exp, gap, .. } = Activations::new(s, forward, 0);
        self.rows("probs".to_owned(), e, Axis::Vocab);
        let probabilities = self.values.last_mut().expect("the rows of `e` are the last");
        for (t, row) in probabilities.values.chunks_mut(s.vocab()).enumerate() {
            for p in row {
                *p /= sum_exp.load_scalar(t);
            }
        }
        for t in half_warps(self.pass.n.next_multiple_of(HALF_WARP)) {
            x.store(t, ln(sum_exp.load(t)) + gap.load(t));
        }
        self.column("loss".to_owned(), x);
    }

    /// Reads the gradients of the activations, from the logits to the embedding.
    fn backward(&mut self) {
        let (s, dx) = (self.model.s, self.scratch);
        self.rows("dlogits".to_owned(), self.activations(0).logits, Axis::Vocab);
        for l in (0..s.n_layer()).rev() {
            let (a, tensors) = (self.activations(l), Layout(s).layer(l));
            let name = |name: &str| format!("layer{l}.{name}");
            self.rows(name("dx_out"), a.dx_out, Axis::Channels);
            self.rows(name("dh"), a.dh, Axis::Hidden);
            let product = self.linear_backward(a.dh, tensors.mlp_fc1);
            self.launch(|warp, tokens| linear::forward_into(warp, s, &product, tokens, dx));
            self.rows(name("dxn_mlp"), dx, Axis::Channels);
            self.rows(name("dx_mid"), a.dx_mid, Axis::Channels);
            // The layers share these two buffers, so those of the first layer are left.
            let product = self.linear_backward(a.dx_mid, tensors.attn_wo);
            self.launch(|warp, tokens| {
                linear::forward_into(warp, s, &product, tokens, a.dattn);
                attention::backward_queries(warp, s, &a, tokens);
            });
            self.rows(name("dattn"), a.dattn, Axis::Heads);
            self.scores(name("dscores"), a.dscores);
            for (which, letter) in ["dq", "dk", "dv"].into_iter().enumerate() {
                self.rows(name(letter), one_of_three(s, a.dq, which), Axis::Heads);
            }
            let terms =
                [0, 1, 2].map(|which| self.linear_backward(one_of_three(s, a.dq, which), tensors.attn_qkv(which)));
            let c = s.n_embd_padded();
            self.launch(|warp, tokens| {
                linear::forward_sum(warp, s, 3, |which| terms[which], tokens, |t, i, y| y.store(dx, t * c + i));
            });
            self.rows(name("dxn_attn"), dx, Axis::Channels);
            let norm = RmsNormBackward { y: a.xn_attn, rstd: a.rstd_attn, dx_skip: Some(a.dx_mid), dx };
            self.launch(|warp, tokens| rmsnorm::backward(warp, s, &norm, tokens));
            self.rows(name("dx_in"), dx, Axis::Channels);
        }
        self.rows("dx_embed".to_owned(), self.activations(0).dx_embed, Axis::Channels);
    }

    fn activations(&self, l: usize) -> Activations {
        self.pass.activations(self.model.s, l)
    }

    /// Returns the product of `dy` with a matrix, contracted over the matrix's outputs.
    fn linear_backward(&self, dy: View, matrix: Place) -> Linear {
        Linear { x: dy, w: self.model.w.at(matrix.offset), rows: matrix.rows, cols: matrix.cols, packed: None }
    }

    /// Runs an op on every token of the document.
    fn launch(&self, op: impl Fn(&Warp, Tokens)) {
        Grid::new(0..1, 1, AnyCpu).each_block(|block| {
            let s = self.model.s;
            block.each_warp(|warp| self.pass.tokens(s, warp).for_each(|tokens| op(warp, tokens)));
        });
    }

    /// Copies rows of channels.
    fn copy(&self, from: View, to: View) {
        for i in half_warps(self.model.s.block_size_padded() * self.model.s.n_embd_padded()) {
            to.store(i, from.load(i));
        }
    }

    /// Reads the document's rows of a buffer `[T, axis]`.
    fn rows(&mut self, name: String, view: View, axis: Axis) {
        let (s, n) = (self.model.s, self.pass.n);
        let (len, padded) = (axis.len(s), axis.padded_len(s));
        let row = |t| (0..len).map(move |i| view.load_scalar(t * padded + axis.index(s, i)));
        self.values.push(Values { name, shape: vec![n, len], values: (0..n).flat_map(row).collect() });
    }

    /// Reads the document's elements of a buffer `[T]`.
    fn column(&mut self, name: String, view: View) {
        let values = (0..self.pass.n).map(|t| view.load_scalar(t)).collect();
        self.values.push(Values { name, shape: vec![self.pass.n], values });
    }

    /// Reads a buffer that is laid out like the attention's probabilities, as `[H, n, n]` (head, query, key). A key
    /// after its query gets 0.
    fn scores(&mut self, name: String, view: View) {
        let (s, n) = (self.model.s, self.pass.n);
        let value = |i: usize| {
            let (h, t, key) = (i / (n * n), i / n % n, i % n);
            if key > t { 0.0 } else { view.load_scalar(prob_index(s, h, t, key)) }
        };
        let values = (0..s.n_head() * n * n).map(value).collect();
        self.values.push(Values { name, shape: vec![s.n_head(), n, n], values });
    }
}
