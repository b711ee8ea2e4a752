//! Where every tensor lies: one table for parameters, gradients and moments, used by the host and by the kernels.
//!
//! The four arrays are flat and share their offsets. A tensor `[rows, cols]` is row-major and padded to whole tiles in
//! both directions (`wpe` only in its columns). The transposed copies of the matrices, which let the forward and the
//! backward pass both read weights along their lanes, form a fifth array with the same offsets.

#[cfg(not(target_arch = "nvptx64"))]
use core::fmt;

use crate::shape::{Shape, TILE, round_up};

/// Offsets of the tensors in the flat arrays, in elements.
#[derive(Clone, Copy)]
pub struct Layout<S>(pub S);

impl<S: Shape> Layout<S> {
    /// `wte: [V, C]`, the token embedding and, tied, the output head.
    #[inline(always)]
    pub fn wte(self) -> usize {
        0
    }

    /// `wpe: [T, C]`, the position embedding.
    #[inline(always)]
    pub fn wpe(self) -> usize {
        self.0.vocab_padded() * self.0.n_embd_padded()
    }

    /// Rows of `wpe` as stored: even, since the optimiser takes rows in pairs.
    #[inline(always)]
    pub fn wpe_rows(self) -> usize {
        round_up(self.0.block_size(), 2)
    }

    /// Where layer `l` begins.
    #[inline(always)]
    fn layer(self, l: usize) -> usize {
        let matrices = 4 * self.0.n_attn_padded() + 2 * self.0.n_hidden_padded();
        self.wpe() + self.wpe_rows() * self.0.n_embd_padded() + l * matrices * self.0.n_embd_padded()
    }

    /// `attn_wq`, `attn_wk`, `attn_wv` (`which` 0, 1, 2): `[C, C]` each, its rows grouped into padded heads. One after the other,
    /// so that a loop can take them.
    #[inline(always)]
    pub fn attn_qkv(self, l: usize, which: usize) -> usize {
        self.layer(l) + which * (self.0.n_attn_padded() * self.0.n_embd_padded())
    }

    /// `attn_wo: [C, C]`, its columns grouped into padded heads.
    #[inline(always)]
    pub fn attn_wo(self, l: usize) -> usize {
        // Behind the three.
        self.attn_qkv(l, 3)
    }

    /// `mlp_fc1: [4C, C]`.
    #[inline(always)]
    pub fn mlp_fc1(self, l: usize) -> usize {
        self.attn_wo(l) + self.0.n_attn_padded() * self.0.n_embd_padded()
    }

    /// `mlp_fc2: [C, 4C]`.
    #[inline(always)]
    pub fn mlp_fc2(self, l: usize) -> usize {
        self.mlp_fc1(l) + self.0.n_hidden_padded() * self.0.n_embd_padded()
    }

    /// Elements of each flat array.
    #[inline(always)]
    pub fn len(self) -> usize {
        self.layer(self.0.n_layer())
    }

    /// The matrices of layer `l`, in the order of the arrays.
    #[inline(always)]
    pub fn layer_matrices(self, l: usize) -> [Matrix; 6] {
        let (c, a, f) = (self.0.n_embd_padded(), self.0.n_attn_padded(), self.0.n_hidden_padded());
        [
            Matrix { offset: self.attn_qkv(l, 0), rows: a, cols: c },
            Matrix { offset: self.attn_qkv(l, 1), rows: a, cols: c },
            Matrix { offset: self.attn_qkv(l, 2), rows: a, cols: c },
            Matrix { offset: self.attn_wo(l), rows: c, cols: a },
            Matrix { offset: self.mlp_fc1(l), rows: f, cols: c },
            Matrix { offset: self.mlp_fc2(l), rows: c, cols: f },
        ]
    }

    /// `wte` as a matrix.
    #[inline(always)]
    pub fn head_matrix(self) -> Matrix {
        Matrix { offset: self.wte(), rows: self.0.vocab_padded(), cols: self.0.n_embd_padded() }
    }

    /// Every matrix that has a transposed copy.
    pub fn matrices(self) -> impl Iterator<Item = Matrix> {
        let layers = (0..self.0.n_layer()).flat_map(move |l| self.layer_matrices(l));
        core::iter::once(self.head_matrix()).chain(layers)
    }

    /// Every tensor, in the order of the arrays and of the checkpoint.
    pub fn tensors(self) -> impl Iterator<Item = Tensor> {
        let (v, t, c) = (self.0.vocab(), self.0.block_size(), self.0.n_embd());
        let head = HeadPadding { head_dim: self.0.head_dim(), head_dim_padded: self.0.head_dim_padded() };
        let embeddings = [
            Tensor::new("wte", None, [v, c], self.wte(), self.0.n_embd_padded()),
            Tensor::new("wpe", None, [t, c], self.wpe(), self.0.n_embd_padded()),
        ];
        let layers = (0..self.0.n_layer()).flat_map(move |l| {
            let tensor = |name, shape, offset| Tensor::new(name, Some(l), shape, offset, self.0.n_embd_padded());
            [
                Tensor { row_heads: Some(head), ..tensor("attn_wq", [c, c], self.attn_qkv(l, 0)) },
                Tensor { row_heads: Some(head), ..tensor("attn_wk", [c, c], self.attn_qkv(l, 1)) },
                Tensor { row_heads: Some(head), ..tensor("attn_wv", [c, c], self.attn_qkv(l, 2)) },
                Tensor {
                    col_heads: Some(head),
                    stride: self.0.n_attn_padded(),
                    ..tensor("attn_wo", [c, c], self.attn_wo(l))
                },
                tensor("mlp_fc1", [4 * c, c], self.mlp_fc1(l)),
                Tensor { stride: self.0.n_hidden_padded(), ..tensor("mlp_fc2", [c, 4 * c], self.mlp_fc2(l)) },
            ]
        });
        embeddings.into_iter().chain(layers)
    }
}

/// A matrix `[rows, cols]` as the flat arrays hold it, in whole tiles.
#[derive(Clone, Copy, Debug)]
pub struct Matrix {
    /// Where it begins.
    pub offset: usize,
    /// Rows: outputs.
    pub rows: usize,
    /// Columns: inputs.
    pub cols: usize,
}

impl Matrix {
    /// Blocks of `TILE` by `TILE` weights.
    #[inline(always)]
    pub fn blocks(self) -> usize {
        (self.rows / TILE) * (self.cols / TILE)
    }
}

/// How the channels of a head are spread out when [`Shape::head_dim_padded`] exceeds [`Shape::head_dim`].
#[derive(Clone, Copy, Debug)]
struct HeadPadding {
    head_dim: usize,
    head_dim_padded: usize,
}

/// One tensor of the model: its name and shape in a checkpoint, and its place in the flat arrays.
#[derive(Clone, Copy, Debug)]
pub struct Tensor {
    name: &'static str,
    #[cfg_attr(target_arch = "nvptx64", expect(dead_code, reason = "only names are made of it"))]
    layer: Option<usize>,
    /// `[rows, cols]` without padding: the tensor's shape in a checkpoint.
    pub shape: [usize; 2],
    offset: usize,
    stride: usize,
    row_heads: Option<HeadPadding>,
    col_heads: Option<HeadPadding>,
}

impl Tensor {
    fn new(name: &'static str, layer: Option<usize>, shape: [usize; 2], offset: usize, stride: usize) -> Self {
        Self { name, layer, shape, offset, stride, row_heads: None, col_heads: None }
    }

    /// Elements without padding.
    pub fn numel(&self) -> usize {
        self.shape[0] * self.shape[1]
    }

    /// The name without the layer: `"attn_wq"`.
    pub fn base_name(&self) -> &'static str {
        self.name
    }

    /// Where element `[row, col]` lies in the flat arrays.
    pub fn index(&self, row: usize, col: usize) -> usize {
        let spread = |i: usize, heads: Option<HeadPadding>| match heads {
            Some(h) => i / h.head_dim * h.head_dim_padded + i % h.head_dim,
            None => i,
        };
        self.offset + spread(row, self.row_heads) * self.stride + spread(col, self.col_heads)
    }
}

/// The checkpoint's name: `wte`, `layer0.attn_wq`.
#[cfg(not(target_arch = "nvptx64"))] // A GPU names nothing, and formatting would drag its machinery in.
impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            Some(l) => write!(f, "layer{l}.{}", self.name),
            None => f.write_str(self.name),
        }
    }
}
