//! The model's dimensions, known at compile time for the default model and at run time for every other.
//!
//! Every matrix is stored in tiles of [`TILE`] channels, padded with zeros, so that one set of stages serves every
//! shape. A padded weight is zero, its gradient is exactly zero, and the optimiser leaves a zero weight with a zero
//! gradient at zero, so padding never reaches a result.

/// Channels in a tile: the lanes of half a warp.
pub const TILE: usize = 16;

/// Tokens that a warp of the widest machine takes at once; activations are padded to a multiple of it.
pub const TOKEN_GROUP: usize = 8;

/// Warps of a block on a GPU.
pub const GPU_WARPS: usize = 16;

/// Tokens that a warp of a GPU takes at once.
pub const GPU_TOKENS: usize = 1;

/// `n` rounded up to a multiple of `to`.
#[inline(always)]
pub const fn round_up(n: usize, to: usize) -> usize {
    n.div_ceil(to) * to
}

/// `a / b` without a panic: for a `b` that is a dimension and so not zero, which the compiler cannot know.
#[inline(always)]
pub const fn div(a: usize, b: usize) -> usize {
    a / if b == 0 { 1 } else { b }
}

/// `a % b` without a panic, see [`div`].
#[inline(always)]
pub const fn rem(a: usize, b: usize) -> usize {
    a % if b == 0 { 1 } else { b }
}

/// The model's dimensions: five given ones and what follows from them.
///
/// Implemented by [`ConstShape`], whose dimensions are constants to the compiler, and by [`RuntimeShape`].
pub trait Shape: Copy + Send + Sync {
    /// Whether the dimensions are constants to the compiler.
    const IS_CONST: bool;

    /// V: distinct tokens, `<BOS>` included.
    fn vocab(self) -> usize;
    /// T: the most tokens that the model looks back on, and the most positions that a document trains.
    fn block_size(self) -> usize;
    /// C: channels of the residual stream.
    fn n_embd(self) -> usize;
    /// H: attention heads; divides C.
    fn n_head(self) -> usize;
    /// L: layers.
    fn n_layer(self) -> usize;

    /// D: channels of a head, `C / H`.
    #[inline(always)]
    fn head_dim(self) -> usize {
        div(self.n_embd(), self.n_head())
    }

    /// V in whole tiles.
    #[inline(always)]
    fn vocab_padded(self) -> usize {
        round_up(self.vocab(), TILE)
    }

    /// T in whole token groups.
    #[inline(always)]
    fn block_size_padded(self) -> usize {
        round_up(self.block_size(), TOKEN_GROUP)
    }

    /// C in whole tiles.
    #[inline(always)]
    fn n_embd_padded(self) -> usize {
        round_up(self.n_embd(), TILE)
    }

    /// The hidden width of the MLP, `4 C`, in whole tiles.
    #[inline(always)]
    fn n_hidden_padded(self) -> usize {
        round_up(4 * self.n_embd(), TILE)
    }

    /// D padded so that a head never straddles a tile: a power of two up to a tile, whole tiles above.
    #[inline(always)]
    fn head_dim_padded(self) -> usize {
        let d = self.head_dim();
        // In 32 bits: Rust-CUDA's compiler counts the zeros of 64 bits wrongly.
        if d <= TILE { (d as u32).next_power_of_two() as usize } else { round_up(d, TILE) }
    }

    /// The width of queries, keys and values, H padded heads, in whole tiles.
    #[inline(always)]
    fn n_attn_padded(self) -> usize {
        round_up(self.n_head() * self.head_dim_padded(), TILE)
    }

    /// These dimensions as values.
    #[inline(always)]
    fn to_runtime(self) -> RuntimeShape {
        RuntimeShape {
            vocab: self.vocab() as u32,
            block_size: self.block_size() as u32,
            n_embd: self.n_embd() as u32,
            n_head: self.n_head() as u32,
            n_layer: self.n_layer() as u32,
        }
    }
}

/// Dimensions known at compile time: V, T, C, H, L.
#[derive(Clone, Copy, Debug)]
pub struct ConstShape<const V: usize, const T: usize, const C: usize, const H: usize, const L: usize>;

/// The default model on a corpus of the 26 lower-case letters.
pub type DefaultShape = ConstShape<27, 8, 16, 4, 1>;

impl<const V: usize, const T: usize, const C: usize, const H: usize, const L: usize> Shape
    for ConstShape<V, T, C, H, L>
{
    const IS_CONST: bool = true;

    #[inline(always)]
    fn vocab(self) -> usize {
        V
    }
    #[inline(always)]
    fn block_size(self) -> usize {
        T
    }
    #[inline(always)]
    fn n_embd(self) -> usize {
        C
    }
    #[inline(always)]
    fn n_head(self) -> usize {
        H
    }
    #[inline(always)]
    fn n_layer(self) -> usize {
        L
    }
}

/// Dimensions known at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RuntimeShape {
    /// V, see [`Shape::vocab`].
    pub vocab: u32,
    /// T, see [`Shape::block_size`].
    pub block_size: u32,
    /// C, see [`Shape::n_embd`].
    pub n_embd: u32,
    /// H, see [`Shape::n_head`].
    pub n_head: u32,
    /// L, see [`Shape::n_layer`].
    pub n_layer: u32,
}

impl Shape for RuntimeShape {
    const IS_CONST: bool = false;

    #[inline(always)]
    fn vocab(self) -> usize {
        self.vocab as usize
    }
    #[inline(always)]
    fn block_size(self) -> usize {
        self.block_size as usize
    }
    #[inline(always)]
    fn n_embd(self) -> usize {
        self.n_embd as usize
    }
    #[inline(always)]
    fn n_head(self) -> usize {
        self.n_head as usize
    }
    #[inline(always)]
    fn n_layer(self) -> usize {
        self.n_layer as usize
    }
}
