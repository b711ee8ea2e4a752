//! Failures of a configuration.

use std::borrow::Cow;

/// A configuration that the model cannot have.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A dimension of zero.
    #[error("`{flag} 0`: the model needs at least 1")]
    ZeroDimension { flag: &'static str },
    /// Attention heads that do not divide the channels.
    #[error("`--n-embd {n_embd}` is not divisible by `--n-head {n_head}`")]
    IndivisibleChannels { n_embd: usize, n_head: usize },
    /// A model of more parameters than a device can index.
    #[error(
        "a model of {params} parameters is too large (n_embd {n_embd}, n_layer {n_layer}, block_size {block_size}, \
         vocabulary {vocab})"
    )]
    TooManyParameters { params: u128, max: u128, n_embd: usize, n_layer: usize, block_size: usize, vocab: usize },
    /// A model whose activations for one document are too many to store.
    #[error(
        "activations of about {activations} values are too many (n_embd {n_embd}, n_layer {n_layer}, \
         block_size {block_size})"
    )]
    TooManyActivations { activations: u128, max: u128, n_embd: usize, n_layer: usize, block_size: usize },
    /// A step of no documents, or of more than 32 bits can count.
    #[error("a step of {batch} documents")]
    Batch { batch: usize },
    /// A prompt with a token that no text contains.
    #[error("prompt tokens must be between 1 and {}, got {token}", vocab - 1)]
    PromptToken { token: u32, vocab: u32 },
    /// A prompt that fills the block.
    #[error("a prompt of {tokens} tokens leaves no room for a sample")]
    PromptLength { tokens: usize, block_size: usize },
    /// A top-k outside of the vocabulary.
    #[error("a top-k of {top_k}")]
    TopK { top_k: usize, vocab: u32 },
    /// A temperature that is negative or no finite `f32`.
    #[error("a temperature of {temperature}")]
    Temperature { temperature: f64 },
}

impl ConfigError {
    pub(super) fn hint(&self) -> Option<Cow<'static, str>> {
        Some(match *self {
            Self::ZeroDimension { .. } => return None,
            Self::IndivisibleChannels { n_embd, n_head } => {
                let below = (1..n_head.min(n_embd + 1)).rev().find(|h| n_embd % h == 0).unwrap_or(1);
                format!("choose a divisor of n_embd, for instance `--n-head {below}`").into()
            }
            Self::TooManyParameters { max, .. } => {
                format!("lower --n-embd, --n-layer or --block-size; at most {max} are supported").into()
            }
            Self::TooManyActivations { max, .. } => {
                format!("lower --block-size, --n-embd or --n-layer; at most {max} are supported").into()
            }
            Self::Batch { .. } => "choose a batch of at least 1".into(),
            Self::PromptToken { .. } => "encode the prompt with the model's vocabulary, without `<BOS>`".into(),
            Self::PromptLength { block_size, .. } => format!("give the prompt fewer than {block_size} tokens").into(),
            Self::TopK { vocab, .. } => format!("choose from 1 to {vocab}").into(),
            Self::Temperature { .. } => "choose from 0 to 3.4e38".into(),
        })
    }
}
