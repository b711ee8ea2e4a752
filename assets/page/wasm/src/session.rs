//! The model that the page trains, with its corpus. Requests and replies are JSON.

use microgpt::corpus;
use microgpt::device::Device;
use microgpt::error::{Error, Result};
use serde::{Deserialize, Serialize};

use self::look::{After, Letter, Look};
use self::opened::{Attention, CORPUS, Open, Opened, Sizes};

mod look;
mod opened;
mod plane;
mod report;
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

/// The reply to a request.
#[derive(Serialize)]
#[serde(untagged)]
enum Reply {
    /// The sizes of a new model and its corpus.
    Opened(Sizes),
    /// The acceptance of a corpus.
    Accepted {},
    /// The number of steps taken so far, and the loss of each step of the request.
    Trained { step: u64, losses: Vec<f64> },
    /// The mean loss per token.
    Validated { val_loss: f64 },
    /// The sampled texts.
    Sampled { samples: Vec<String> },
    /// The attention over a text.
    Attention(Attention),
    /// FNV-1a over the bits of weights and moments, in hexadecimal.
    Hashed { hash: String },
    /// A look at a step of the run.
    Looked(Look),
    /// The report of an error, with its causes and its hint.
    Failed { error: String },
}

/// The model that the page works with, if one is open, and the user's corpus.
#[derive(Default)]
pub struct Session {
    opened: Option<Opened>,
    corpus: Option<String>,
    /// The weights and both moments of a trained model, one after the other.
    trained: Vec<f32>,
    values: Vec<f32>,
}

impl Session {
    /// Answers a request, with the report of an error if it fails.
    pub fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let reply = match serde_json::from_slice(request) {
            Ok(request) => self.serve(request).map_err(|error| report::report(&error)),
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
            Err(error) => Reply::Failed { error: report::report(&error) },
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
            let (opened, sizes) = Opened::new(&open, self.corpus.as_deref(), &self.trained)?;
            self.opened = Some(opened);
            return Ok(Reply::Opened(sizes));
        }
        let opened = self.opened.as_mut().ok_or_else(|| Error::usage("no model is open", ""))?;
        match request {
            Request::Train { steps } => opened.train(steps).map(|(step, losses)| Reply::Trained { step, losses }),
            Request::Validate { documents } => {
                opened.expect_finite()?;
                Ok(Reply::Validated { val_loss: opened.cpu.evaluate(documents)?.loss() })
            }
            Request::Sample { samples, top_k, temperature } => {
                opened.sample_texts(samples, top_k, temperature).map(|samples| Reply::Sampled { samples })
            }
            Request::Attention { text } => opened.attention(&text).map(Reply::Attention),
            Request::Hash => Ok(Reply::Hashed { hash: opened.state_hash()? }),
            Request::OpenStep { step } => opened.open_step(step, &mut self.values).map(Reply::Looked),
            Request::After(after) => opened.look_after(&after).map(Reply::Looked),
            Request::NextLetter(letter) => opened.next_letter(&letter).map(Reply::Looked),
            Request::Open(_) => unreachable!("served above"),
        }
    }
}
