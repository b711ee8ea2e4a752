//! The reference: how a GPT trains, in plain `f64` and with nothing left out.
//!
//! A language model predicts the next token of a text. Shown `k`, `a`, `t`, a model of names should expect `e` or `i`,
//! or the end of the name, and not `q`. To *train* it is to change its parameters, a few thousand numbers that begin
//! as noise, until its predictions agree with the texts that it is shown. All of it stands in this folder, to be read
//! from top to bottom, in three parts:
//!
//! 1. [`value`], the engine: numbers that remember how they were computed, so that the gradient of any result with
//!    respect to any parameter can be had by going through that memory backwards.
//! 2. [`model`], the model: `embed`, then in each layer `rmsnorm`, `attention` and `mlp`, then the head and the
//!    `cross_entropy` that says how wrong it was; last `generate`, which draws new documents from it.
//! 3. this file, the training: what is done with the gradients, `clip` and `adamw`.
//!
//! A training step has five parts ([`Model::train_step`]):
//!
//! ```text
//! forward    take a document, and let the model predict each of its tokens from those before it
//! loss       how surprised was it, on average?
//! backward   for every parameter: which way, and how steeply, would the loss change with it?
//! clip       if the gradients are large, shrink them all alike
//! adamw      move every parameter a little in the direction that lowers the loss
//! ```
//!
//! Some five hundred such steps later, the default model has learned what letters begin names, that vowels and
//! consonants take turns, and where names end.
//!
//! The kernels of this program compute the same a hundred times faster, with a backward pass derived by hand.
//! The two share the configuration, the documents and the initial weights, but not one line of math. That they
//! agree, step by step, is how we know that both are right.

use self::model::{Parameters, Sample, SamplingParams, Shape};
use self::value::{Tape, Value};

pub mod model;
pub mod value;

/// The parameters of the optimiser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// The learning rate of this step. The caller lowers it from step to step, by default along half a cosine.
    pub learning_rate: f64,
    /// The decay of the first moment.
    pub beta1: f64,
    /// The decay of the second moment.
    pub beta2: f64,
    /// The addend that keeps [`adamw`] from a division by 0.
    pub eps: f64,
    /// The pull of every weight towards 0, in proportion to the weight and to the learning rate.
    pub weight_decay: f64,
    /// The norm that [`clip`] leaves a gradient at most.
    pub max_grad_norm: f64,
}

/// The report of a training step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLog {
    /// The mean cross-entropy before the update, in nats.
    pub loss: f64,
    /// The global norm of the gradient before clipping.
    pub grad_norm: f64,
}

/// The report of a validation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// The sum of the cross-entropies of all tokens, in nats.
    pub nll: f64,
    /// The count of these tokens.
    pub tokens: u64,
}

/// A model in training: its weights, and what the optimiser remembers of earlier gradients.
pub struct Model {
    /// The model's dimensions.
    pub shape: Shape,
    /// Steps taken.
    pub step: u64,
    /// The parameters, flat and in the order of the checkpoint.
    pub weights: Vec<f64>,
    /// [`adamw`]'s first moment, in the same order.
    pub m: Vec<f64>,
    /// [`adamw`]'s second moment, in the same order.
    pub v: Vec<f64>,
    tape: Tape,
}

impl Model {
    /// A model before its first step.
    ///
    /// # Panics
    /// If `weights` does not fit `shape`.
    pub fn new(shape: Shape, weights: Vec<f64>) -> Self {
        assert_eq!(weights.len(), shape.num_params(), "as many weights as the shape has parameters");
        let zeros = vec![0.0; weights.len()];
        Self { shape, step: 0, m: zeros.clone(), v: zeros, weights, tape: Tape::default() }
    }

    /// One step of training on some documents, mostly one. It reports the mean of their losses before the update, and
    /// follows the mean of their gradients: what several documents agree on is less noisy than what one of them says.
    ///
    /// # Panics
    /// If there is no document, or one of fewer than two tokens.
    pub fn train_step(&mut self, documents: &[&[u32]], config: &AdamW) -> StepLog {
        let (log, gradients) = self.clipped_gradients(documents, config.max_grad_norm);
        self.step += 1;
        adamw(self, &gradients, config);
        log
    }

    /// A step without its update: what it reports, and the gradients that it would follow.
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

    /// Forward and backward: the loss of one document and its gradient with respect to every weight.
    ///
    /// # Panics
    /// If `tokens` holds fewer than two tokens.
    pub fn loss_and_gradients(&mut self, tokens: &[u32]) -> (f64, Vec<f64>) {
        let parameters = self.parameters();
        let loss = parameters.loss(tokens);
        loss.backward();
        (loss.data(), parameters.gradients())
    }

    /// Forward only: the negative log-likelihood of each of the document's first T positions, in nats.
    ///
    /// # Panics
    /// If `tokens` is empty.
    pub fn document_nll(&mut self, tokens: &[u32]) -> Vec<f64> {
        self.parameters().document_nll(tokens).into_iter().map(Value::data).collect()
    }

    /// Validation: how well does the model predict documents that it has not been trained on? Forward only, over
    /// these documents, each with its first `n = min(T, tokens - 1)` positions, as in training:
    ///
    /// ```text
    /// nll     = sum over documents and positions of cross_entropy(logits [V], next token)
    /// tokens  = sum over documents of n
    /// loss    = nll / tokens                    in nats a token
    /// ```
    ///
    /// Every token counts alike, and so a long document for more than a short one, while a training step takes the mean of
    /// one document. A loss here that rises while the training's falls tells of a model that learns its documents by heart.
    pub fn evaluate<'d>(&mut self, documents: impl IntoIterator<Item = &'d [u32]>) -> Evaluation {
        let mut evaluation = Evaluation { nll: 0.0, tokens: 0 };
        for document in documents {
            let nll = self.document_nll(document);
            evaluation.nll += nll.iter().sum::<f64>();
            evaluation.tokens += nll.len() as u64;
        }
        evaluation
    }

    /// A new document, see [`Parameters::generate`].
    pub fn generate(&mut self, params: SamplingParams, prompt: &[u32], uniform: impl FnMut() -> f64) -> Sample {
        self.parameters().generate(params, prompt, uniform)
    }

    /// The weights as leaves of a fresh tape.
    fn parameters(&mut self) -> Parameters<'_> {
        self.tape.clear();
        Parameters::new(&self.tape, self.shape, &self.weights)
    }
}

/// If the gradient's global norm `sqrt(sum g^2)` exceeds `max_grad_norm`, scales the gradient down to that norm.
/// Returns the norm that it had.
///
/// A gradient is true only close to where it was taken. One unlucky document can have a very steep one; clipping keeps
/// its direction but not its size.
pub fn clip(gradients: &mut [f64], max_grad_norm: f64) -> f64 {
    let norm = gradients.iter().map(|g| g * g).sum::<f64>().sqrt();
    if norm > max_grad_norm {
        for g in gradients {
            *g *= max_grad_norm / norm;
        }
    }
    norm
}

/// Moves every weight against its gradient; `model.step` counts this step, the first being 1.
///
/// The gradient `g` of one document is noisy, so the step follows running means of it, the first and second *moment*:
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
/// whether they are large or small: every weight has its own step size. `eps` avoids a division by 0. The *decay* pulls
/// every weight towards 0, so that only what keeps being useful stays large; it stands outside the moments, which is
/// the W in `AdamW`.
pub fn adamw(model: &mut Model, gradients: &[f64], config: &AdamW) {
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
