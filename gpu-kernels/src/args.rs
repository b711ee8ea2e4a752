//! What the host passes to a kernel: one struct each, the same bytes on every machine.

use crate::shape::RuntimeShape;

/// The optimiser's constants.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Optimizer {
    /// Decay of the first moment.
    pub beta1: f32,
    /// `1 - beta1`.
    pub one_minus_beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// `1 - beta2`.
    pub one_minus_beta2: f32,
    /// The gradient's norm is clipped to this.
    pub max_grad_norm: f32,
}

/// What changes from step to step, computed by the host in double precision; `t` is the step's number from 1.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Schedule {
    /// `(1 - beta1^t) / (lr sqrt(1 - beta2^t))`.
    pub root: f32,
    /// `eps (1 - beta1^t) / lr`.
    pub eps: f32,
    /// `lr weight_decay`.
    pub decay: f32,
}

/// What a step reports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct StepLog {
    /// Mean cross-entropy over the document's positions, before the update.
    pub loss: f32,
    /// The gradient's global norm before clipping.
    pub grad_norm: f32,
}

/// The arguments of `train`: those of one model.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TrainArgs {
    /// Parameters, padded, `Layout::len` elements.
    pub params: *mut f32,
    /// The transposed copies of the matrices, `Layout::len` elements.
    pub params_transposed: *mut f32,
    /// Gradients, `Layout::len` elements.
    pub grads: *mut f32,
    /// First moments, `Layout::len` elements.
    pub m: *mut f32,
    /// Second moments, `Layout::len` elements.
    pub v: *mut f32,
    /// `train_workspace_len` elements, zero before the first launch.
    pub workspace: *mut f32,
    /// The tokens of all documents, each `[BOS, .., BOS]`.
    pub tokens: *const u32,
    /// Where document `i` begins in `tokens`; `documents + 1` numbers.
    pub offsets: *const u32,
    /// One entry for each step of the launch.
    pub schedule: *const Schedule,
    /// One entry for each step of the launch, written.
    pub log: *mut StepLog,
    /// The document of the launch's first step; the steps take documents in turn.
    pub first_document: u32,
    /// Documents.
    pub documents: u32,
    /// Steps of the launch.
    pub steps: u32,
    /// The model's dimensions.
    pub shape: RuntimeShape,
    /// The optimiser's constants.
    pub optimizer: Optimizer,
}

/// The arguments of `train_batch`: those of `train`, and what several documents a step need.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BatchArgs {
    /// As for `train`, but `grads` has as many arrays of `Layout::len` elements as `gradient_arrays` says, and `workspace`, of
    /// `batch_workspace_len` elements, is that of the first block.
    pub train: TrainArgs,
    /// The partial sums of squares of the gradients, `squares_len` elements.
    pub squares: *mut f32,
    /// The loss of each of a step's documents, `batch` elements in whole tiles.
    pub losses: *mut f32,
    /// On a GPU: counts the blocks that have come to a barrier of the grid, zero before a launch.
    pub barrier: *mut u32,
    /// On a GPU: elements from one block's workspace to the next one's.
    pub workspace_stride: u64,
    /// Documents of a step.
    pub batch: u32,
}

/// The arguments of `train` on a GPU: one or several models of one shape, a block of the grid for each.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ReplicasArgs {
    /// The arguments of each model.
    pub models: *const TrainArgs,
    /// Steps of the launch, the same for all.
    pub steps: u32,
    /// The models' dimensions.
    pub shape: RuntimeShape,
}

/// The arguments of `evaluate`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EvaluateArgs {
    /// Parameters, see [`TrainArgs::params`].
    pub params: *mut f32,
    /// Their transposed copies.
    pub params_transposed: *mut f32,
    /// `Activations::len` elements for each block, zero before the first launch.
    pub workspace: *mut f32,
    /// The tokens of all documents.
    pub tokens: *const u32,
    /// Where document `i` begins in `tokens`.
    pub offsets: *const u32,
    /// The summed negative log-likelihood of each document, written.
    pub nll: *mut f32,
    /// Documents to evaluate, from the first on.
    pub documents: u32,
    /// The model's dimensions.
    pub shape: RuntimeShape,
}

/// The arguments of `generate`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct GenerateArgs {
    /// Parameters, see [`TrainArgs::params`].
    pub params: *mut f32,
    /// Their transposed copies.
    pub params_transposed: *mut f32,
    /// `generate_workspace_len` elements for each block, zero before the first launch.
    pub workspace: *mut f32,
    /// `[samples, block_size]`, written: a sample's tokens, then `<BOS>` if it is shorter.
    pub out: *mut u32,
    /// `[samples, block_size]`, written: the log-probability of each token in `out`, up to the `<BOS>` that ends a sample.
    /// May be null: then they are not computed.
    pub logprobs: *mut f32,
    /// The `prompt_len` tokens that each sample starts with.
    pub prompt: *const u32,
    /// The random streams' seed.
    pub seed: u64,
    /// The number of the first sample: sample `i` draws from stream `(seed, i)`.
    pub first_sample: u64,
    /// Samples.
    pub samples: u32,
    /// Tokens of the prompt; fewer than `block_size`.
    pub prompt_len: u32,
    /// Only this many of the likeliest tokens are drawn from; at most the vocabulary.
    pub top_k: u32,
    /// 1 / temperature; 0 is greedy.
    pub inverse_temperature: f32,
    /// The model's dimensions.
    pub shape: RuntimeShape,
}

// A device reads these bytes: a change of size is a change of its interface. (A page in a browser has narrower pointers.)
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<TrainArgs>() == 136);
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<BatchArgs>() == 176);
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<ReplicasArgs>() == 32);
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<EvaluateArgs>() == 72);
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<GenerateArgs>() == 104);
