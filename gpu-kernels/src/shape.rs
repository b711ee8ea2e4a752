//! The model's dimensions. They are known at compile time for the default model, and at run time for every other.
//!
//! Every tensor is stored in rows of whole half-warps, padded with zeros, so that one set of ops serves every shape.
//! Padded weights and their gradients are exactly zero, and `AdamW` leaves them at zero. So padding reaches no result.

use simt::{AS_ON_GPU, HALF_WARP, div, rematerialize, round_up};

/// The number of tokens that a warp of the CPU takes at once. Activations are padded to a multiple of it on every device.
pub const TOKEN_GROUP: usize = 8;

/// The number of tokens that a warp of a GPU takes at once.
pub const GPU_TOKENS: usize = 1;

/// The number of tokens that a warp takes at once. The CPU takes several, so that the work on one token hides the
/// latency of another. A GPU takes one, because other warps take the other tokens.
pub const TOKENS: usize = if AS_ON_GPU { GPU_TOKENS } else { TOKEN_GROUP };

/// The number of tokens that a warp of a GPU takes at once if it keeps their rows in registers (see
/// [`Rows`](crate::ops::rows::Rows)). Then two tokens share each load of a weight, and each load of a pair of keys.
pub const HELD_TOKENS: usize = 2;

/// The model's dimensions, five given ones and those that follow from them.
///
/// [`ConstShape`] implements the trait with constants, and [`RuntimeShape`] with values.
pub trait Shape: Copy + Send + Sync {
    /// Whether the dimensions are constants to the compiler.
    const IS_CONST: bool = false;

    /// Returns these dimensions as values.
    fn to_runtime(self) -> RuntimeShape;

    /// Returns these dimensions, from which the compiler computes values where they are used, if it does not know them. See
    /// [`rematerialize`].
    #[inline(always)]
    fn rematerialize(self) -> Self {
        self
    }

    /// Returns an index below 2^32, such as that of a layer, as [`Self::rematerialize`] returns the dimensions.
    #[inline(always)]
    fn rematerialize_index(self, index: usize) -> usize {
        index
    }

    /// Returns V, the number of distinct tokens, `<BOS>` included.
    fn vocab(self) -> usize {
        self.to_runtime().vocab as usize
    }

    /// Returns T, the context length and the most positions that a document trains.
    fn block_size(self) -> usize {
        self.to_runtime().block_size as usize
    }

    /// Returns C, the number of channels of the residual stream.
    fn n_embd(self) -> usize {
        self.to_runtime().n_embd as usize
    }

    /// Returns H, the number of attention heads. H divides C.
    fn n_head(self) -> usize {
        self.to_runtime().n_head as usize
    }

    /// Returns L, the number of layers.
    // Without the hint, rustc's PTX of `train` for shapes known at run time is a quarter longer.
    #[inline(always)]
    fn n_layer(self) -> usize {
        self.to_runtime().n_layer as usize
    }

    /// Returns D, the number of channels of a head, `C / H`.
    fn head_dim(self) -> usize {
        div(self.n_embd(), self.n_head())
    }

    /// Returns V rounded up to half-warps.
    fn vocab_padded(self) -> usize {
        round_up(self.vocab(), HALF_WARP)
    }

    /// Returns T rounded up to token groups.
    fn block_size_padded(self) -> usize {
        round_up(self.block_size(), TOKEN_GROUP)
    }

    /// Returns C rounded up to half-warps.
    fn n_embd_padded(self) -> usize {
        round_up(self.n_embd(), HALF_WARP)
    }

    /// Returns the hidden width of the MLP, `4 C`, rounded up to half-warps.
    fn n_hidden_padded(self) -> usize {
        round_up(4 * self.n_embd(), HALF_WARP)
    }

    /// Returns D padded to a power of two up to 16, and to half-warps above, so that no head straddles a half-warp.
    fn head_dim_padded(self) -> usize {
        let d = self.head_dim();
        // Rust-CUDA's compiler miscounts the leading zeros of 64 bits, so 32 bits are used.
        if d <= HALF_WARP { (d as u32).next_power_of_two() as usize } else { round_up(d, HALF_WARP) }
    }

    /// Returns A, the width of queries, keys and values, which is H padded heads rounded up to half-warps.
    fn n_attn_padded(self) -> usize {
        round_up(self.n_head() * self.head_dim_padded(), HALF_WARP)
    }

    /// Returns the number of groups of half-warps that share heads, see [`Heads`](crate::activations::Heads).
    fn head_groups(self) -> usize {
        div(self.n_attn_padded() / HALF_WARP, self.head_dim_padded().div_ceil(HALF_WARP))
    }
}

/// The dimensions V, T, C, H and L as compile-time constants.
#[derive(Clone, Copy, Debug)]
pub struct ConstShape<const V: u32, const T: u32, const C: u32, const H: u32, const L: u32>;

/// The default model on a corpus of the 26 lower-case letters.
pub type DefaultShape = ConstShape<27, 8, 16, 4, 1>;

impl<const V: u32, const T: u32, const C: u32, const H: u32, const L: u32> Shape for ConstShape<V, T, C, H, L> {
    const IS_CONST: bool = true;

    fn to_runtime(self) -> RuntimeShape {
        RuntimeShape { vocab: V, block_size: T, n_embd: C, n_head: H, n_layer: L }
    }
}

/// Dimensions known at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RuntimeShape {
    /// V, as in [`Shape::vocab`].
    pub vocab: u32,
    /// T, as in [`Shape::block_size`].
    pub block_size: u32,
    /// C, as in [`Shape::n_embd`].
    pub n_embd: u32,
    /// H, as in [`Shape::n_head`].
    pub n_head: u32,
    /// L, as in [`Shape::n_layer`].
    pub n_layer: u32,
}

impl Shape for RuntimeShape {
    fn to_runtime(self) -> Self {
        self
    }
}

/// Declares [`ExpandedShape`] from the methods of [`Shape`] that it keeps the values of.
macro_rules! expanded {
    ($($name:ident),*) => {
        /// Dimensions known at run time, with those that follow from them. Few instructions compute an address from them, so
        /// that an op of a GPU computes its own after [`Shape::rematerialize`]. Otherwise the compiler computes the addresses
        /// of all ops before the loops over steps and layers, and spills them.
        ///
        /// The host computes them, because a GPU reads a launch's arguments without an instruction.
        /// It is aligned to eight bytes, because LLVM loads two values at once, through a stack if they straddle eight bytes.
        #[derive(Clone, Copy, Debug)]
        #[repr(C, align(8))]
        pub struct ExpandedShape {
            given: RuntimeShape,
            $($name: u32,)*
        }

        impl ExpandedShape {
            /// Returns these dimensions with those that follow from them.
            #[inline(always)]
            pub fn new(given: RuntimeShape) -> Self {
                Self { given, $($name: given.$name() as u32,)* }
            }
        }

        impl From<RuntimeShape> for ExpandedShape {
            #[inline(always)]
            fn from(given: RuntimeShape) -> Self {
                Self::new(given)
            }
        }

        impl Shape for ExpandedShape {
            #[inline(always)]
            fn to_runtime(self) -> RuntimeShape {
                self.given
            }

            #[inline(always)]
            fn rematerialize(self) -> Self {
                let [$($name,)*] = rematerialize([$(self.$name,)*]);
                Self { given: self.given, $($name,)* }
            }

            #[inline(always)]
            fn rematerialize_index(self, index: usize) -> usize {
                rematerialize([index as u32])[0] as usize
            }

            $(#[inline(always)]
            fn $name(self) -> usize {
                self.$name as usize
            })*
        }
    };
}

expanded!(
    n_embd_padded,
    n_attn_padded,
    n_hidden_padded,
    vocab_padded,
    block_size_padded,
    head_dim_padded,
    head_groups,
    head_dim,
    vocab,
    block_size,
    n_embd,
    n_layer
);
