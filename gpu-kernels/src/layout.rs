//! The table of the model's tensors. Initial values, checkpoints, optimiser and tests read it.
//!
//! Parameters, gradients and both moments are four flat arrays with the same offsets. Tensors follow each other in the
//! order of the table. Each is `[rows, cols]`, row-major and padded (see [`Axis`]). The transposed copies of the
//! matrices form a fifth array with these offsets, so that forward and backward pass both read weights along the lanes.

use simt::{F32x32, HALF_WARP, View, div, rem, round_up};

use crate::shape::Shape;

/// An axis of a tensor, which determines a length and its padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// V tokens, padded to half-warps.
    Vocab,
    /// T positions, padded to an even number because the optimiser takes rows in pairs.
    Positions,
    /// C channels, padded to half-warps.
    Channels,
    /// C channels in H heads. Each head is padded, see [`Shape::head_dim_padded`].
    Heads,
    /// The `4 C` hidden channels, padded to half-warps.
    Hidden,
}

impl Axis {
    /// Returns the length without padding.
    pub fn len<S: Shape>(self, s: S) -> usize {
        match self {
            Self::Vocab => s.vocab(),
            Self::Positions => s.block_size(),
            Self::Channels | Self::Heads => s.n_embd(),
            Self::Hidden => 4 * s.n_embd(),
        }
    }

    /// Returns the length with padding.
    // Without the hint, Rust-CUDA's kernels for the default shape have 5 to 10 % more instructions.
    #[inline(always)]
    pub fn padded_len<S: Shape>(self, s: S) -> usize {
        match self {
            Self::Vocab => s.vocab_padded(),
            Self::Positions => round_up(s.block_size(), 2),
            Self::Channels => s.n_embd_padded(),
            Self::Heads => s.n_attn_padded(),
            Self::Hidden => s.n_hidden_padded(),
        }
    }
}

/// The initial values of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// The normal distribution with mean 0 and standard deviation 0.02.
    Normal,
    /// Zeros, so that each layer begins as the identity.
    Zeros,
}

/// A tensor's row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// The name in a checkpoint, without the layer: `"attn_wq"`.
    pub name: &'static str,
    /// The axis of rows and the axis of columns.
    pub axes: [Axis; 2],
    /// The initial values.
    pub init: Init,
    /// Whether `AdamW` decays the weights.
    pub decays: bool,
    /// Whether there is a transposed copy. Then the kernels update blocks of 16 by 16 weights, otherwise pairs of rows.
    pub transposed: bool,
}

/// The place of a tensor `[rows, cols]`, padding included, in the flat arrays.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The offset of the tensor's first element.
    pub offset: usize,
    /// The number of rows, which are the outputs of a matrix.
    pub rows: usize,
    /// The number of columns, which are the inputs of a matrix.
    pub cols: usize,
    /// Whether `AdamW` decays the weights.
    pub decays: bool,
}

impl Place {
    #[inline(always)]
    fn new<S: Shape>(s: S, offset: usize, spec: Spec) -> Self {
        let [rows, cols] = spec.axes;
        Self { offset, rows: rows.padded_len(s), cols: cols.padded_len(s), decays: spec.decays }
    }

    /// Returns the number of elements.
    pub fn len(self) -> usize {
        self.rows * self.cols
    }

    /// Returns the number of blocks of `height` by 16 elements.
    pub fn blocks(self, height: usize) -> usize {
        (self.rows / height) * (self.cols / HALF_WARP)
    }

    /// Returns block `i` of `height` by 16 elements. Blocks are numbered row by row.
    pub fn block(self, height: usize, i: usize) -> WeightBlock {
        let wide = self.cols / HALF_WARP;
        WeightBlock { tensor: self, row: div(i, wide) * height, col: rem(i, wide) * HALF_WARP }
    }
}

/// A block of a tensor, 16 columns wide. It is accessed in pairs of rows.
#[derive(Clone, Copy)]
pub struct WeightBlock {
    /// The tensor.
    pub tensor: Place,
    /// The block's first row.
    pub row: usize,
    /// The block's first column.
    pub col: usize,
}

impl WeightBlock {
    /// Returns the offset of the first row of pair `pair`. The second row follows [`Place::cols`] elements later.
    pub fn at(self, pair: usize) -> usize {
        let Place { offset, cols, .. } = self.tensor;
        offset + self.row * cols + self.col + 2 * pair * cols
    }

    /// Loads the first `N` pairs of rows from a flat array.
    #[inline(always)]
    pub fn load<const N: usize>(self, array: View) -> [F32x32; N] {
        let mut rows = [F32x32::splat(0.0); N];
        for pair in 0..N {
            rows[pair] = array.load_halves(self.at(pair), self.tensor.cols);
        }
        rows
    }

    /// Stores the first `N` pairs of rows in a flat array.
    #[inline(always)]
    pub fn store<const N: usize>(self, array: View, rows: [F32x32; N]) {
        let mut array = array.at(self.at(0));
        for pair in 0..N {
            array.store_halves(0, self.tensor.cols, rows[pair]);
            array = array.at(2 * self.tensor.cols);
        }
    }
}

/// The flat arrays, as the host's pointers, in the block's memory, or as views.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Arrays<A> {
    /// The parameters.
    pub w: A,
    /// The transposed copies of the matrices.
    pub transposed: A,
    /// The gradients before the clip.
    pub grads: A,
    /// The first moments.
    pub m: A,
    /// The second moments.
    pub v: A,
}

impl<A> Arrays<A> {
    /// Applies `f` to each array.
    #[inline(always)]
    pub fn map<B>(self, mut f: impl FnMut(A) -> B) -> Arrays<B> {
        let Self { w, transposed, grads, m, v } = self;
        Arrays { w: f(w), transposed: f(transposed), grads: f(grads), m: f(m), v: f(v) }
    }
}

/// The places of the tensors in the flat arrays.
#[derive(Clone, Copy)]
pub struct Layout<S>(pub S);

/// Defines the table and the places of the tensors from the rows of the table.
macro_rules! tensors {
    (
        model { $($(#[$doc:meta])* $name:ident: $axes:expr, $init:ident, decays: $decays:tt, transposed: $copy:tt;)* }
        layer { $($(#[$ldoc:meta])* $lname:ident: $laxes:expr, $linit:ident, decays: $ldecay:tt, transposed: $lcopy:tt;)* }
    ) => {
        /// The places of the tensors that the model has once.
        #[derive(Clone, Copy)]
        pub struct ModelTensors {
            $($(#[$doc])* pub $name: Place,)*
        }

        /// The places of a layer's tensors.
        #[derive(Clone, Copy)]
        pub struct LayerTensors {
            $($(#[$ldoc])* pub $lname: Place,)*
        }

        #[allow(non_upper_case_globals)]
        mod table {
            use super::{Axis::*, Init::*, Spec};
            $(pub const $name: Spec =
                Spec { name: stringify!($name), axes: $axes, init: $init, decays: $decays, transposed: $copy };)*
            $(pub const $lname: Spec =
                Spec { name: stringify!($lname), axes: $laxes, init: $linit, decays: $ldecay, transposed: $lcopy };)*
        }

        impl<S: Shape> Layout<S> {
            /// Returns the places of the tensors that the model has once.
            #[inline(always)]
            pub fn model(self) -> ModelTensors {
                let next = 0;
                $(let $name = Place::new(self.0, next, table::$name); let next = next + $name.len();)*
                let _ = next;
                ModelTensors { $($name,)* }
            }

            /// Returns the places of the tensors of layer `l`.
            #[inline(always)]
            pub fn layer(self, l: usize) -> LayerTensors {
                let next = self.layer_offset(l);
                $(let $lname = Place::new(self.0, next, table::$lname); let next = next + $lname.len();)*
                let _ = next;
                LayerTensors { $($lname,)* }
            }

            /// Returns the number of elements in each flat array.
            pub fn len(self) -> usize {
                self.layer_offset(self.0.n_layer())
            }

            #[inline(always)]
            fn layer_offset(self, l: usize) -> usize {
                let model = 0 $(+ Place::new(self.0, 0, table::$name).len())*;
                let layer = 0 $(+ Place::new(self.0, 0, table::$lname).len())*;
                model + l * layer
            }

            /// Returns the layer, the row and the place of every tensor, in the order of the arrays.
            pub(crate) fn rows(self) -> impl Iterator<Item = (Option<usize>, Spec, Place)> {
                let model = self.model();
                let layers = (0..self.0.n_layer()).flat_map(move |l| {
                    let layer = self.layer(l);
                    [$((Some(l), table::$lname, layer.$lname),)*]
                });
                [$((None, table::$name, model.$name),)*].into_iter().chain(layers)
            }
        }
    };
}

tensors! {
    model {
        /// `[V, C]`: the token embedding and, tied, the `lm_head`.
        wte: [Vocab, Channels], Normal, decays: true, transposed: true;
        /// `[T, C]`: the position embedding.
        wpe: [Positions, Channels], Normal, decays: true, transposed: false;
    }
    layer {
        /// `[C, C]`: the queries' weights.
        attn_wq: [Heads, Channels], Normal, decays: true, transposed: true;
        /// `[C, C]`: the keys' weights.
        attn_wk: [Heads, Channels], Normal, decays: true, transposed: true;
        /// `[C, C]`: the values' weights.
        attn_wv: [Heads, Channels], Normal, decays: true, transposed: true;
        /// `[C, C]`: the weights of attention's output.
        attn_wo: [Channels, Heads], Zeros, decays: true, transposed: true;
        /// `[4C, C]`: the MLP's first matrix.
        mlp_fc1: [Hidden, Channels], Normal, decays: true, transposed: true;
        /// `[C, 4C]`: the MLP's second matrix.
        mlp_fc2: [Channels, Hidden], Zeros, decays: true, transposed: true;
    }
}

impl LayerTensors {
    /// Returns the place of `attn_wq`, `attn_wk` or `attn_wv` (`which` 0, 1, 2), computed as by `one_of_three`.
    pub fn attn_qkv(self, which: usize) -> Place {
        Place { offset: self.attn_wq.offset + which * self.attn_wq.len(), ..self.attn_wq }
    }
}
