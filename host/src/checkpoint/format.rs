//! The format of the metadata, with its names and the entries of a run.

use gpu_kernels::shape::{RuntimeShape, Shape};
use serde_json::{Value, json};

use crate::config::TrainConfig;

/// The version of the metadata that this program writes, and the newest that it reads.
pub(super) const FORMAT_VERSION: u64 = 1;
/// The name of the metadata's entry.
pub(super) const METADATA: &str = "microgpt";
/// The prefixes of the names of the weights, the first and the second moment.
pub(super) const PREFIXES: [&str; 3] = ["", "adamw.m.", "adamw.v."];

/// The settings that decide, with the state, how a run goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunInfo {
    /// The training.
    pub train: TrainConfig,
    /// The seed of the shuffle, the initial weights and the samples.
    pub seed: u64,
    /// Whether the documents are shuffled.
    pub shuffle: bool,
    /// The [`fingerprint`](super::fingerprint) of the documents.
    pub corpus: u64,
}

impl RunInfo {
    /// Returns the metadata's entries, which are named like the flags.
    pub(super) fn entries(&self) -> [(&'static str, Value); 11] {
        let TrainConfig { steps, batch, optimizer: o } = self.train;
        [
            ("corpus", json!(format!("{:016x}", self.corpus))),
            ("shuffle", json!(self.shuffle)),
            ("seed", json!(self.seed)),
            ("steps", json!(steps)),
            ("batch", json!(batch)),
            ("learning_rate", json!(o.learning_rate)),
            ("beta1", json!(o.beta1)),
            ("beta2", json!(o.beta2)),
            ("eps", json!(o.eps)),
            ("weight_decay", json!(o.weight_decay)),
            ("max_grad_norm", json!(o.max_grad_norm)),
        ]
    }
}

/// The keys of the model's dimensions.
pub(super) const DIMENSIONS: [&str; 4] = ["n_embd", "n_head", "n_layer", "block_size"];

/// Returns the model's dimensions, each with its key.
pub(super) fn dimensions(shape: RuntimeShape) -> [(&'static str, usize); 4] {
    let [n_embd, n_head, n_layer, block_size] = DIMENSIONS;
    [(n_embd, shape.n_embd()), (n_head, shape.n_head()), (n_layer, shape.n_layer()), (block_size, shape.block_size())]
}

/// Returns the flag for a key of the metadata, such as `--n-embd` for `n_embd`.
pub(super) fn flag(key: &str) -> String {
    format!("--{}", key.replace('_', "-"))
}
