//! A model, its corpus and its run, asked and answering in JSON.

use gpu_kernels::shape::RuntimeShape;
use microgpt::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig, num_params};
use microgpt::corpus::{self, Dataset};
use microgpt::device::cpu::Cpu;
use microgpt::device::{Device, State};
use microgpt::error::{Error, Result};
use microgpt::tokenizer::{BOS, Tokenizer};
use microgpt::weights::Weights;
use serde::{Deserialize, Serialize};

/// What the page asks for.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// A new model on a corpus, in place of any earlier one.
    Open(Open),
    /// The next steps of the run.
    Train {
        /// How many; no more than the run has left.
        steps: u64,
    },
    /// The mean loss on the first validation documents.
    Validate {
        /// How many.
        documents: usize,
    },
    /// Samples of the model as it is.
    Sample(Sample),
    /// The last layer's attention over a text.
    Attention {
        /// Characters of the vocabulary.
        text: String,
    },
    /// One number of every bit that training changes.
    Hash,
}

/// A run: the settings of the command line, under the same names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// The text, one document a line; the embedded names if there is none.
    corpus: Option<String>,
    steps: u64,
    learning_rate: f64,
    seed: u64,
    n_embd: usize,
    n_head: usize,
    n_layer: usize,
    block_size: usize,
}

/// How to sample.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    samples: u64,
    top_k: usize,
    temperature: f64,
}

/// What the page is told.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// Of [`Request::Open`].
    Opened {
        /// Training documents.
        train: usize,
        /// Validation documents.
        val: usize,
        /// V.
        vocab: usize,
        /// The characters of the vocabulary.
        chars: String,
        /// Parameters.
        params: usize,
    },
    /// Of [`Request::Train`].
    Trained {
        /// Steps taken so far.
        step: u64,
        /// The loss of each of the steps.
        losses: Vec<f64>,
    },
    /// Of [`Request::Validate`].
    Validated {
        /// The mean loss a token.
        val_loss: f64,
    },
    /// Of [`Request::Sample`].
    Sampled {
        /// The texts.
        samples: Vec<String>,
    },
    /// Of [`Request::Attention`].
    Attention {
        /// The tokens of the n positions, `<BOS>` first.
        tokens: Vec<String>,
        /// `[H, n, n]`: for each head and query the probabilities of the keys.
        heads: Vec<Vec<Vec<f32>>>,
    },
    /// Of [`Request::Hash`].
    Hashed {
        /// FNV-1a over the bits of weights and moments, in hexadecimal.
        hash: String,
    },
    /// Of a request that failed.
    Failed {
        /// What went wrong and what to do about it.
        error: String,
    },
}

/// Steps of a run at most: what a person could wait for.
const MAX_STEPS: u64 = 10_000_000;

/// The model that the page works with.
#[derive(Default)]
pub struct Session(Option<Opened>);

struct Opened {
    cpu: Cpu,
    tokenizer: Tokenizer,
    shape: RuntimeShape,
    seed: u64,
    steps: u64,
    step: u64,
}

impl Session {
    /// Answers a request in JSON, whatever it is.
    pub fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let reply = serde_json::from_slice(request)
            .map_err(|error| Error::new("the request makes no sense").caused_by(error))
            .and_then(|request| self.serve(request))
            .unwrap_or_else(|error| Reply::Failed { error: error.report() });
        serde_json::to_vec(&reply).unwrap_or_default()
    }

    fn serve(&mut self, request: Request) -> Result<Reply> {
        if let Request::Open(open) = request {
            // The old model goes first: there may not be memory for two.
            self.0 = None;
            let (opened, reply) = Opened::new(&open)?;
            self.0 = Some(opened);
            return Ok(reply);
        }
        let opened = self.0.as_mut().ok_or_else(|| Error::new("no model is open"))?;
        match request {
            Request::Train { steps } => opened.train(steps),
            Request::Validate { documents } => {
                Ok(Reply::Validated { val_loss: opened.cpu.evaluate(documents)?.loss() })
            }
            Request::Sample(sample) => opened.sample(&sample),
            Request::Attention { text } => opened.attention(&text),
            Request::Hash => opened.hash(),
            Request::Open(_) => unreachable!("served above"),
        }
    }
}

impl Opened {
    fn new(open: &Open) -> Result<(Self, Reply)> {
        let &Open { steps, learning_rate, seed, n_embd, n_head, n_layer, block_size, .. } = open;
        if !(1..=MAX_STEPS).contains(&steps) {
            return Err(Error::new(format!("{steps} steps")).hint(format!("choose from 1 to {MAX_STEPS}")));
        }
        // The kernels compute in `f32`.
        if !(0.0..=f64::from(f32::MAX)).contains(&learning_rate) {
            return Err(Error::new(format!("a learning rate of {learning_rate}")).hint("the default is 0.01"));
        }
        let text = match &open.corpus {
            Some(text) => corpus::parse(text.as_bytes().to_vec(), "your corpus")?,
            None => corpus::EMBEDDED.to_owned(),
        };
        let documents: Vec<&str> = corpus::documents(&text).collect();
        let dataset = Dataset::new(&documents, Some(seed), None)?;
        let vocab = dataset.tokenizer.vocab_size();
        let shape = ModelConfig { n_embd, n_head, n_layer, block_size }.shape(vocab)?;
        let config =
            TrainConfig { steps, batch: 1, optimizer: OptimizerConfig { learning_rate, ..OptimizerConfig::default() } };
        let cpu = Cpu::new(config, &dataset, &State::new(Weights::init(shape, seed)))?;
        let reply = Reply::Opened {
            train: dataset.train.len(),
            val: dataset.val.len(),
            vocab,
            chars: dataset.tokenizer.chars().iter().collect(),
            params: num_params(shape),
        };
        Ok((Self { cpu, tokenizer: dataset.tokenizer, shape, seed, steps, step: 0 }, reply))
    }

    fn train(&mut self, steps: u64) -> Result<Reply> {
        let steps = steps.min(self.steps - self.step);
        let log = self.cpu.train(steps as usize)?;
        if let Some(i) = log.iter().position(|log| !log.loss.is_finite() || !log.grad_norm.is_finite()) {
            let step = self.step + i as u64 + 1;
            return Err(Error::new(format!("training diverged at step {step}")).hint("lower the learning rate"));
        }
        self.step += steps;
        Ok(Reply::Trained { step: self.step, losses: log.iter().map(|log| log.loss).collect() })
    }

    fn sample(&mut self, sample: &Sample) -> Result<Reply> {
        let &Sample { samples, top_k, temperature } = sample;
        let config = SampleConfig { top_k, temperature, seed: self.seed, prompt: &[], logprobs: false };
        let samples = self.cpu.generate(&config, 0..samples)?;
        Ok(Reply::Sampled { samples: samples.iter().map(|sample| self.tokenizer.decode(&sample.tokens)).collect() })
    }

    fn attention(&mut self, text: &str) -> Result<Reply> {
        let document = self.tokenizer.encode(text)?;
        let attention = self.cpu.attention(&document)?;
        let n = self.shape.block_size.min(document.len() as u32 - 1) as usize;
        let name = |&token: &u32| if token == BOS { "<BOS>".to_owned() } else { self.tokenizer.decode(&[token]) };
        let rows = |head: &[f32]| head.chunks(n).map(<[f32]>::to_vec).collect();
        Ok(Reply::Attention {
            tokens: document[..n].iter().map(name).collect(),
            heads: attention.chunks(n * n).map(rows).collect(),
        })
    }

    fn hash(&mut self) -> Result<Reply> {
        let state = self.cpu.download()?;
        let values = [&state.weights, &state.m, &state.v].into_iter().flat_map(|array| &array.values);
        let hash = values
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, x| (hash ^ u64::from(x.to_bits())).wrapping_mul(0x0100_0000_01b3));
        Ok(Reply::Hashed { hash: format!("{hash:016x}") })
    }
}
