//! Failures that every device has in common.

use std::borrow::Cow;

/// A model, a document or a request that a device cannot take.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// Kernels for another processor than this one.
    #[error("this processor cannot run the kernels for {isa}")]
    InstructionSet {
        /// The instruction set of the kernels.
        isa: &'static str,
    },
    /// A data set with a token outside of the model's vocabulary.
    #[error("the documents have the token {token}, the model a vocabulary of {vocab}")]
    Token {
        /// The largest token of the documents.
        token: u32,
        /// V, the vocabulary.
        vocab: u32,
    },
    /// A state whose arrays have another shape than the model.
    #[error("the state's arrays do not have the model's shape")]
    StateShape,
    /// A document that is too short, or that has a token outside of the model's vocabulary.
    #[error("a document needs two tokens or more, all of the model's vocabulary")]
    Document,
    /// A name that no kind of device has.
    #[error("`{name}` is not a kind of device: expected auto, cuda, cpu or reference")]
    Kind {
        /// The name.
        name: String,
    },
    /// More samples than one launch can count.
    #[error("too many samples for one launch")]
    TooManySamples,
}

impl DeviceError {
    pub(super) fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::InstructionSet { .. } => "take one of those that are available",
            Self::Token { .. } => "give the model the vocabulary of its documents",
            Self::StateShape => "upload what a model of this shape had",
            Self::Document | Self::Kind { .. } => return None,
            Self::TooManySamples => "ask for fewer at a time",
        };
        Some(hint.into())
    }
}
