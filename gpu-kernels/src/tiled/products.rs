//! The products of a step's phases.

use super::operand::{Left, Right};
use super::output::Output;
use super::phases::Op;
use super::product::Product;
use super::squares::Squares;
use super::sum::Contraction;
use super::views::Step;
use crate::layout::{Layout, Place};
use crate::ops::attention::query_scale;
use crate::shape::Shape;

use simt::View;

/// Returns a matrix product's left operand that is not transposed.
#[inline(always)]
fn left(view: View, stride: usize) -> Left {
    Left { view, stride, is_transposed: false }
}

/// Returns a right operand that is not transposed.
#[inline(always)]
fn right(view: View, stride: usize) -> Right {
    Right { view, stride, is_transposed: false }
}

const STORE: Output = Output::Store { scaled: 0, scale: 1.0 };

impl Step {
    /// Returns the product of the rows `x` with a matrix, contracted over the matrix's inputs.
    #[inline(always)]
    fn forward(&self, x: Left, matrix: Place, y: View, output: Output) -> Product {
        Product {
            left: x,
            right: Right { view: self.arrays.w.at(matrix.offset), stride: matrix.cols, is_transposed: true },
            contraction: Contraction::Whole(matrix.cols),
            y,
            y_stride: matrix.rows,
            rows: self.rows_len(),
            cols: matrix.rows,
            output,
        }
    }

    /// Returns the gradient of a matrix's input, from the gradient `dy` of its output.
    #[inline(always)]
    fn backward(&self, dy: View, matrix: Place, dx: View, output: Output) -> Product {
        Product {
            left: left(dy, matrix.rows),
            right: right(self.arrays.w.at(matrix.offset), matrix.cols),
            contraction: Contraction::Whole(matrix.rows),
            y: dx,
            y_stride: matrix.cols,
            rows: self.rows_len(),
            cols: matrix.cols,
            output,
        }
    }

    /// Returns the gradient of a matrix, from the gradient `dy` of its output and its input `x`.
    #[inline(always)]
    fn gradient(&self, dy: View, x: Right, matrix: Place, output: Output) -> Product {
        Product {
            left: Left { view: dy, stride: matrix.rows, is_transposed: true },
            right: x,
            contraction: Contraction::Segments { bounds: self.rows.shard_bounds, count: self.counts.shards as usize },
            y: self.arrays.grads.at(matrix.offset),
            y_stride: matrix.cols,
            rows: matrix.rows,
            cols: matrix.cols,
            output,
        }
    }

    /// Returns the use of the gradient of a layer's matrix.
    #[inline(always)]
    fn gradient_use(&self, matrix: Place) -> Output {
        Output::Gradient { scale: self.scale(), squares: self.squares.at(Squares::new(self.s).of(matrix)) }
    }

    /// Returns the products of a phase.
    #[inline(always)]
    pub fn products(&self, op: Op) -> [Option<Product>; 2] {
        let (s, a) = (self.s, &self.a);
        let (wte, tensors) = (Layout(s).model().wte, Layout(s).layer(self.layer));
        let (c, width, hidden) = (s.n_embd_padded(), s.n_attn_padded(), s.n_hidden_padded());
        // The three matrices are adjacent.
        let qkv = Place { rows: 3 * width, ..tensors.attn_wq };
        match op {
            Op::Qkv => {
                let output = Output::Store { scaled: width, scale: query_scale(s) };
                [Some(self.forward(left(a.xn_attn, c), qkv, a.qkv, output)), None]
            }
            Op::AttnOut => [Some(self.forward(left(a.attn, width), tensors.attn_wo, a.x, Output::Add)), None],
            Op::Fc1 => [Some(self.forward(left(a.xn_mlp, c), tensors.mlp_fc1, a.h2, Output::SquaredRelu)), None],
            Op::Fc2 => [Some(self.forward(left(a.h2, hidden), tensors.mlp_fc2, a.x, Output::Add)), None],
            Op::LmHead => [Some(self.forward(left(a.x, c), wte, a.logits, STORE)), None],
            Op::LmHeadBackward => {
                let scaled = Output::Store { scaled: c, scale: self.scale() };
                [
                    Some(self.backward(a.logits, wte, a.dx, STORE)),
                    Some(self.gradient(a.logits, right(a.x, c), wte, scaled)),
                ]
            }
            Op::Fc2Backward => {
                let matrix = tensors.mlp_fc2;
                [
                    Some(self.backward(a.dx, matrix, a.dh, Output::SquaredReluBackward { h2: a.h2 })),
                    Some(self.gradient(a.dx, right(a.h2, hidden), matrix, self.gradient_use(matrix))),
                ]
            }
            Op::Fc1Backward => {
                let matrix = tensors.mlp_fc1;
                [
                    Some(self.backward(a.dh, matrix, a.dx_mid, STORE)),
                    Some(self.gradient(a.dh, right(a.xn_mlp, c), matrix, self.gradient_use(matrix))),
                ]
            }
            Op::AttnOutBackward => {
                let matrix = tensors.attn_wo;
                [
                    Some(self.backward(a.dx_mid, matrix, a.dattn, STORE)),
                    Some(self.gradient(a.dx_mid, right(a.attn, width), matrix, self.gradient_use(matrix))),
                ]
            }
            Op::QkvBackward => [
                Some(self.backward(a.dqkv, qkv, a.dx, STORE)),
                Some(self.gradient(a.dqkv, right(a.xn_attn, c), qkv, self.gradient_use(qkv))),
            ],
            _ => [None, None],
        }
    }
}
