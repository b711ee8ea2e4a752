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

use std::ops::Range;

use gpu_kernels::shape::RuntimeShape;

use self::model::Parameters;
use self::value::Tape;
use crate::config::{OptimizerConfig, SampleConfig, TrainConfig, num_params};
use crate::corpus::{Dataset, Documents};
use crate::device::{Device, Evaluation, Sample, State, StepLog};
use crate::error::Result;
use crate::weights::Weights;

pub mod model;
pub mod value;

/// The loss of one document and its gradient with respect to every weight.
///
/// Weights and gradients are flat, without padding and in the order of the checkpoint, as in [`Weights::values`].
///
/// # Panics
/// If `weights` does not fit `shape`, or `tokens` holds fewer than two tokens.
pub fn loss_and_gradients(weights: &[f64], shape: RuntimeShape, tokens: &[u32]) -> (f64, Vec<f64>) {
    Model::new(shape, weights.to_vec()).loss_and_gradients(tokens)
}

/// A model in training: its weights, and what the optimiser remembers of earlier gradients.
pub struct Model {
    /// The model's dimensions.
    pub shape: RuntimeShape,
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
    pub fn new(shape: RuntimeShape, weights: Vec<f64>) -> Self {
        assert_eq!(weights.len(), num_params(shape), "as many weights as the shape has parameters");
        let zeros = vec![0.0; weights.len()];
        Self { shape, step: 0, m: zeros.clone(), v: zeros, weights, tape: Tape::default() }
    }

    /// A model in the state that another machine has reached.
    ///
    /// # Panics
    /// If the state's values do not fit its shape.
    pub fn from_state(state: &State) -> Self {
        let wide = |weights: &Weights| weights.values.iter().copied().map(f64::from).collect::<Vec<f64>>();
        let model = Self::new(state.weights.shape, wide(&state.weights));
        Self { step: state.step, m: wide(&state.m), v: wide(&state.v), ..model }
    }

    /// The state, rounded to what the other machines hold.
    pub fn to_state(&self) -> State {
        let narrow = |values: &[f64]| Weights { shape: self.shape, values: values.iter().map(|&x| x as f32).collect() };
        State { step: self.step, weights: narrow(&self.weights), m: narrow(&self.m), v: narrow(&self.v) }
    }

    /// One step of training on some documents, mostly one. It reports the mean of their losses before the update, and
    /// follows the mean of their gradients: what several documents agree on is less noisy than what one of them says.
    ///
    /// # Panics
    /// If there is no document, or one of fewer than two tokens.
    pub fn train_step(&mut self, documents: &[&[u32]], config: &TrainConfig) -> StepLog {
        let learning_rate = config.optimizer.learning_rate_at(self.step, config.steps);
        let (log, gradients) = self.clipped_gradients(documents, config);
        self.step += 1;
        adamw(self, &gradients, learning_rate, &config.optimizer);
        log
    }

    /// A step without its update: what it reports, and the gradients that it would follow.
    fn clipped_gradients(&mut self, documents: &[&[u32]], config: &TrainConfig) -> (StepLog, Vec<f64>) {
        let (mut loss, mut gradients) = (0.0, vec![0.0; self.weights.len()]);
        for document in documents {
            let (document_loss, document_gradients) = self.loss_and_gradients(document);
            loss += document_loss / documents.len() as f64;
            for (sum, g) in gradients.iter_mut().zip(document_gradients) {
                *sum += g / documents.len() as f64;
            }
        }
        let grad_norm = clip(&mut gradients, config.optimizer.max_grad_norm);
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
        self.parameters().document_nll(tokens).into_iter().map(value::Value::data).collect()
    }

    /// The sample of this number, see [`Parameters::generate`].
    pub fn generate(&mut self, config: &SampleConfig, sample_index: u64) -> Sample {
        self.parameters().generate(config, sample_index)
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
pub fn adamw(model: &mut Model, gradients: &[f64], learning_rate: f64, config: &OptimizerConfig) {
    let &OptimizerConfig { beta1, beta2, eps, weight_decay, .. } = config;
    let (m_correction, v_correction) = config.bias_corrections(model.step);
    for (((w, m), v), &g) in model.weights.iter_mut().zip(&mut model.m).zip(&mut model.v).zip(gradients) {
        *m = beta1 * *m + (1.0 - beta1) * g;
        *v = beta2 * *v + (1.0 - beta2) * g * g;
        let (m_hat, v_hat) = (*m / m_correction, *v / v_correction);
        *w -= learning_rate * (m_hat / (v_hat.sqrt() + eps) + weight_decay * *w);
    }
}

/// The reference as a machine among the others: a [`Model`] and the documents that it learns from.
pub struct Reference {
    model: Model,
    config: TrainConfig,
    train: Documents,
    val: Documents,
}

impl Reference {
    /// A model in this state, to be trained on this dataset.
    ///
    /// # Panics
    /// If the state's values do not fit its shape.
    pub fn new(config: TrainConfig, dataset: &Dataset, state: &State) -> Self {
        let (train, val) = (dataset.train.clone(), dataset.val.clone());
        Self { model: Model::from_state(state), config, train, val }
    }
}

/// The documents of a step, one after the other, from the first again after the last.
fn batch(train: &Documents, step: u64, batch: usize) -> Vec<&[u32]> {
    let first = u128::from(step) * batch as u128;
    (0..batch as u128).map(|i| train.get(((first + i) % train.len() as u128) as usize)).collect()
}

impl Device for Reference {
    fn description(&self) -> String {
        "reference (scalar autograd, f64)".to_owned()
    }

    fn shape(&self) -> RuntimeShape {
        self.model.shape
    }

    fn step(&self) -> u64 {
        self.model.step
    }

    fn train(&mut self, steps: usize) -> Result<Vec<StepLog>> {
        let Self { model, config, train, .. } = self;
        Ok((0..steps).map(|_| model.train_step(&batch(train, model.step, config.batch), config)).collect())
    }

    fn probe(&mut self, _: &State) -> Result<StepLog> {
        let Self { model, config, train, .. } = self;
        Ok(model.clipped_gradients(&batch(train, model.step, config.batch), config).0)
    }

    /// Validation: how well does the model predict documents that it has not been trained on? Forward only, over the first
    /// so many validation documents, each with its first `n = min(T, tokens - 1)` positions, as in training:
    ///
    /// ```text
    /// nll     = sum over documents and positions of cross_entropy(logits [V], next token)
    /// tokens  = sum over documents of n
    /// loss    = nll / tokens                    in nats a token
    /// ```
    ///
    /// Every token counts alike, and so a long document for more than a short one, while a training step takes the mean of
    /// one document. A loss here that rises while the training's falls tells of a model that learns its documents by heart.
    fn evaluate(&mut self, documents: usize) -> Result<Evaluation> {
        let mut evaluation = Evaluation { nll: 0.0, tokens: 0 };
        for document in 0..documents.min(self.val.len()) {
            let nll = self.model.document_nll(self.val.get(document));
            evaluation.nll += nll.iter().sum::<f64>();
            evaluation.tokens += nll.len() as u64;
        }
        Ok(evaluation)
    }

    fn generate(&mut self, config: &SampleConfig, samples: Range<u64>) -> Result<Vec<Sample>> {
        Ok(samples.map(|sample_index| self.model.generate(config, sample_index)).collect())
    }

    fn download(&mut self) -> Result<State> {
        Ok(self.model.to_state())
    }

    fn upload(&mut self, state: &State) -> Result<()> {
        self.model = Model::from_state(state);
        Ok(())
    }
}
