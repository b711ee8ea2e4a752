//! Checkpoints: safetensors files that hold a model by tensor name, with the optimiser's moments beside it.
//!
//! `wte`, `wpe`, `layer0.attn_wq`, .. are the weights, `adamw.m.wte`, `adamw.v.wte`, .. the moments, all `F32`. The
//! metadata has one entry, `microgpt`, a JSON object: format version, step, configuration, vocabulary and seed. Every
//! random number of a run follows from the seed and the number of what it is for, so the seed is all there is to say of
//! them. A file with weights alone, as another program writes it, is a checkpoint too.

use std::borrow::Cow;
use std::collections::HashMap;

use gpu_kernels::shape::{RuntimeShape, Shape};
use safetensors::{Dtype, View};
use serde_json::{Map, Value, json};

use crate::config::TrainConfig;
use crate::device::State;
use crate::error::{Error, Result};

mod load;
pub use load::{load, resume};

/// The version of the metadata that this program writes, and the newest that it reads.
const FORMAT_VERSION: u64 = 1;
/// The metadata's entry.
const METADATA: &str = "microgpt";
/// What the names of the weights, of the first and of the second moment begin with.
const PREFIXES: [&str; 3] = ["", "adamw.m.", "adamw.v."];

/// The run that a checkpoint belongs to: what else than its state decides how it goes on.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The characters of tokens 1 and up.
    pub vocabulary: &'a [char],
    /// How it trains.
    pub train: TrainConfig,
    /// The seed of the shuffle, the initial weights and the samples.
    pub seed: u64,
    /// Whether the documents are shuffled.
    pub shuffle: bool,
    /// The documents, see [`fingerprint`].
    pub corpus: u64,
}

impl About<'_> {
    /// What has to be the same in a run that goes on: the metadata's keys, named like the flags, and their values.
    fn fields(&self) -> [(&'static str, Value); 11] {
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

/// A number that tells these documents, in their order, from others (FNV-1a).
pub fn fingerprint(documents: &[&str]) -> u64 {
    let bytes = documents.iter().flat_map(|document| document.bytes().chain([b'\n']));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A checkpoint's bytes. The same state gives the same bytes.
///
/// # Errors
/// A header larger than the format allows.
pub fn to_bytes(state: &State, about: &About) -> Result<Vec<u8>> {
    let shape = flags(state.weights.shape).map(|(flag, size)| (key(flag), json!(size)));
    let fields = about.fields().into_iter().map(|(key, value)| (key.to_owned(), value));
    let mut metadata: Map<String, Value> = fields.collect();
    metadata.extend(shape);
    metadata.insert("format_version".to_owned(), json!(FORMAT_VERSION));
    metadata.insert("step".to_owned(), json!(state.step));
    metadata.insert("vocabulary".to_owned(), json!(about.vocabulary));
    let arrays = PREFIXES.into_iter().zip([&state.weights, &state.m, &state.v]);
    let tensors = arrays.flat_map(|(prefix, array)| {
        array
            .tensors()
            .map(move |(tensor, values)| (format!("{prefix}{tensor}"), Stored { shape: tensor.shape, values }))
    });
    safetensors::serialize(tensors, Some(HashMap::from([(METADATA.to_owned(), Value::Object(metadata).to_string())])))
        .map_err(|error| Error::new("the model cannot be stored as safetensors").caused_by(error.to_string()))
}

/// A tensor on its way into a file.
struct Stored<'a> {
    shape: [usize; 2],
    values: &'a [f32],
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }
    fn data_len(&self) -> usize {
        size_of_val(self.values)
    }
}

/// The flags that choose the model's dimensions.
const SHAPE_FLAGS: [&str; 4] = ["--n-embd", "--n-head", "--n-layer", "--block-size"];

/// The model's dimensions as the flags that choose them.
fn flags(shape: RuntimeShape) -> [(&'static str, usize); 4] {
    let [n_embd, n_head, n_layer, block_size] = SHAPE_FLAGS;
    [(n_embd, shape.n_embd()), (n_head, shape.n_head()), (n_layer, shape.n_layer()), (block_size, shape.block_size())]
}

/// The metadata's key of a flag: `n_embd` of `--n-embd`.
fn key(flag: &str) -> String {
    flag.trim_start_matches('-').replace('-', "_")
}
