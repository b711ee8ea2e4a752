//! Differences between a checkpoint and the model or the run that it is read for.

/// A difference between a checkpoint and the model or the run that it is read for.
///
/// `fitting` are the flags that the file fits, such as `--n-embd 8`. The text is empty if no flags fit.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    #[error(
        "has another vocabulary than the corpus: token {token} is {} in the checkpoint and {} in the corpus",
        describe(*.stored), describe(*.expected)
    )]
    Vocabulary { token: usize, stored: Option<char>, expected: Option<char> },
    #[error("holds a model of `{flag} {stored}`, not `{flag} {expected}`")]
    Dimension { flag: &'static str, stored: u64, expected: usize, fitting: String },
    #[error("has no tensor `{tensor}`")]
    MissingTensor { tensor: String, fitting: String },
    #[error("has a tensor `{tensor}`, which this model does not have")]
    UnknownTensor { tensor: String, fitting: String },
    #[error("has tensor `{tensor}` of shape {stored:?}, not {expected:?}")]
    TensorShape { tensor: String, stored: Vec<usize>, expected: [usize; 2], fitting: String },
    #[error("has tensor `{tensor}` as {dtype}, not F32")]
    TensorType { tensor: String, dtype: String },
    #[error("has the value {value} in tensor `{tensor}` at [{row}, {col}]")]
    NotFinite { value: f32, tensor: String, row: usize, col: usize },
    /// A dimension or the vocabulary, which the metadata of weights from another program lacks.
    #[error("does not say its `{key}`")]
    Unstated { key: String },
    /// An entry that the metadata of a resumable checkpoint has.
    #[error("cannot be resumed: it does not say its `{key}`")]
    MissingEntry { key: &'static str },
    #[error("belongs to another corpus")]
    Corpus,
    #[error("belongs to a run {} `--no-shuffle`", if *.shuffled { "without" } else { "with" })]
    Shuffle { shuffled: bool },
    #[error("belongs to a run of `{flag} {stored}`, not `{flag} {expected}`")]
    Setting { flag: String, stored: String, expected: String },
    #[error("cannot be resumed: it lacks its step or the optimiser's moments")]
    WeightsOnly,
    #[error("cannot be resumed: it is at step {step} of a run of `--steps {steps}`")]
    BeyondEnd { step: u64, steps: u64 },
}

fn describe(character: Option<char>) -> String {
    character.map_or("missing".to_owned(), |c| format!("{c:?}"))
}

impl Mismatch {
    pub(super) fn hint(&self) -> String {
        const FROM_WEIGHTS: &str = "start a new run from its weights by `--init-from`";
        const USE_ITS_CORPUS: &str = "use the corpus that the checkpoint was trained on";
        let or_from_weights = |cure: &str| format!("{cure}, or {FROM_WEIGHTS}");
        let hint: &str = match self {
            Self::Vocabulary { .. } => USE_ITS_CORPUS,
            // With the model's channels, only the vocabulary can differ.
            Self::TensorShape { tensor, stored, expected, .. }
                if tensor.ends_with("wte") && stored.get(1) == Some(&expected[1]) =>
            {
                USE_ITS_CORPUS
            }
            Self::Dimension { fitting, .. }
            | Self::MissingTensor { fitting, .. }
            | Self::UnknownTensor { fitting, .. }
            | Self::TensorShape { fitting, .. } => match &fitting[..] {
                "" => "give the tensors the names and shapes that `--save` writes",
                fitting => &format!("choose the flags that the file fits: `{fitting}`"),
            },
            Self::TensorType { .. } => {
                "convert it before saving: `tensor.float()` in PyTorch, `array.astype(\"float32\")` in NumPy"
            }
            Self::NotFinite { .. } => "use an earlier checkpoint, since the run that wrote this one has diverged",
            Self::Unstated { .. } => "load it as the weights of a model of known shape and vocabulary",
            Self::MissingEntry { .. } => &or_from_weights("resume a file that `--save` wrote"),
            Self::Corpus => &or_from_weights(USE_ITS_CORPUS),
            Self::Shuffle { shuffled: false } => &or_from_weights("give `--no-shuffle`"),
            Self::Shuffle { shuffled: true } => &or_from_weights("leave `--no-shuffle` out"),
            Self::Setting { flag, stored, .. } => &or_from_weights(&format!("give `{flag} {stored}`")),
            Self::WeightsOnly => FROM_WEIGHTS,
            Self::BeyondEnd { .. } => &or_from_weights("use an earlier checkpoint"),
        };
        hint.to_owned()
    }
}
