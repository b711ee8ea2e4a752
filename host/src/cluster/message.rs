//! The messages between rank 0, which commands, and the others, which serve.

use gpu_kernels::shape::RuntimeShape;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::config::TrainConfig;
use crate::corpus::{Dataset, Drawing};
use crate::device::{DeviceKind, Evaluation, ModelSetup, State};
use crate::error::{Error, Result};
use crate::weights::Weights;

/// A command of rank 0.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Command {
    /// Starts the threads, or one for each of the rank's cores, and chooses the GPU.
    Start { threads: Option<usize>, gpu: Option<usize> },
    /// Opens a model that all ranks train together.
    Open { device: DeviceKind, dataset: Documents, setup: Setup },
    /// Takes part in the next steps of that model.
    Train { steps: usize },
    /// Evaluates this rank's share of the first validation documents.
    Evaluate { documents: usize },
    /// Collects the moments of all weights of that model.
    CollectMoments,
    /// Replaces the state of that model.
    Upload { state: Tensors },
    /// Asks how many slices the rank computes at a time.
    Ask,
    /// Keeps the documents of a group of a sweep.
    Keep { group: usize, dataset: Documents },
    /// Trains a member of a sweep for a while.
    Slice(SliceTask),
    /// Ends the service.
    End,
}

/// An answer to a command.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// The work is done.
    Done,
    /// The negative log-likelihood and the number of tokens of each document.
    Evaluated(Vec<(f64, u64)>),
    /// A member has been trained for a while.
    Sliced(SliceResult),
    /// This rank is ready for so many slices at a time.
    Ready { slices: usize },
    /// This rank has failed, with the message and the hint of an error.
    Failed { host: String, message: String, hint: String },
}

/// The work on a member of a sweep that a rank does at a time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SliceTask {
    pub(super) device: DeviceKind,
    /// The index of the member.
    pub(super) member: usize,
    /// The index of the member's group.
    pub(super) group: usize,
    pub(super) setup: Setup,
    pub(super) stop_after: u64,
    pub(super) val_every: u64,
    pub(super) val_docs: usize,
    /// The number of steps between two states that rank 0 needs, or 0 for none.
    pub(super) checkpoint_every: u64,
    /// Whether rank 0 needs the state at each validation.
    pub(super) keep_best: bool,
}

/// The results of a slice.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SliceResult {
    pub(super) member: usize,
    /// The loss and the gradient norm of each step.
    pub(super) logs: Vec<(f64, f64)>,
    /// The validations, each with its step.
    pub(super) evaluations: Vec<(u64, Vec<(f64, u64)>)>,
    /// The states that rank 0 needs.
    pub(super) states: Vec<Tensors>,
    /// The state at the end of the slice.
    pub(super) last: Tensors,
    /// Whether a value has become NaN or infinite.
    pub(super) has_diverged: bool,
}

/// A [`State`] in a message. The dimensions are `vocab, block_size, n_embd, n_head, n_layer`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Tensors {
    pub(super) step: u64,
    shape: [u32; 5],
    weights: Vec<f32>,
    m: Vec<f32>,
    v: Vec<f32>,
}

impl From<State> for Tensors {
    fn from(State { step, weights, m, v }: State) -> Self {
        let RuntimeShape { vocab, block_size, n_embd, n_head, n_layer } = weights.shape;
        let shape = [vocab, block_size, n_embd, n_head, n_layer];
        Self { step, shape, weights: weights.values, m: m.values, v: v.values }
    }
}

impl From<Tensors> for State {
    fn from(Tensors { step, shape, weights, m, v }: Tensors) -> Self {
        let [vocab, block_size, n_embd, n_head, n_layer] = shape;
        let shape = RuntimeShape { vocab, block_size, n_embd, n_head, n_layer };
        let [weights, m, v] = [weights, m, v].map(|values| Weights { shape, values });
        Self { step, weights, m, v }
    }
}

/// A [`ModelSetup`] in a message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) train: TrainConfig,
    pub(super) state: Tensors,
}

impl From<ModelSetup> for Setup {
    fn from(ModelSetup { train, state }: ModelSetup) -> Self {
        Self { train, state: state.into() }
    }
}

impl From<Setup> for ModelSetup {
    fn from(Setup { train, state }: Setup) -> Self {
        Self { train, state: state.into() }
    }
}

/// A [`Dataset`] in a message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Documents {
    characters: Vec<char>,
    /// The tokens and the offsets of the documents that train, and of those that validate.
    parts: [(Vec<u32>, Vec<u32>); 2],
    /// The seed of the first window of a continuous text.
    windows: Option<u64>,
}

impl From<&Dataset> for Documents {
    fn from(dataset: &Dataset) -> Self {
        let parts = [&dataset.train, &dataset.val];
        Self {
            characters: dataset.tokenizer.chars().to_vec(),
            parts: parts.map(|documents| (documents.tokens().to_vec(), documents.offsets().to_vec())),
            windows: dataset.windows.map(Drawing::seed),
        }
    }
}

impl TryFrom<Documents> for Dataset {
    type Error = Error;

    fn try_from(Documents { characters, parts, windows }: Documents) -> Result<Self> {
        Self::from_tokens(characters, parts, windows)
    }
}

/// Returns an evaluation of each document as a message has it.
pub(super) fn pairs(evaluations: &[Evaluation]) -> Vec<(f64, u64)> {
    evaluations.iter().map(|&Evaluation { nll, tokens }| (nll, tokens)).collect()
}

/// Returns the evaluation of each document from that of a message.
pub(super) fn evaluations(pairs: &[(f64, u64)]) -> Vec<Evaluation> {
    pairs.iter().map(|&(nll, tokens)| Evaluation { nll, tokens }).collect()
}

/// Returns the bytes of a message.
pub(super) fn encode(message: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(message).expect("messages have types that can be written")
}

/// Returns the message with these bytes.
///
/// # Panics
/// If the bytes are no such message. All ranks run the same program.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> T {
    postcard::from_bytes(bytes).expect("all ranks run the same program")
}
