//! Failures that every device has in common.

/// A model, a document or a request that a device cannot take.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// Kernels for another processor than this one.
    #[error("this processor cannot run the kernels for {isa}")]
    InstructionSet { isa: &'static str },
    /// Documents with a token outside of the model's vocabulary.
    #[error("the documents have the token {token}, the model a vocabulary of {vocab}")]
    Token { token: u32, vocab: u32 },
    /// A state whose arrays have another shape than the model.
    #[error("the state's arrays do not have the model's shape")]
    StateShape,
    /// A document without a token to predict.
    #[error("the document has {tokens} tokens, expected at least 2")]
    ShortDocument { tokens: usize },
    /// More samples than one launch can count.
    #[error("{samples} samples are too many for one launch")]
    TooManySamples { samples: u64 },
}

impl DeviceError {
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::InstructionSet { .. } => "choose kernels that this processor has",
            Self::Token { .. } => "give the model the vocabulary of its documents",
            Self::StateShape => "upload a state of a model of this shape",
            Self::ShortDocument { .. } => "put `<BOS>` at both ends of the document",
            Self::TooManySamples { .. } => "ask for fewer at a time",
        }
    }
}
