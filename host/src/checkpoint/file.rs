//! The format of a checkpoint and its reading. The data is read once the header has turned out to be the model's.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use gpu_kernels::shape::{RuntimeShape, Shape};
use safetensors::tensor::{Metadata as Header, TensorInfo};
use serde::Deserialize;
use serde_json::{Value, json};

use super::checksum;
use crate::config::TrainConfig;
use crate::corpus::{CorpusMode, DocumentConfig};
use crate::device::State;
use crate::error::{Cause, Error, Result};
use crate::run::{Best, Validated};
use crate::weights::Weights;

/// The version of the metadata that this program writes, and the newest that it reads.
pub(super) const FORMAT_VERSION: u64 = 1;
/// The name of the metadata's entry.
pub(super) const METADATA: &str = "microgpt";
/// The prefixes of the names of the weights, the first and the second moment.
pub(super) const PREFIXES: [&str; 3] = ["", "adamw.m.", "adamw.v."];

/// The settings that decide, with the state and the corpus, how a run goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunSettings {
    /// The configuration of the training.
    pub train: TrainConfig,
    /// The seed of the shuffle, the initial weights and the samples.
    pub seed: u64,
    /// Whether the documents are shuffled.
    pub shuffle: bool,
    /// The way in which the text becomes documents.
    pub documents: DocumentConfig,
}

/// A run, by all that decides with the state how it goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunInfo {
    /// The settings.
    pub settings: RunSettings,
    /// The [`fingerprint`](super::fingerprint) of the documents.
    pub corpus: u64,
}

impl RunInfo {
    /// Returns the metadata's entries.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'static str, Value)> {
        self.settings.entries().into_iter().chain([(CORPUS, self.fingerprint())])
    }

    /// Returns the value of [`CORPUS`].
    pub(super) fn fingerprint(&self) -> Value {
        json!(format!("{:016x}", self.corpus))
    }
}

impl RunSettings {
    /// Returns the metadata's entries, which are named like the flags.
    pub(super) fn entries(&self) -> [(&'static str, Value); 16] {
        let TrainConfig { steps, batch, optimizer: o } = self.train;
        let DocumentConfig { mode, keep_spaces, nfc, dedup } = self.documents;
        [
            (MODE, json!(mode.name())),
            ("keep_spaces", json!(keep_spaces)),
            (NORMALIZE, json!(if nfc { NFC } else { NONE })),
            ("dedup", json!(dedup)),
            ("shuffle", json!(self.shuffle)),
            ("seed", json!(self.seed)),
            ("steps", json!(steps)),
            ("batch", json!(batch)),
            ("learning_rate", json!(o.learning_rate)),
            ("warmup", json!(o.warmup)),
            ("min_lr", json!(o.min_lr)),
            ("beta1", json!(o.beta1)),
            ("beta2", json!(o.beta2)),
            ("eps", json!(o.eps)),
            ("weight_decay", json!(o.weight_decay)),
            ("max_grad_norm", json!(o.max_grad_norm)),
        ]
    }
}

/// Returns the value that a setting had before checkpoints stated it.
pub(super) fn before_stated(key: &str) -> Value {
    match key {
        "warmup" => json!(0),
        "min_lr" => json!(0.0),
        "keep_spaces" | "dedup" => json!(false),
        NORMALIZE => json!(NONE),
        MODE => json!(CorpusMode::default().name()),
        _ => Value::Null,
    }
}

/// The key of the form of the characters.
pub(super) const NORMALIZE: &str = "normalize";
/// The values of [`NORMALIZE`], for characters as they are and for composed ones.
const NONE: &str = "none";
const NFC: &str = "nfc";

/// Returns the way in which the text became documents, by the metadata. A key that is missing has the default.
pub(crate) fn document_config(metadata: &Value) -> DocumentConfig {
    let is_text = metadata[MODE] == CorpusMode::Text.name();
    DocumentConfig {
        mode: if is_text { CorpusMode::Text } else { CorpusMode::Lines },
        keep_spaces: metadata["keep_spaces"] == true,
        nfc: metadata[NORMALIZE] == NFC,
        dedup: metadata["dedup"] == true,
    }
}

/// The key of the meaning of the corpus.
pub(crate) const MODE: &str = "corpus_mode";
/// The key of the fingerprint of the documents.
pub(super) const CORPUS: &str = "corpus";

/// The keys of the model's dimensions.
pub(crate) const DIMENSIONS: [&str; 4] = ["n_embd", "n_head", "n_layer", "block_size"];

/// Returns the model's dimensions, each with its key.
pub(super) fn dimensions(shape: RuntimeShape) -> [(&'static str, usize); 4] {
    let [n_embd, n_head, n_layer, block_size] = DIMENSIONS;
    [(n_embd, shape.n_embd()), (n_head, shape.n_head()), (n_layer, shape.n_layer()), (block_size, shape.block_size())]
}

/// Returns the flag for a key of the metadata, without dashes, such as `n-embd` for `n_embd`.
pub(crate) fn to_flag(key: &str) -> String {
    if key == MODE { "corpus".to_owned() } else { key.replace('_', "-") }
}

/// Returns the flag for a key of the metadata, such as `--n-embd` for `n_embd`.
pub(super) fn flag(key: &str) -> String {
    format!("--{}", to_flag(key))
}

/// The longest header that safetensors allows, in bytes.
const MAX_HEADER: u64 = 100_000_000;

/// The metadata, in which every entry may be missing.
#[derive(Default)]
pub(super) struct Metadata {
    /// The whole object.
    pub(super) json: Value,
    pub(super) step: Option<u64>,
    /// The values of [`DIMENSIONS`].
    pub(super) dimensions: [Option<usize>; 4],
    pub(super) vocabulary: Option<Vec<char>>,
    /// The digits of the checksum.
    checksum: Option<String>,
}

impl Metadata {
    fn parse(header: &Header) -> Result<Self, String> {
        let Some(text) = header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA)) else {
            return Ok(Self::default());
        };
        let json: Value = serde_json::from_str(text).map_err(|error| format!("`{METADATA}` is not JSON: {error}"))?;
        let integer = |key: &str| -> Result<Option<u64>, String> {
            Option::deserialize(&json[key]).map_err(|_| format!("`{key}` is {}, not a whole number", json[key]))
        };
        if let Some(version) = integer("format_version")?.filter(|&version| version > FORMAT_VERSION) {
            return Err(format!("its format has version {version}, the newest known here is {FORMAT_VERSION}"));
        }
        let mut dimensions = [None; 4];
        for (dimension, key) in dimensions.iter_mut().zip(DIMENSIONS) {
            *dimension = integer(key)?.map(|size| size as usize);
        }
        let vocabulary = Option::deserialize(&json["vocabulary"]);
        let vocabulary = vocabulary.map_err(|_| "`vocabulary` is not an array of characters")?;
        Ok(Self { step: integer("step")?, dimensions, vocabulary, checksum: checksum::stated(&json)?, json })
    }
}

/// A checkpoint whose header has been read and is consistent with the file's length.
pub(super) struct CheckpointFile {
    path: PathBuf,
    pub(super) metadata: Metadata,
    pub(super) header: Header,
    data: File,
}

impl CheckpointFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let unreadable = |source| Error::ReadCheckpoint { path: path.to_owned(), source };
        let format = |defect, cause: String| Error::Format { path: path.to_owned(), defect, source: cause.into() };
        // The bytes of a device or a pipe may never end.
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(unreadable(io::Error::other("it is not a regular file")));
        }
        let data = File::open(path).map_err(unreadable)?;
        let len = data.metadata().map_err(unreadable)?.len();
        let read = |len: u64| -> Result<Vec<u8>> {
            let mut bytes = Vec::new();
            (&data).take(len).read_to_end(&mut bytes).map_err(unreadable)?;
            Ok(bytes)
        };
        let header_len = read(size_of::<u64>() as u64)?.try_into().ok().map(u64::from_le_bytes);
        if header_len > Some(MAX_HEADER) {
            return Err(format("is not a safetensors file", "header too large".to_owned()));
        }
        let header = read(header_len.unwrap_or(0))?;
        let Some(header_len) = header_len.filter(|&header_len| header_len == header.len() as u64) else {
            let cause = format!("it ends after {len} bytes, in its header");
            return Err(format("is truncated, or not a safetensors file", cause));
        };
        let header: Header = serde_json::from_slice(&header)
            .map_err(|error| format("is not a safetensors file", format!("invalid header: {error}")))?;
        let stated = (size_of::<u64>() as u64 + header_len).saturating_add(header.data_len() as u64);
        if len != stated {
            let defect = if len < stated { "is truncated" } else { "is longer than it should be" };
            return Err(format(defect, format!("it has {len} bytes, expected {stated}")));
        }
        let path = path.to_owned();
        match Metadata::parse(&header) {
            Ok(metadata) => Ok(Self { path, metadata, header, data }),
            Err(error) => Err(Error::Metadata { path, source: error.into() }),
        }
    }

    /// Returns the file's state, if it is that of a model of this shape and vocabulary.
    pub(super) fn state(&self, shape: RuntimeShape, vocabulary: &[char]) -> Result<State> {
        self.validate_model(shape, vocabulary)?;
        let data = self.tensors()?;
        let [weights, m, v] = PREFIXES;
        let mut state = State::new(self.array(weights, shape, &data)?);
        state.step = self.metadata.step.unwrap_or(0);
        if self.has_moments() {
            (state.m, state.v) = (self.array(m, shape, &data)?, self.array(v, shape, &data)?);
        }
        Ok(state)
    }

    /// Returns the bytes of all tensors, if the file has the checksum that it states.
    pub(super) fn tensors(&self) -> Result<Vec<u8>> {
        let mut data = Vec::new();
        (&self.data).read_to_end(&mut data).map_err(|source| self.unreadable(source))?;
        let Metadata { json, checksum, .. } = &self.metadata;
        let Some(difference) = checksum.as_ref().and_then(|stated| checksum::difference(stated, json, &data)) else {
            return Ok(data);
        };
        let key = checksum::KEY;
        let hint = format!("use another copy of the file; after a change on purpose, remove `{key}` from its metadata");
        Err(self.mismatch(difference, hint))
    }

    /// Returns the validations of the run, or those of a run without any if the file states none.
    pub(super) fn validated(&self) -> Validated {
        let (best, val_loss) = (&self.metadata.json["best"], self.metadata.json["val_loss"].as_f64());
        let stated = || {
            let (loss, step) = (best["val_loss"].as_f64()?, best["step"].as_u64()?);
            Some(Best { loss, step, since: best["validations_since"].as_u64()? })
        };
        Validated { best: stated().unwrap_or_default(), val_loss }
    }

    /// Returns whether the file has this program's metadata, or an embedding by its name. Other models are safetensors files
    /// too.
    pub(super) fn is_checkpoint(&self) -> bool {
        self.metadata.json.is_object() || self.header.info("wte").is_some()
    }

    pub(super) fn has_moments(&self) -> bool {
        self.header.offset_keys().iter().any(|name| PREFIXES[1..].iter().any(|prefix| name.starts_with(prefix)))
    }

    /// Returns the header's entry for a tensor that the file has.
    pub(super) fn info(&self, tensor: &str) -> &TensorInfo {
        self.header.info(tensor).expect("the names are validated")
    }

    /// Returns the weights or the moments whose names begin with `prefix`.
    fn array(&self, prefix: &str, shape: RuntimeShape, data: &[u8]) -> Result<Weights> {
        let mut array = Weights::zeros(shape);
        for (tensor, values) in array.tensors_mut() {
            let name = format!("{prefix}{tensor}");
            let (start, end) = self.info(&name).data_offsets;
            // The file may have been cut since its length was compared.
            let bytes = data.get(start..end).ok_or_else(|| self.unreadable(io::ErrorKind::UnexpectedEof.into()))?;
            let (bytes, _) = bytes.as_chunks();
            values.iter_mut().zip(bytes).for_each(|(value, &bytes)| *value = f32::from_le_bytes(bytes));
            if let Some(i) = values.iter().position(|value| !value.is_finite()) {
                let (row, col) = (i / tensor.shape()[1], i % tensor.shape()[1]);
                let difference = format!("has the value {} in tensor `{name}` at [{row}, {col}]", values[i]);
                let cure = "use an earlier checkpoint, since the run that wrote this one has diverged";
                return Err(self.mismatch(difference, cure));
            }
        }
        Ok(array)
    }

    fn unreadable(&self, source: io::Error) -> Error {
        Error::ReadCheckpoint { path: self.path.clone(), source }
    }

    pub(super) fn unusable(&self, source: impl Into<Cause>) -> Error {
        Error::Metadata { path: self.path.clone(), source: source.into() }
    }

    pub(super) fn mismatch(&self, difference: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::Mismatch { path: self.path.clone(), difference: difference.into(), hint: hint.into() }
    }
}
