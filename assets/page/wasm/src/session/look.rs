//! Looks at any step of a run: the step opened, the model after it, and the next letter. A look leaves the run as it is.

use gpu_kernels::shape::Shape;
use microgpt::config::{OptimizerConfig, SampleConfig};
use microgpt::device::{Device, State};
use microgpt::error::{Error, Result};
use microgpt::tokenizer::BOS;
use microgpt::weights::Weights;
use serde::{Deserialize, Serialize};

use super::opened::{Attention, Opened, not_finite};
use super::plane;

/// The most parameters of a model whose step is opened. More would be too many to draw.
const MOST_PARAMS: usize = 200_000;

/// A look at the model after a step.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    /// The number of steps that the model has taken.
    step: u64,
    /// The number of samples.
    samples: u64,
    top_k: usize,
    temperature: f64,
    /// The text that the attention goes over.
    text: String,
}

/// The way in which the next letter is drawn.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Letter {
    /// The number of steps that the model has taken.
    step: u64,
    /// The text so far.
    text: String,
    top_k: usize,
    temperature: f64,
    /// The index of a sample that begins with the text, if the rest of it is to be drawn.
    sample: Option<u64>,
}

/// The reply to a look.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Look {
    /// A training step. The values of its buffers follow each other in [`super::Session::values`].
    Step(Box<OpenedStep>),
    /// The model after a step.
    After(Box<ModelAfter>),
    /// The probabilities of each next token at the positions from the text's end on: those of the model, those from
    /// which it draws, and those before training. The letters after the text are drawn.
    Letters { tokens: Vec<String>, letters: Vec<String>, rows: Vec<Row> },
}

/// The model after `step` steps.
#[derive(Serialize)]
pub(super) struct ModelAfter {
    step: u64,
    /// The loss of the step that led to the model, if there was one.
    loss: Option<f64>,
    hash: String,
    samples: Vec<String>,
    /// The last layer's attention over the text, or an error.
    attention: Shown,
    vocab: Vec<String>,
    /// The place of each token's embedding in a plane that is the same for all steps of a finished run.
    plane: Vec<[f64; 2]>,
    /// The largest coordinates in the plane after the last step.
    extent: [f64; 2],
}

/// The attention that is shown, or why there is none.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown {
    Attention(Attention),
    Failed { error: String },
}

/// A training step.
#[derive(Serialize)]
pub(super) struct OpenedStep {
    /// The number of the step, from 1.
    step: u64,
    loss: f64,
    grad_norm: f64,
    /// The factor that clips the gradient.
    clip: f64,
    optimizer: Optimizer,
    /// The names of the document's tokens up to the last target.
    tokens: Vec<String>,
    /// The numbers of these tokens.
    ids: Vec<u32>,
    /// The names of the vocabulary.
    vocab: Vec<String>,
    heads: usize,
    layers: usize,
    buffers: Vec<Buffer>,
}

/// The constants of the step's update.
#[derive(Serialize)]
struct Optimizer {
    learning_rate: f64,
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    max_grad_norm: f64,
}

/// The place of a buffer in [`super::Session::values`].
#[derive(Serialize)]
struct Buffer {
    name: String,
    shape: Vec<usize>,
    at: usize,
}

/// The probabilities of the next token, by token.
#[derive(Serialize)]
pub(super) struct Row {
    model: Vec<f32>,
    drawn_from: Vec<f64>,
    /// Those before the first step, if its weights are known.
    untrained: Option<Vec<f32>>,
}

impl Opened {
    /// Opens training step `step`, counted from 1. The buffers' values replace `values`.
    pub(super) fn open_step(&mut self, step: u64, values: &mut Vec<f32>) -> Result<Look> {
        let params = microgpt::config::num_params(self.shape);
        if params > MOST_PARAMS {
            let message = format!("a step is shown of models of up to {MOST_PARAMS} parameters, this one has {params}");
            return Err(Error::usage(message, "lower n_embd or n_layer"));
        }
        // A run that the program has ended has no step to open but the one that would follow.
        let (first, last) = (self.snapshots.first().step + 1, self.steps.max(self.snapshots.first().step + 1));
        if !(first..=last).contains(&step) {
            return Err(Error::usage(format!("the step must be from {first} to {last}, got {step}"), ""));
        }
        let opened = self.after(step - 1, |opened| opened.cpu.opened_step())?;
        let mut buffers = Vec::new();
        values.clear();
        let mut push = |name: String, shape: &[usize], array: &[f32]| {
            buffers.push(Buffer { name, shape: shape.to_vec(), at: values.len() });
            values.extend(array);
        };
        for buffer in &opened.values {
            push(buffer.name.clone(), &buffer.shape, &buffer.values);
        }
        let State { weights, m, v, .. } = &opened.before;
        let arrays: [(&str, &Weights); 7] = [
            ("", weights),
            (".grad", &opened.gradients),
            (".m_before", m),
            (".v_before", v),
            (".m", &opened.after.m),
            (".v", &opened.after.v),
            (".after", &opened.after.weights),
        ];
        for (suffix, array) in arrays {
            for (tensor, values) in array.tensors() {
                push(format!("{tensor}{suffix}"), &tensor.shape(), values);
            }
        }
        if !values.iter().all(|value| value.is_finite()) || !opened.log.grad_norm.is_finite() {
            return Err(not_finite());
        }
        let OptimizerConfig { beta1, beta2, eps, weight_decay, max_grad_norm, .. } = self.optimizer;
        let learning_rate = self.optimizer.learning_rate_at(step - 1, self.steps);
        let norm = opened.log.grad_norm;
        let ids = opened.document[..opened.document.len().min(self.shape.block_size() + 1)].to_vec();
        Ok(Look::Step(Box::new(OpenedStep {
            step,
            loss: opened.log.loss,
            grad_norm: norm,
            clip: if norm > max_grad_norm { max_grad_norm / norm } else { 1.0 },
            optimizer: Optimizer { learning_rate, beta1, beta2, eps, weight_decay, max_grad_norm },
            tokens: ids.iter().map(|&token| self.name(token)).collect(),
            ids,
            vocab: self.vocabulary(),
            heads: self.shape.n_head(),
            layers: self.shape.n_layer(),
            buffers,
        })))
    }

    /// Looks at the model after a step.
    pub(super) fn look_after(&mut self, after: &After) -> Result<Look> {
        let &After { step, samples, temperature, .. } = after;
        let top_k = after.top_k.min(self.shape.vocab());
        self.expect_taken(step)?;
        let (c, numel) = (self.shape.n_embd(), self.shape.vocab() * self.shape.n_embd());
        let latest = self.cpu.download()?.weights.values[..numel].to_vec();
        let plane = plane::fit(&latest, c, self.plane.as_ref());
        let places = plane::project(&latest, c, &plane);
        let extent = [0, 1].map(|axis| places.iter().fold(0.0, |most: f64, place| most.max(place[axis].abs())));
        let had_step = step > self.snapshots.first().step;
        let look = self.after(step - u64::from(had_step), |opened| {
            let loss = if had_step { opened.cpu.train(1)?.first().map(|log| log.loss) } else { None };
            let embedding = opened.cpu.download()?.weights.values[..numel].to_vec();
            Ok(Look::After(Box::new(ModelAfter {
                step,
                loss,
                hash: opened.state_hash()?,
                samples: opened.sample_texts(samples, top_k, temperature)?,
                attention: opened
                    .attention(&after.text)
                    .map_or_else(|error| Shown::Failed { error: super::report::report(&error) }, Shown::Attention),
                vocab: opened.vocabulary(),
                plane: plane::project(&embedding, c, &plane),
                extent,
            })))
        });
        self.plane = Some(plane);
        look
    }

    /// Looks at the next letter, or draws all letters up to the end of a sample.
    pub(super) fn next_letter(&mut self, letter: &Letter) -> Result<Look> {
        let &Letter { step, temperature, sample, .. } = letter;
        let top_k = letter.top_k.min(self.shape.vocab());
        let text = self.encode(&letter.text)?;
        let config = SampleConfig {
            top_k,
            temperature,
            min_p: 0.0,
            top_p: 1.0,
            seed: self.seed,
            prompt: &text,
            logprobs: false,
        };
        let mut document = [&[BOS], &text[..]].concat();
        let models = self.after(step, |opened| {
            opened.expect_finite()?;
            // The prompt and the configuration are checked even if nothing is drawn.
            let samples = opened.cpu.generate(&config, sample.map_or(0..0, |i| i..i + 1))?;
            document.extend(samples.iter().flat_map(|sample| &sample.tokens[text.len()..]));
            document.push(BOS);
            opened.cpu.predictions(&document)
        })?;
        let untrained = self.untrained(&document)?;
        let v = self.shape.vocab();
        let rows = models.chunks(v).enumerate().skip(text.len());
        let rows = rows.map(|(i, model)| Row {
            model: model.to_vec(),
            drawn_from: drawn_from(model, top_k, temperature),
            untrained: untrained.as_ref().map(|untrained| untrained[i * v..(i + 1) * v].to_vec()),
        });
        // A sample that fills the block ends without `<BOS>`.
        let end = document.len().min(self.shape.block_size() + 1);
        let letters = if sample.is_some() { &document[text.len() + 1..end] } else { &[] };
        Ok(Look::Letters {
            tokens: self.vocabulary(),
            letters: letters.iter().map(|&token| self.name(token)).collect(),
            rows: rows.collect(),
        })
    }

    /// Returns the predictions `[n, V]` of the model before its first step, if its weights are known.
    fn untrained(&mut self, document: &[u32]) -> Result<Option<Vec<f32>>> {
        if self.snapshots.first().step == 0 {
            return self.after(0, |opened| opened.cpu.predictions(document)).map(Some);
        }
        let Some(initial) = self.initial.clone() else { return Ok(None) };
        let now = self.cpu.download()?;
        self.cpu.upload(&State::new(initial))?;
        let predictions = self.cpu.predictions(document);
        self.cpu.upload(&now)?;
        predictions.map(Some)
    }

    /// Returns the result of `look` on the model after `step` steps, which are computed again from a snapshot.
    fn after<R>(&mut self, step: u64, look: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        self.expect_taken(step)?;
        let now = self.cpu.download()?;
        let looked = self.go_to(step).and_then(|()| look(self));
        self.cpu.upload(&now)?;
        looked
    }

    /// Rejects a step that the run has not taken yet, or took before the page had the model.
    fn expect_taken(&self, step: u64) -> Result<()> {
        let first = self.snapshots.first().step;
        if step < first {
            return Err(Error::usage(format!("the page has the model from step {first} on, not from {step}"), ""));
        }
        if step > self.step {
            let message = format!("the model has taken {} steps, so there is no state after {step}", self.step);
            return Err(Error::usage(message, "train first"));
        }
        Ok(())
    }

    /// Puts the state after `step` steps on the device.
    fn go_to(&mut self, step: u64) -> Result<()> {
        if step == self.step {
            return Ok(());
        }
        self.rewind(step)
    }

    /// Puts the state after `step` steps on the device, whatever state the device has.
    pub(super) fn rewind(&mut self, step: u64) -> Result<()> {
        let snapshot = self.snapshots.before(step);
        self.cpu.upload(snapshot)?;
        self.cpu.train((step - snapshot.step) as usize).map(drop)
    }

    /// Returns the names of all tokens.
    fn vocabulary(&self) -> Vec<String> {
        (0..self.shape.vocab).map(|token| self.name(token)).collect()
    }
}

/// Returns the probabilities from which a token is drawn: those of the `top_k` likeliest tokens, of which ties go to the
/// lower one, raised to the power `1 / temperature`. A temperature of 0 leaves the likeliest token.
fn drawn_from(model: &[f32], top_k: usize, temperature: f64) -> Vec<f64> {
    let mut ranked: Vec<usize> = (0..model.len()).collect();
    ranked.sort_by(|&a, &b| model[b].total_cmp(&model[a]).then(a.cmp(&b)));
    let mut weights = vec![0.0; model.len()];
    let kept = if temperature == 0.0 { 1 } else { top_k };
    for &token in ranked.iter().take(kept) {
        // The quotient with the largest probability keeps the power from vanishing.
        let share = f64::from(model[token]) / f64::from(model[ranked[0]]);
        weights[token] = if temperature == 0.0 { 1.0 } else { share.powf(1.0 / temperature) };
    }
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}
