//! The tensors as the host sees them, with names, without padding, and with their places in the flat arrays.

#[cfg(not(target_arch = "nvptx64"))]
use core::fmt;

use crate::layout::{Axis, Layout, Place, Spec};
use crate::shape::{RuntimeShape, Shape};

impl Axis {
    /// Returns the index of element `i` among the padded elements.
    pub fn index<S: Shape>(self, s: S, i: usize) -> usize {
        if self == Self::Heads { i / s.head_dim() * s.head_dim_padded() + i % s.head_dim() } else { i }
    }
}

impl<S: Shape> Layout<S> {
    /// Returns every tensor, in the order of the arrays and of the checkpoint.
    pub fn tensors(self) -> impl Iterator<Item = Tensor> {
        let shape = self.0.to_runtime();
        self.rows().map(move |(layer, spec, place)| Tensor { shape, layer, spec, place })
    }

    /// Returns the number of parameters, padding excluded.
    pub fn num_params(self) -> usize {
        self.tensors().map(|tensor| tensor.numel()).sum()
    }
}

/// A tensor of the model, with its row of the table, its layer, and its place in the flat arrays.
#[derive(Clone, Copy, Debug)]
pub struct Tensor {
    shape: RuntimeShape,
    /// The layer, if the tensor belongs to one.
    pub layer: Option<usize>,
    /// The tensor's row of the table.
    pub spec: Spec,
    /// The tensor's place in the flat arrays.
    pub place: Place,
}

impl Tensor {
    /// Returns the shape in a checkpoint, `[rows, cols]` without padding.
    pub fn shape(&self) -> [usize; 2] {
        self.spec.axes.map(|axis| axis.len(self.shape))
    }

    /// Returns the number of elements without padding.
    pub fn numel(&self) -> usize {
        let [rows, cols] = self.shape();
        rows * cols
    }

    /// Returns the index in the flat arrays of element `i` of the row-major tensor without padding.
    pub fn index(&self, i: usize) -> usize {
        let ([rows, cols], width) = (self.spec.axes, self.shape()[1]);
        let (row, col) = (rows.index(self.shape, i / width), cols.index(self.shape, i % width));
        self.place.offset + row * self.place.cols + col
    }

    /// Returns the number of elements without padding between them. The tensor consists of such runs.
    pub fn run(&self) -> usize {
        if self.spec.axes[1] == Axis::Heads { self.shape.head_dim() } else { self.shape()[1] }
    }
}

/// The name in a checkpoint, such as `wte` or `layer0.attn_wq`.
#[cfg(not(target_arch = "nvptx64"))] // Formatting would pull its machinery into the PTX.
impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            Some(l) => write!(f, "layer{l}.{}", self.spec.name),
            None => f.write_str(self.spec.name),
        }
    }
}
