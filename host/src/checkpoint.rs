//! Checkpoints, which are safetensors files with a model's weights, the optimiser's moments and the run's settings.
//!
//! The weights are named `wte`, `wpe`, `layer0.attn_wq` and so on, the moments `adamw.m.wte`, `adamw.v.wte` and so on.
//! All are `F32`. The metadata has one entry, `microgpt`, a JSON object with format version, step, dimensions,
//! vocabulary, settings and a checksum. Every random value of a run follows from its seed, so the file needs no state
//! of a generator. A file with weights alone, as other programs write it, is a checkpoint too.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

use gpu_kernels::shape::RuntimeShape;
use gpu_kernels::tensor::Tensor;
use safetensors::{Dtype, View};
use serde_json::{Map, Value, json};

use crate::atomic_file::AtomicFile;
use crate::device::State;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::run::{Best, Validated};

mod checksum;
mod file;
mod validate;

use self::file::{CheckpointFile, FORMAT_VERSION, METADATA, PREFIXES, dimensions};
pub(crate) use self::file::{DIMENSIONS, MODE, document_config, to_flag};
pub use self::file::{RunInfo, RunSettings};

/// Returns a hash of these documents in their order (64-bit FNV-1a).
pub fn fingerprint(documents: &[&str]) -> u64 {
    let add = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    documents.iter().fold(0xcbf2_9ce4_8422_2325, |hash, document| add(document.bytes().fold(hash, add), b'\n'))
}

impl Model {
    /// Reads a model from a safetensors file that states its dimensions and its vocabulary, as [`Self::save`] and the
    /// command line's `--save` write it.
    ///
    /// # Errors
    /// If the file cannot be read, or holds no such model.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let file = CheckpointFile::open(path.as_ref())?;
        let (shape, tokenizer) = file.model()?;
        Ok(Self { state: file.state(shape, tokenizer.chars())?, tokenizer })
    }

    /// Writes the model to a safetensors file. A failure leaves an earlier file as it was.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        AtomicFile::new(path.as_ref())?.save(&to_bytes(&self.state, self.tokenizer.chars(), &Description::default())?)
    }
}

/// Reads the checkpoint at `path` for a model of this shape and vocabulary. Step and moments are zero if the file has
/// none.
///
/// # Errors
/// If the file cannot be read, is not a checkpoint, holds another model, or has a value that is not finite.
pub fn load(path: &Path, shape: RuntimeShape, vocabulary: &[char]) -> Result<State> {
    CheckpointFile::open(path)?.state(shape, vocabulary)
}

/// Reads the checkpoint at `path` to go on with the run that it belongs to. It must be this one, but this one may have
/// more steps. The result is the state, and the run's validations until then.
///
/// # Errors
/// Those of [`load`], and [`Error::Mismatch`] if the checkpoint is of another run or lacks the moments.
pub fn resume(path: &Path, shape: RuntimeShape, vocabulary: &[char], run: &RunInfo) -> Result<(State, Validated)> {
    let file = CheckpointFile::open(path)?;
    // Another corpus or another reading of it has another vocabulary too, so the run is compared first.
    file.validate_run(run)?;
    Ok((file.state(shape, vocabulary)?, file.validated()))
}

/// Checks that the checkpoint at `path` is of a run with these settings and of a model with the dimensions of `shape`. The
/// vocabulary and the corpus are not compared, so that the corpus need not be read before.
///
/// # Errors
/// Those of [`describe`], and [`Error::Mismatch`] if the checkpoint is of another run or lacks the moments.
pub fn validate_run(path: &Path, shape: RuntimeShape, settings: &RunSettings) -> Result<()> {
    let file = CheckpointFile::open(path)?;
    file.describe()?;
    file.validate_settings(settings)?;
    file.validate_dimensions(shape)
}

/// Returns whether the file at `path` is a checkpoint, or empty. An empty file may have been made for a checkpoint.
///
/// # Errors
/// If the file cannot be read.
pub fn is_checkpoint(path: &Path) -> Result<bool> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0) {
        return Ok(true);
    }
    match CheckpointFile::open(path) {
        Ok(file) => Ok(file.is_checkpoint()),
        // A newer version may have written it.
        Err(Error::Metadata { .. }) => Ok(true),
        Err(Error::Format { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Checks the checkpoint at `path` against the checksum that it states.
///
/// # Errors
/// If the file cannot be read, or [`Error::Mismatch`] if it is damaged.
pub fn check(path: &Path) -> Result<()> {
    CheckpointFile::open(path)?.tensors().map(drop)
}

/// Returns what the header of the checkpoint at `path` says of its model and its run, as a JSON object.
///
/// It has the metadata's entries, the number of parameters as `params`, and `moments`, which tells whether the
/// optimiser's moments are there. Dimensions that the metadata lacks are those of the tensors. The tensors do not tell
/// the number of heads, so that `n_head` may be null.
///
/// # Errors
/// If the file cannot be read, or does not have the tensors of a model.
pub fn describe(path: &Path) -> Result<Value> {
    CheckpointFile::open(path)?.describe()
}

/// The things that a checkpoint may say of its run, beside the state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// The run. Without it the checkpoint can be loaded, but not resumed.
    pub run: Option<RunInfo>,
    /// The validation loss of the state, if it was measured.
    pub val_loss: Option<f64>,
    /// The best validation of the run so far.
    pub best: Best,
    /// The flags of the program that trained, without their dashes, and their values.
    pub settings: Map<String, Value>,
}

impl Description {
    /// Returns the metadata's entries.
    fn entries(&self) -> Map<String, Value> {
        let Self { run, val_loss, best, settings } = self;
        let run = run.iter().flat_map(RunInfo::entries).map(|(key, value)| (key.to_owned(), value));
        let mut entries: Map<String, Value> = run.collect();
        if let Some(val_loss) = val_loss {
            entries.insert("val_loss".to_owned(), json!(val_loss));
        }
        if best.loss.is_finite() {
            let Best { loss, step, since } = best;
            entries.insert("best".to_owned(), json!({ "val_loss": loss, "step": step, "validations_since": since }));
        }
        if !settings.is_empty() {
            entries.insert("settings".to_owned(), json!(settings));
        }
        entries
    }
}

/// Returns the bytes of a checkpoint. The same arguments give the same bytes.
///
/// # Errors
/// [`Error::Failed`] if the header is larger than the format allows.
pub fn to_bytes(state: &State, vocabulary: &[char], description: &Description) -> Result<Vec<u8>> {
    let mut metadata = description.entries();
    metadata.extend(dimensions(state.weights.shape).map(|(key, size)| (key.to_owned(), json!(size))));
    metadata.insert("format_version".to_owned(), json!(FORMAT_VERSION));
    metadata.insert("step".to_owned(), json!(state.step));
    metadata.insert("vocabulary".to_owned(), json!(vocabulary));
    checksum::reserve(&mut metadata);
    let arrays = PREFIXES.into_iter().zip([&state.weights, &state.m, &state.v]);
    let tensors = arrays.flat_map(|(prefix, array)| {
        let stored = move |(tensor, values): (Tensor, _)| {
            (format!("{prefix}{tensor}"), StoredTensor { shape: tensor.shape(), values })
        };
        array.tensors().map(stored)
    });
    let entry = HashMap::from([(METADATA.to_owned(), Value::Object(metadata.clone()).to_string())]);
    let mut bytes = safetensors::serialize(tensors, Some(entry))
        .map_err(|error| Error::failed("store the model as safetensors", "choose fewer layers", error.to_string()))?;
    checksum::fill_in(&mut bytes, &metadata);
    Ok(bytes)
}

/// A tensor on its way into a file.
struct StoredTensor<'a> {
    shape: [usize; 2],
    values: &'a [f32],
}

impl View for StoredTensor<'_> {
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
