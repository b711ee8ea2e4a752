//! The reference, which shows how a GPT trains in plain `f64` and with nothing left out.
//!
//! A language model predicts the next token of a text. Shown `k`, `a`, `t`, a model of names should expect `e` or `i`,
//! or the end of the name, and not `q`. To *train* a model is to change its parameters, a few thousand values that
//! begin as noise, until its predictions agree with the texts that it is shown. This folder holds all of training, to
//! be read from top to bottom, in four parts:
//!
//! 1. [`value`], the engine. Its values remember how they were computed, so that the gradient of any result with
//!    respect to any parameter can be had by going through that memory backwards.
//! 2. [`model`], the model. It runs `embed`, then `rmsnorm`, `attention` and `mlp` in each layer, then the `lm_head`,
//!    and `cross_entropy` says how wrong the prediction was.
//! 3. [`generate`], the sampling. It draws new documents from the model, one token at a time.
//! 4. This file, the training. It follows the gradients, by way of `clip` and `adamw`.
//!
//! A training step has five parts ([`TrainState::train_step`]):
//!
//! ```text
//! forward    take a document, and let the model predict each of its tokens from those before it
//! loss       how surprised was the model, on average?
//! backward   for every parameter: which way, and how steeply, would the loss change with it?
//! clip       if the gradients are large, shrink them all alike
//! adamw      move every parameter a little in the direction that lowers the loss
//! ```
//!
//! Some five hundred such steps later, the default model has learned what letters begin names, that vowels and
//! consonants take turns, and where names end.
//!
//! The kernels of this program compute the same a hundred times faster, with a backward pass derived by hand. Kernels
//! and reference are given the same configuration, documents and initial weights, but share not one line of math. That
//! they agree, step by step, is how we know that both are right.

use self::generate::{Sample, SamplingParams};
use self::model::{Parameters, Shape};
use self::value::{Tape, Value};

pub mod generate;
pub mod model;
pub mod value;

/// The state of a model in training, with its weights and the optimiser's memory of earlier gradients.
pub struct TrainState {
    /// The model's dimensions.
    pub shape: Shape,
    /// The number of steps taken.
    pub step: u64,
    /// The parameters, flat and in the order of the checkpoint.
    pub weights: Vec<f64>,
    /// The first moment of [`adamw`], in the same order.
    pub m: Vec<f64>,
    /// The second moment of [`adamw`], in the same order.
    pub v: Vec<f64>,
    tape: Tape,
}

/// The report of a training step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLog {
    /// The mean cross-entropy before the update, in nats.
    pub loss: f64,
    /// The gradient's global norm before clipping.
    pub grad_norm: f64,
}

/// The report of a validation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// The sum of the cross-entropies of all predicted tokens, in nats.
    pub nll: f64,
    /// The number of predicted tokens.
    pub tokens: u64,
}

impl Evaluation {
    /// Returns the mean cross-entropy of a token, in nats.
    pub fn loss(self) -> f64 {
        self.nll / self.tokens as f64
    }
}

impl TrainState {
    /// Returns a model before its first step.
    ///
    /// # Panics
    /// If `weights` does not fit `shape`.
    pub fn new(shape: Shape, weights: Vec<f64>) -> Self {
        assert_eq!(weights.len(), shape.num_params(), "the weights must be as many as the shape has parameters");
        let zeros = vec![0.0; weights.len()];
        Self { shape, step: 0, m: zeros.clone(), v: zeros, weights, tape: Tape::default() }
    }

    /// Trains one step on some documents, mostly one.
    ///
    /// The step reports the mean of the documents' losses before the update. The update follows the mean of the
    /// documents' gradients. A direction that several documents agree on is less noisy than that of one document.
    ///
    /// # Panics
    /// If a document holds fewer than two tokens.
    pub fn train_step(&mut self, documents: &[&[u32]], config: &AdamW) -> StepLog {
        let (log, gradients) = self.clipped_gradients(documents, config.max_grad_norm);
        self.step += 1;
        adamw(self, &gradients, config);
        log
    }

    /// Runs a step without its update, and returns the report and the gradients that the update would follow.
    ///
    /// # Panics
    /// If a document holds fewer than two tokens.
    pub fn clipped_gradients(&mut self, documents: &[&[u32]], max_grad_norm: f64) -> (StepLog, Vec<f64>) {
        let (mut loss, mut gradients) = (0.0, vec![0.0; self.weights.len()]);
        for document in documents {
            let (document_loss, document_gradients) = self.loss_and_gradients(document);
            loss += document_loss / documents.len() as f64;
            for (sum, g) in gradients.iter_mut().zip(document_gradients) {
                *sum += g / documents.len() as f64;
            }
        }
        let grad_norm = clip(&mut gradients, max_grad_norm);
        (StepLog { loss, grad_norm }, gradients)
    }

    /// Runs forward and backward, and returns the loss of one document and its gradient with respect to every weight.
    ///
    /// # Panics
    /// If `tokens` holds fewer than two tokens.
    pub fn loss_and_gradients(&mut self, tokens: &[u32]) -> (f64, Vec<f64>) {
        let parameters = self.parameters();
        let loss = parameters.loss(tokens);
        loss.backward();
        (loss.data(), parameters.gradients())
    }

    /// Runs forward only, and returns the cross-entropy of each of the document's first T positions, in nats.
    pub fn document_nll(&mut self, tokens: &[u32]) -> Vec<f64> {
        self.parameters().document_nll(tokens).into_iter().map(Value::data).collect()
    }

    /// Validates the model. How well does it predict documents that it has not been trained on?
    ///
    /// Validation runs forward only, over each document's first `n = min(T, tokens - 1)` positions, as in training:
    ///
    /// ```text
    /// nll     = sum over documents and positions of cross_entropy(logits [V], next token)
    /// tokens  = sum over documents of n
    /// loss    = nll / tokens                    in nats a token
    /// ```
    ///
    /// Every token counts alike, so a long document counts for more than a short one. In training, every document
    /// counts alike. If the validation loss rises while the training loss falls, the model memorises its documents.
    pub fn evaluate<'d>(&mut self, documents: impl IntoIterator<Item = &'d [u32]>) -> Evaluation {
        let mut evaluation = Evaluation { nll: 0.0, tokens: 0 };
        for document in documents {
            let nll = self.document_nll(document);
            evaluation.nll += nll.iter().sum::<f64>();
            evaluation.tokens += nll.len() as u64;
        }
        evaluation
    }

    /// Invents a document, see [`generate::generate`].
    pub fn generate(&mut self, params: SamplingParams, start: &[u32], uniform: impl FnMut() -> f64) -> Sample {
        generate::generate(&self.parameters(), params, start, uniform)
    }

    /// Returns the weights as leaves of a fresh tape.
    fn parameters(&mut self) -> Parameters<'_> {
        self.tape.clear();
        Parameters::new(&self.tape, self.shape, &self.weights)
    }
}

/// Scales the gradient down to `max_grad_norm` if its global norm, `sqrt(sum g^2)`, is larger. Returns the norm before.
///
/// A gradient is accurate only near the weights at which it was taken. One unlucky document can have a very steep
/// gradient. Clipping keeps the gradient's direction and limits its norm.
pub fn clip(gradients: &mut [f64], max_grad_norm: f64) -> f64 {
    let norm = gradients.iter().map(|g| g * g).sum::<f64>().sqrt();
    if norm > max_grad_norm {
        for g in gradients {
            *g *= max_grad_norm / norm;
        }
    }
    norm
}

/// The parameters of an update by [`adamw`] and of the [`clip`] before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// The learning rate of this step. The caller lowers it from step to step, by default along half a cosine.
    pub learning_rate: f64,
    /// The fraction of the first moment that each step keeps.
    pub beta1: f64,
    /// The fraction of the second moment that each step keeps.
    pub beta2: f64,
    /// The addend that avoids a division by 0.
    pub eps: f64,
    /// The fraction of the weights that a step removes, divided by the learning rate.
    pub weight_decay: f64,
    /// The largest global norm that [`clip`] leaves as it is.
    pub max_grad_norm: f64,
}

/// Moves every weight against its gradient. `model.step` counts this step, and starts at 1.
///
/// The gradient `g` of one document is noisy, so the step follows the *moments*, running means of `g` and `g^2`:
///
/// ```text
/// m    = beta1 * m + (1 - beta1) * g              which way the gradient has pointed lately
/// v    = beta2 * v + (1 - beta2) * g^2            how large it has been
/// mhat = m / (1 - beta1^step)                     both began at 0, and so are too small at first;
/// vhat = v / (1 - beta2^step)                     this makes them means of the gradients seen
/// w    = w - lr * (mhat / (sqrt(vhat) + eps) + weight_decay * w)
/// ```
///
/// `mhat / sqrt(vhat)` is near 1 or -1 for a weight whose gradients agree and near 0 for one whose gradients cancel,
/// whether the gradients are large or small. So every weight has its own step size. The *decay* pulls every weight
/// towards 0, so that only useful weights stay large. The decay stands outside the moments, which is the W in `AdamW`.
pub fn adamw(model: &mut TrainState, gradients: &[f64], config: &AdamW) {
    let &AdamW { learning_rate, beta1, beta2, eps, weight_decay, .. } = config;
    // Beyond 2^31 steps both powers are 0.
    let step = i32::try_from(model.step).unwrap_or(i32::MAX);
    let (m_correction, v_correction) = (1.0 - beta1.powi(step), 1.0 - beta2.powi(step));
    for (((w, m), v), &g) in model.weights.iter_mut().zip(&mut model.m).zip(&mut model.v).zip(gradients) {
        *m = beta1 * *m + (1.0 - beta1) * g;
        *v = beta2 * *v + (1.0 - beta2) * g * g;
        let (m_hat, v_hat) = (*m / m_correction, *v / v_correction);
        *w -= learning_rate * (m_hat / (v_hat.sqrt() + eps) + weight_decay * *w);
    }
}
