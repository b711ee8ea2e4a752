//! The model in training, with its run.

use gpu_kernels::shape::RuntimeShape;
use microgpt::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig, num_params};
use microgpt::corpus::{self, Dataset, Documents};
use microgpt::device::cpu::Cpu;
use microgpt::device::{Device, State};
use microgpt::error::{Error, Result};
use microgpt::tokenizer::{BOS, Tokenizer};
use microgpt::weights::Weights;
use serde::{Deserialize, Serialize};

use super::plane::Plane;
use super::snapshots::Snapshots;
use super::trained::Trained;

/// The settings of a run, under the names of the command line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Open {
    /// The text, one document a line. Without a text, the names are the corpus.
    #[serde(default)]
    corpus: Option<String>,
    /// Whether the text is that of [`super::Session::set_corpus`].
    #[serde(default)]
    own_corpus: bool,
    steps: u64,
    learning_rate: f64,
    seed: u64,
    n_embd: usize,
    n_head: usize,
    n_layer: usize,
    block_size: usize,
    /// The model of [`super::Session::set_trained`] in place of a new one.
    trained: Option<Trained>,
}

/// The sizes of a model and its corpus.
#[derive(Serialize)]
pub(super) struct Sizes {
    /// The number of steps that the model has taken.
    step: u64,
    /// The number of training documents.
    train: usize,
    /// The number of validation documents.
    val: usize,
    /// The number of documents that are longer than the block.
    cut: usize,
    /// V.
    vocab: usize,
    /// The number of parameters.
    params: usize,
    /// A text for examples, [`EXAMPLE`] or the first document if the model lacks a character of it.
    example: String,
}

/// The last layer's attention over a text.
#[derive(Serialize)]
pub(super) struct Attention {
    /// The tokens of the n positions, `<BOS>` first.
    tokens: Vec<String>,
    /// The probabilities `[H, n, n]` by head, query and key.
    heads: Vec<Vec<Vec<f32>>>,
}

/// The text for examples.
const EXAMPLE: &str = "maria";

/// The most characters of a document that becomes the text for examples.
const EXAMPLE_CHARS: usize = 16;

/// The name of the user's corpus in errors.
pub(super) const CORPUS: &str = "your corpus";

/// The hint for a run that diverges.
const LOWER: &str = "lower the learning rate and train again";

/// The most characters of the vocabulary that a hint lists.
const LISTED: u32 = 40;

/// The largest number of steps of a run.
const MAX_STEPS: u64 = 10_000_000;

/// A model in training.
pub(super) struct Opened {
    pub cpu: Cpu,
    pub tokenizer: Tokenizer,
    pub shape: RuntimeShape,
    pub seed: u64,
    /// The number of steps of the whole run.
    pub steps: u64,
    /// The number of steps taken.
    pub step: u64,
    pub optimizer: OptimizerConfig,
    pub snapshots: Snapshots,
    /// The weights before the first step, if the snapshots begin later and the weights are known.
    pub initial: Option<Weights>,
    /// The plane in which the embedding was drawn last.
    pub plane: Option<Plane>,
}

impl Opened {
    /// Opens a model, and returns its sizes.
    pub fn new(open: &Open, own_corpus: Option<&str>, values: &[f32]) -> Result<(Self, Sizes)> {
        let &Open { steps, learning_rate, seed, n_embd, n_head, n_layer, block_size, .. } = open;
        if !(1..=MAX_STEPS).contains(&steps) {
            return Err(Error::usage(format!("the steps must be from 1 to {MAX_STEPS}, got {steps}"), ""));
        }
        // The kernels compute in `f32`.
        if !(0.0..=f64::from(f32::MAX)).contains(&learning_rate) {
            let message = format!("the learning rate must be from 0 to {:e}, got {learning_rate}", f32::MAX);
            return Err(Error::usage(message, ""));
        }
        let given = match &open.corpus {
            Some(text) => Some(corpus::parse(text.as_bytes().to_vec(), CORPUS)?),
            None => None,
        };
        let own_corpus = own_corpus.filter(|_| open.own_corpus);
        let text = given.as_deref().or(own_corpus).unwrap_or(corpus::EMBEDDED);
        let documents: Vec<&str> = corpus::documents(text).collect();
        let trained = open.trained.as_ref();
        let tokenizer =
            trained.map(|trained| Tokenizer::from_chars(trained.vocabulary.chars().collect())).transpose()?;
        let is_shuffled = trained.is_none_or(|trained| trained.shuffle);
        let dataset = Dataset::new(&documents, is_shuffled.then_some(seed), tokenizer)?;
        let vocab = dataset.tokenizer.vocab_size();
        let shape = ModelConfig { n_embd, n_head, n_layer, block_size }.shape(vocab)?;
        let optimizer = OptimizerConfig { learning_rate, ..OptimizerConfig::default() };
        let config = TrainConfig { steps, batch: 1, optimizer };
        let initial = trained.and_then(|trained| trained.initial(shape));
        let state = match trained {
            Some(trained) => trained.state(shape, values)?,
            None => State::new(Weights::init(shape, seed)),
        };
        let cpu = Cpu::new(config, &dataset, &state)?;
        let longer = |documents: &Documents| {
            (0..documents.len()).filter(|&i| documents.get(i).len() - 1 > documents.positions(i, block_size)).count()
        };
        let sizes = Sizes {
            step: state.step,
            train: dataset.train.len(),
            val: dataset.val.len(),
            cut: longer(&dataset.train) + longer(&dataset.val),
            vocab,
            params: num_params(shape),
            example: match dataset.tokenizer.encode_text(EXAMPLE) {
                Ok(_) => EXAMPLE.to_owned(),
                Err(_) => documents.first().map_or("", |first| *first).chars().take(EXAMPLE_CHARS).collect(),
            },
        };
        let (tokenizer, step, snapshots) = (dataset.tokenizer, state.step, Snapshots::new(state));
        Ok((Self { cpu, tokenizer, shape, seed, steps, step, optimizer, snapshots, initial, plane: None }, sizes))
    }

    /// Takes the next steps, up to the end of the run or the last step before it diverges. Returns the number of steps
    /// taken so far, and the loss of each of these.
    ///
    /// # Errors
    ///
    /// If the first of the next steps diverges.
    pub fn train(&mut self, steps: u64) -> Result<(u64, Vec<f64>)> {
        let (end, mut losses) = (self.steps.min(self.step.saturating_add(steps)), Vec::new());
        while self.step < end {
            let launch = self.snapshots.until_next(self.step).min(end - self.step);
            let log = self.cpu.train(launch as usize)?;
            if let Some(i) = log.iter().position(|log| !log.loss.is_finite() || !log.grad_norm.is_finite()) {
                // The kernels have gone on, so the model is put back to its last state in numbers.
                self.step += i as u64;
                self.rewind(self.step)?;
                losses.extend(log[..i].iter().map(|log| log.loss));
                if losses.is_empty() {
                    let message =
                        format!("training diverged at step {}, whose loss is no longer a number", self.step + 1);
                    return Err(Error::usage(message, LOWER));
                }
                break;
            }
            self.step += launch;
            losses.extend(log.iter().map(|log| log.loss));
            if self.snapshots.wants(self.step) {
                self.snapshots.push(self.cpu.download()?);
            }
        }
        Ok((self.step, losses))
    }

    /// Rejects a model whose predictions are no longer numbers.
    pub fn expect_finite(&mut self) -> Result<()> {
        let predictions = self.cpu.predictions(&[BOS, BOS])?;
        if predictions.iter().all(|p| p.is_finite()) { Ok(()) } else { Err(not_finite()) }
    }

    /// Draws `samples` samples, from index 0 on.
    pub fn sample_texts(&mut self, samples: u64, top_k: usize, temperature: f64) -> Result<Vec<String>> {
        self.expect_finite()?;
        let config =
            SampleConfig { top_k, temperature, min_p: 0.0, top_p: 1.0, seed: self.seed, prompt: &[], logprobs: false };
        let samples = self.cpu.generate(&config, 0..samples)?;
        Ok(samples.iter().map(|sample| self.tokenizer.decode(&sample.tokens)).collect())
    }

    /// Returns the name of a token.
    pub fn name(&self, token: u32) -> String {
        if token == BOS { "<BOS>".to_owned() } else { self.tokenizer.decode(&[token]) }
    }

    /// Returns the tokens of a text without `<BOS>`. The error for an unknown character lists the known ones.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.tokenizer.encode_text(text).map_err(|error| match error {
            Error::UnknownCharacter { character } => {
                let lower =
                    character.to_lowercase().find(|&lower| self.tokenizer.encode_text(&lower.to_string()).is_ok());
                let hint = match lower {
                    Some(lower) if lower != character => format!("write `{lower}` in lower case"),
                    _ => {
                        let known: String =
                            (1..self.shape.vocab.min(LISTED + 1)).map(|token| self.name(token)).collect();
                        format!("use the characters {known}{}", if self.shape.vocab > LISTED + 1 { "…" } else { "" })
                    }
                };
                Error::usage(error.to_string(), hint)
            }
            other => other,
        })
    }

    /// Returns the last layer's attention.
    pub fn attention(&mut self, text: &str) -> Result<Attention> {
        let text = self.encode(text)?;
        let document = [&[BOS], &text[..], &[BOS]].concat();
        let attention = self.cpu.attention(&document)?;
        if !attention.iter().all(|p| p.is_finite()) {
            return Err(not_finite());
        }
        let n = self.shape.block_size.min(document.len() as u32 - 1) as usize;
        let rows = |head: &[f32]| head.chunks(n).map(<[f32]>::to_vec).collect();
        Ok(Attention {
            tokens: document[..n].iter().map(|&token| self.name(token)).collect(),
            heads: attention.chunks(n * n).map(rows).collect(),
        })
    }

    /// Hashes weights and moments.
    pub fn state_hash(&mut self) -> Result<String> {
        let state = self.cpu.download()?;
        let values = [&state.weights, &state.m, &state.v].into_iter().flat_map(|array| &array.values);
        let hash = values
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, x| (hash ^ u64::from(x.to_bits())).wrapping_mul(0x0100_0000_01b3));
        Ok(format!("{hash:016x}"))
    }
}

/// Returns the error for a model that has diverged.
pub(super) fn not_finite() -> Error {
    Error::usage("the model’s values are no longer numbers", LOWER)
}
