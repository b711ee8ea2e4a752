//! Failures of a checkpoint.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::Cause;

/// A checkpoint that cannot be read, written or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file that cannot be read.
    #[error("cannot read the checkpoint `{path}`")]
    Read { path: PathBuf, source: io::Error },
    /// A model that the format cannot hold.
    #[error("the model cannot be stored as safetensors")]
    Store { source: Cause },
    /// A file whose header is not that of the format.
    #[error("the checkpoint `{path}` is not a safetensors file")]
    Format { path: PathBuf, source: Cause },
    /// A file that is longer or shorter than its header says.
    #[error("the checkpoint `{path}` {}", source.verdict())]
    Length { path: PathBuf, source: FileLength },
    /// Metadata that this version cannot use.
    #[error("cannot use the metadata of the checkpoint `{path}`")]
    Metadata { path: PathBuf, source: Cause },
    /// A file of another model, another run or unusable values.
    #[error("the checkpoint `{path}` {mismatch}")]
    Mismatch { path: PathBuf, mismatch: Mismatch },
}

/// The length of a file in bytes, and the length that its header states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLength {
    /// The file's length.
    pub bytes: u64,
    /// The length by the header; `None` if the file ends within its header.
    pub stated: Option<u64>,
}

impl FileLength {
    fn verdict(self) -> &'static str {
        match self.stated {
            None => "is truncated, or not a safetensors file",
            Some(stated) if self.bytes < stated => "is truncated",
            Some(_) => "is longer than it should be",
        }
    }
}

impl fmt::Display for FileLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stated {
            None => write!(f, "it ends after {} bytes, in its header", self.bytes),
            Some(stated) => write!(f, "it has {} bytes, by its header {stated}", self.bytes),
        }
    }
}

impl std::error::Error for FileLength {}

/// A difference between a checkpoint and the model or the run that it is read for.
///
/// `fitting` are the flags that the file fits, such as `--n-embd 8`; the text is empty if no flags fit.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// A character of the vocabulary.
    #[error(
        "has another vocabulary than the corpus: token {token} is {} in the checkpoint and {} in the corpus",
        describe(*.stored), describe(*.expected)
    )]
    Vocabulary { token: usize, stored: Option<char>, expected: Option<char> },
    /// A dimension of the model.
    #[error("holds a model of `{flag} {stored}`, not `{flag} {expected}`")]
    Dimension { flag: &'static str, stored: u64, expected: usize, fitting: String },
    /// A tensor that the file lacks.
    #[error("has no tensor `{tensor}`")]
    MissingTensor { tensor: String, fitting: String },
    /// A tensor that the model does not have.
    #[error("has a tensor `{tensor}`, which this model does not have")]
    UnknownTensor { tensor: String, fitting: String },
    /// A tensor's shape.
    #[error("has tensor `{tensor}` of shape {stored:?}, not {expected:?}")]
    TensorShape { tensor: String, stored: Vec<usize>, expected: [usize; 2], fitting: String },
    /// A tensor's type.
    #[error("has tensor `{tensor}` as {dtype}, not F32")]
    TensorType { tensor: String, dtype: String },
    /// A value that is not finite.
    #[error("has the value {value} in tensor `{tensor}` at [{row}, {col}]")]
    NotFinite { value: f32, tensor: String, row: usize, col: usize },
    /// A dimension or the vocabulary, which the metadata of weights from another program lacks.
    #[error("does not say its `{key}`")]
    Unstated { key: String },
    /// An entry that the metadata of a resumable checkpoint has.
    #[error("cannot be resumed: it does not say its `{key}`")]
    MissingEntry { key: &'static str },
    /// The documents of the corpus.
    #[error("belongs to another corpus")]
    Corpus,
    /// The order of the documents.
    #[error("belongs to a run {} `--no-shuffle`", if *.shuffled { "without" } else { "with" })]
    Shuffle { shuffled: bool },
    /// A setting of the run.
    #[error("belongs to a run of `{flag} {stored}`, not `{flag} {expected}`")]
    Setting { flag: String, stored: String, expected: String },
    /// The step or the moments, which a resumable checkpoint has.
    #[error("cannot be resumed: it lacks its step or the optimiser's moments")]
    WeightsOnly,
    /// A step beyond the end of the run.
    #[error("cannot be resumed: it is at step {step} of a run of `--steps {steps}`")]
    BeyondEnd { step: u64, steps: u64 },
}

fn describe(character: Option<char>) -> String {
    character.map_or("missing".to_owned(), |c| format!("{c:?}"))
}

const FROM_WEIGHTS: &str = "start a new run from its weights by `--init-from`";
const USE_ITS_CORPUS: &str = "use the corpus that the checkpoint was trained on";

impl CheckpointError {
    pub(super) fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Read { .. } => {
                "give the path of a safetensors file that you may read, for instance one that `--save` wrote"
            }
            Self::Store { .. } => return None,
            Self::Format { .. } => "give a file that `--save` or a safetensors library wrote",
            Self::Length { .. } => "copy or save it again",
            Self::Metadata { .. } => "update microgpt if a newer version wrote the file, or remove the file's metadata",
            Self::Mismatch { mismatch, .. } => return Some(mismatch.hint()),
        };
        Some(hint.into())
    }
}

impl Mismatch {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Vocabulary { .. } => USE_ITS_CORPUS.into(),
            // With the model's channels, only the vocabulary can differ.
            Self::TensorShape { tensor, stored, expected, .. }
                if tensor.ends_with("wte") && stored.get(1) == Some(&expected[1]) =>
            {
                USE_ITS_CORPUS.into()
            }
            Self::Dimension { fitting, .. }
            | Self::MissingTensor { fitting, .. }
            | Self::UnknownTensor { fitting, .. }
            | Self::TensorShape { fitting, .. } => {
                if fitting.is_empty() {
                    "give the tensors the names and shapes that `--save` writes".into()
                } else {
                    format!("choose the flags that the file fits: `{fitting}`").into()
                }
            }
            Self::TensorType { .. } => {
                "convert it before saving: `tensor.float()` in PyTorch, `array.astype(\"float32\")` in NumPy".into()
            }
            Self::NotFinite { .. } => {
                "use an earlier checkpoint, since the run that wrote this one has diverged".into()
            }
            Self::Unstated { .. } => "load it as the weights of a model of known shape and vocabulary".into(),
            Self::MissingEntry { .. } => format!("resume a file that `--save` wrote, or {FROM_WEIGHTS}").into(),
            Self::Corpus => format!("{USE_ITS_CORPUS}, or {FROM_WEIGHTS}").into(),
            Self::Shuffle { shuffled: false } => format!("give `--no-shuffle`, or {FROM_WEIGHTS}").into(),
            Self::Shuffle { shuffled: true } => format!("leave `--no-shuffle` out, or {FROM_WEIGHTS}").into(),
            Self::Setting { flag, stored, .. } => format!("give `{flag} {stored}`, or {FROM_WEIGHTS}").into(),
            Self::WeightsOnly => FROM_WEIGHTS.into(),
            Self::BeyondEnd { .. } => format!("use an earlier checkpoint, or {FROM_WEIGHTS}").into(),
        }
    }
}
