//! The model that the page trains, with its corpus. Requests and replies are JSON.

use gpu_kernels::shape::RuntimeShape;
use microgpt::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig, num_params};
use microgpt::corpus::{self, Dataset, Documents};
use microgpt::device::cpu::Cpu;
use microgpt::device::{Device, State};
use microgpt::error::{Error, Result};
use microgpt::tokenizer::{BOS, Tokenizer};
use microgpt::weights::Weights;
use serde::{Deserialize, Serialize};

use self::look::{After, Letter, Look};
use self::plane::Plane;
use self::snapshots::Snapshots;
use self::trained::Trained;

mod look;
mod plane;
mod snapshots;
mod trained;

/// A request of the page.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    /// A new model, in place of any earlier one.
    Open(Open),
    /// The next `steps` steps of the run, or all that are left if these are fewer.
    Train { steps: u64 },
    /// A validation on the first `documents` validation documents.
    Validate { documents: usize },
    /// Samples of the current model.
    Sample { samples: u64, top_k: usize, temperature: f64 },
    /// The last layer's attention over a text.
    Attention { text: String },
    /// A hash of all that training changes.
    Hash,
    /// Training step `step`, counted from 1, with all that the kernels compute on the way.
    OpenStep { step: u64 },
    /// The model after `step` steps.
    After(After),
    /// The next letter of a text.
    NextLetter(Letter),
}

/// The settings of a run, under the names of the command line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {
    /// The text, one document a line. Without a text, the names are the corpus.
    #[serde(default)]
    corpus: Option<String>,
    /// Whether the text is that of [`Session::set_corpus`].
    #[serde(default)]
    own_corpus: bool,
    steps: u64,
    learning_rate: f64,
    seed: u64,
    n_embd: usize,
    n_head: usize,
    n_layer: usize,
    block_size: usize,
    /// The model of [`Session::set_trained`] in place of a new one.
    trained: Option<Trained>,
}

/// The reply to a request.
#[derive(Serialize)]
#[serde(untagged)]
enum Reply {
    /// The number of training and validation documents, the number of those that are longer than the block, V, and the
    /// number of parameters. The model has taken `step` steps.
    Opened { step: u64, train: usize, val: usize, cut: usize, vocab: usize, params: usize },
    /// The acceptance of a corpus.
    Accepted {},
    /// The number of steps taken so far, and the loss of each step of the request.
    Trained { step: u64, losses: Vec<f64> },
    /// The mean loss per token.
    Validated { val_loss: f64 },
    /// The sampled texts.
    Sampled { samples: Vec<String> },
    /// The tokens of the n positions, `<BOS>` first, and the probabilities `[H, n, n]` by head, query and key.
    Attention { tokens: Vec<String>, heads: Vec<Vec<Vec<f32>>> },
    /// FNV-1a over the bits of weights and moments, in hexadecimal.
    Hashed { hash: String },
    /// A look at a step of the run.
    Looked(Look),
    /// The report of an error, with its causes and its hint.
    Failed { error: String },
}

/// The name of the user's corpus in errors.
const CORPUS: &str = "your corpus";

/// The largest number of steps of a run.
const MAX_STEPS: u64 = 10_000_000;

/// The model that the page works with, if one is open, and the user's corpus.
#[derive(Default)]
pub struct Session {
    opened: Option<Opened>,
    corpus: Option<String>,
    /// The weights and both moments of a trained model, one after the other.
    trained: Vec<f32>,
    values: Vec<f32>,
}

/// A model in training.
struct Opened {
    cpu: Cpu,
    tokenizer: Tokenizer,
    shape: RuntimeShape,
    seed: u64,
    /// The number of steps of the whole run.
    steps: u64,
    /// The number of steps taken.
    step: u64,
    optimizer: OptimizerConfig,
    snapshots: Snapshots,
    /// The plane in which the embedding was drawn last.
    plane: Option<Plane>,
}

impl Session {
    /// Answers a request, with the report of an error if it fails.
    pub fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let reply = match serde_json::from_slice(request) {
            Ok(request) => self.serve(request).map_err(|error| error.report()),
            Err(error) => Err(format!("error: cannot understand the request\n  caused by: {error}")),
        };
        let reply = reply.unwrap_or_else(|error| Reply::Failed { error });
        serde_json::to_vec(&reply).unwrap_or_default()
    }

    /// Takes the user's corpus, and replies with the report of an error if it is none.
    pub fn set_corpus(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        // The old model and corpus are dropped first, since there may not be memory for two.
        (self.opened, self.corpus) = (None, None);
        let reply = match corpus::parse(bytes, CORPUS) {
            Ok(text) => {
                self.corpus = Some(text);
                Reply::Accepted {}
            }
            Err(error) => Reply::Failed { error: error.report() },
        };
        serde_json::to_vec(&reply).unwrap_or_default()
    }

    /// Takes a trained model's weights and both moments, one after the other, as little-endian values.
    pub fn set_trained(&mut self, bytes: &[u8]) {
        self.trained = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    }

    /// Returns the values of the buffers of the last step that was opened.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Serves a request.
    fn serve(&mut self, request: Request) -> Result<Reply> {
        if let Request::Open(open) = request {
            // The old model is dropped first, since there may not be memory for two.
            self.opened = None;
            let (opened, reply) = Opened::new(&open, self.corpus.as_deref(), &self.trained)?;
            self.opened = Some(opened);
            return Ok(reply);
        }
        let opened = self.opened.as_mut().ok_or_else(|| Error::usage("no model is open", ""))?;
        match request {
            Request::Train { steps } => opened.train(steps),
            Request::Validate { documents } => {
                Ok(Reply::Validated { val_loss: opened.cpu.evaluate(documents)?.loss() })
            }
            Request::Sample { samples, top_k, temperature } => {
                opened.sample_texts(samples, top_k, temperature).map(|samples| Reply::Sampled { samples })
            }
            Request::Attention { text } => opened.attention(&text),
            Request::Hash => Ok(Reply::Hashed { hash: opened.state_hash()? }),
            Request::OpenStep { step } => opened.open_step(step, &mut self.values).map(Reply::Looked),
            Request::After(after) => opened.look_after(&after).map(Reply::Looked),
            Request::NextLetter(letter) => opened.next_letter(&letter).map(Reply::Looked),
            Request::Open(_) => unreachable!("served above"),
        }
    }
}

impl Opened {
    /// Opens a model, and replies with its sizes.
    fn new(open: &Open, own_corpus: Option<&str>, values: &[f32]) -> Result<(Self, Reply)> {
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
        let state = match trained {
            Some(trained) => trained.state(shape, values)?,
            None => State::new(Weights::init(shape, seed)),
        };
        let cpu = Cpu::new(config, &dataset, &state)?;
        let longer = |documents: &Documents| {
            (0..documents.len()).filter(|&i| documents.get(i).len() - 1 > documents.positions(i, block_size)).count()
        };
        let reply = Reply::Opened {
            step: state.step,
            train: dataset.train.len(),
            val: dataset.val.len(),
            cut: longer(&dataset.train) + longer(&dataset.val),
            vocab,
            params: num_params(shape),
        };
        let (tokenizer, step, snapshots) = (dataset.tokenizer, state.step, Snapshots::new(state));
        Ok((Self { cpu, tokenizer, shape, seed, steps, step, optimizer, snapshots, plane: None }, reply))
    }

    /// Takes the next steps, up to the end of the run.
    fn train(&mut self, steps: u64) -> Result<Reply> {
        let (end, mut losses) = (self.steps.min(self.step.saturating_add(steps)), Vec::new());
        while self.step < end {
            let launch = self.snapshots.until_next(self.step).min(end - self.step);
            let log = self.cpu.train(launch as usize)?;
            if let Some(i) = log.iter().position(|log| !log.loss.is_finite() || !log.grad_norm.is_finite()) {
                let step = self.step + i as u64 + 1;
                return Err(Error::usage(
                    format!("training diverged at step {step}"),
                    "lower the learning rate, for example to 0.01",
                ));
            }
            self.step += launch;
            losses.extend(log.iter().map(|log| log.loss));
            if self.snapshots.wants(self.step) {
                self.snapshots.push(self.cpu.download()?);
            }
        }
        Ok(Reply::Trained { step: self.step, losses })
    }

    /// Draws `samples` samples, from index 0 on.
    fn sample_texts(&mut self, samples: u64, top_k: usize, temperature: f64) -> Result<Vec<String>> {
        let config =
            SampleConfig { top_k, temperature, min_p: 0.0, top_p: 1.0, seed: self.seed, prompt: &[], logprobs: false };
        let samples = self.cpu.generate(&config, 0..samples)?;
        Ok(samples.iter().map(|sample| self.tokenizer.decode(&sample.tokens)).collect())
    }

    /// Returns the name of a token.
    fn name(&self, token: u32) -> String {
        if token == BOS { "<BOS>".to_owned() } else { self.tokenizer.decode(&[token]) }
    }

    /// Returns the last layer's attention.
    fn attention(&mut self, text: &str) -> Result<Reply> {
        let document = self.tokenizer.encode(text)?;
        let attention = self.cpu.attention(&document)?;
        let n = self.shape.block_size.min(document.len() as u32 - 1) as usize;
        let rows = |head: &[f32]| head.chunks(n).map(<[f32]>::to_vec).collect();
        Ok(Reply::Attention {
            tokens: document[..n].iter().map(|&token| self.name(token)).collect(),
            heads: attention.chunks(n * n).map(rows).collect(),
        })
    }

    /// Hashes weights and moments.
    fn state_hash(&mut self) -> Result<String> {
        let state = self.cpu.download()?;
        let values = [&state.weights, &state.m, &state.v].into_iter().flat_map(|array| &array.values);
        let hash = values
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, x| (hash ^ u64::from(x.to_bits())).wrapping_mul(0x0100_0000_01b3));
        Ok(format!("{hash:016x}"))
    }
}
