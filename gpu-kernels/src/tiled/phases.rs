//! The list of a step's phases.

/// A phase of a step. The items of a phase are independent, and all end before the next phase begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Phase {
    /// The op.
    pub op: Op,
    /// The layer, for the ops of a layer.
    pub layer: u32,
}

/// An op on all rows of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Op {
    /// Embeds the tokens.
    Embed,
    /// Normalises the input of attention.
    AttnNorm,
    /// Computes queries, keys and values.
    Qkv,
    /// Computes the attention's output of each head.
    Attention,
    /// Adds `wo attn` to the residual stream.
    AttnOut,
    /// Normalises the input of the MLP.
    MlpNorm,
    /// Computes the hidden channels.
    Fc1,
    /// Adds the MLP's output to the residual stream.
    Fc2,
    /// Computes the logits.
    LmHead,
    /// Computes the losses of the rows, and in training the gradients of the logits.
    CrossEntropy,
    /// Computes the gradients of the last layer's output and of `wte` as the `lm_head`.
    LmHeadBackward,
    /// Computes the gradients of the hidden channels and of `fc2`.
    Fc2Backward,
    /// Computes the gradients of the MLP's input and of `fc1`.
    Fc1Backward,
    /// Computes the gradient of the residual stream before the MLP.
    MlpNormBackward,
    /// Computes the gradients of the attention's output and of `wo`.
    AttnOutBackward,
    /// Computes the gradients of queries, keys and values.
    AttentionBackward,
    /// Computes the gradients of the attention's input and of `wq`, `wk` and `wv`.
    QkvBackward,
    /// Computes the gradient of the layer's input, and in layer 0 that of the sum of the embeddings.
    AttnNormBackward,
    /// Computes the gradients of the embeddings.
    EmbedBackward,
    /// Makes the gradients of the sums over all parts of the step.
    Join,
    /// Computes the gradient's norm and the loss.
    Norm,
    /// Computes the loss of each document.
    Losses,
    /// Updates the weights.
    Update,
}

impl Op {
    /// Returns whether the op is a product of the forward pass.
    pub fn is_forward(self) -> bool {
        matches!(self, Self::Qkv | Self::AttnOut | Self::Fc1 | Self::Fc2 | Self::LmHead)
    }

    /// Returns whether the op computes row by row.
    pub fn is_row_by_row(self) -> bool {
        matches!(
            self,
            Self::Embed
                | Self::AttnNorm
                | Self::MlpNorm
                | Self::CrossEntropy
                | Self::MlpNormBackward
                | Self::AttnNormBackward
        )
    }

    /// Returns whether the op is attention, forward or backward.
    #[inline(always)]
    pub fn is_attention(self) -> bool {
        matches!(self, Self::Attention | Self::AttentionBackward)
    }
}

/// The ops of the forward pass in each layer.
const FORWARD: [Op; 7] = [Op::AttnNorm, Op::Qkv, Op::Attention, Op::AttnOut, Op::MlpNorm, Op::Fc1, Op::Fc2];

/// The ops of the backward pass in each layer.
const BACKWARD: [Op; 7] = [
    Op::Fc2Backward,
    Op::Fc1Backward,
    Op::MlpNormBackward,
    Op::AttnOutBackward,
    Op::AttentionBackward,
    Op::QkvBackward,
    Op::AttnNormBackward,
];

/// The phases that end a step whose gradients are the sums over all of its parts.
pub const JOIN: [Op; 3] = [Op::Join, Op::Norm, Op::Update];

/// Calls `visit` for each phase of a step in order, or of an evaluation, which has no backward pass.
pub fn each_phase(n_layer: usize, trains: bool, mut visit: impl FnMut(Phase)) {
    let mut ops = |layer: usize, ops: &[Op]| {
        for &op in ops {
            visit(Phase { op, layer: layer as u32 });
        }
    };
    ops(0, &[Op::Embed]);
    for l in 0..n_layer {
        ops(l, &FORWARD);
    }
    ops(0, &[Op::LmHead, Op::CrossEntropy, Op::Losses]);
    if trains {
        ops(0, &[Op::LmHeadBackward]);
        for l in (0..n_layer).rev() {
            ops(l, &BACKWARD);
        }
        ops(0, &[Op::EmbedBackward, Op::Norm, Op::Update]);
    }
}
