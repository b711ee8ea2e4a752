//! `adamw`.

use gpu_kernels::args::{Optimizer, Schedule};
use gpu_kernels::layout::Layout;
use gpu_kernels::ops::adamw::{Arrays, Update};
use gpu_kernels::ops::tiles;
use gpu_kernels::shape::{HALF_WARP, RuntimeShape, Shape};
use microgpt::config::num_params;
use microgpt::weights::Weights;
use reference::{AdamW, Model, adamw, model};

use crate::support::{ROUNDING, launch, numbers, tile, wide};
use crate::tensors::{assert_close, norm};

const SHAPE: RuntimeShape = RuntimeShape { vocab: 37, block_size: 5, n_embd: 21, n_head: 3, n_layer: 2 };

const LEARNING_RATE: f64 = 0.25;

/// What the gradients are multiplied by to clip them.
const CLIP: f32 = 0.375;

/// The kernels round the betas; an eps and a decay that show.
fn config() -> AdamW {
    AdamW {
        learning_rate: LEARNING_RATE,
        beta1: f64::from(0.9f32),
        beta2: f64::from(0.95f32),
        eps: 1e-3,
        weight_decay: 0.125,
        max_grad_norm: 1.0,
    }
}

/// The flat arrays in the kernels' padded layout.
struct Memory {
    w: Vec<f32>,
    transposed: Vec<f32>,
    grads: Vec<f32>,
    m: Vec<f32>,
    v: Vec<f32>,
}

/// `values`, flat and in the order of the checkpoint, spread out to the padded layout.
fn pack(values: &[f32], padded: &mut [f32]) {
    for (tensor, values) in (Weights { shape: SHAPE, values: values.to_vec() }).tensors() {
        for (i, &value) in values.iter().enumerate() {
            padded[tensor.index(i / tensor.shape[1], i % tensor.shape[1])] = value;
        }
    }
}

impl Memory {
    fn new(weights: &[f32]) -> Self {
        let zeros = vec![0.0; Layout(SHAPE).len()];
        let mut memory = Self {
            w: zeros.clone(),
            transposed: vec![f32::NAN; zeros.len()],
            grads: zeros.clone(),
            m: zeros.clone(),
            v: zeros,
        };
        pack(weights, &mut memory.w);
        memory
    }

    /// One step of every tensor; the first is number 1.
    fn update(&mut self, gradients: &[f32], step: i32) {
        pack(gradients, &mut self.grads);
        let AdamW { beta1, beta2, eps, weight_decay, .. } = config();
        let (correct1, correct2) = (1.0 - beta1.powi(step), 1.0 - beta2.powi(step));
        let optimizer = Optimizer {
            beta1: beta1 as f32,
            one_minus_beta1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            one_minus_beta2: (1.0 - beta2) as f32,
            max_grad_norm: 1.0,
        };
        let schedule = Schedule {
            root: (correct1 / (LEARNING_RATE * correct2.sqrt())) as f32,
            eps: (eps * correct1 / LEARNING_RATE) as f32,
            decay: (LEARNING_RATE * weight_decay) as f32,
        };
        let arrays =
            Arrays { w: view(&mut self.w), grads: view(&mut self.grads), m: view(&mut self.m), v: view(&mut self.v) };
        let transposed = view(&mut self.transposed);
        let (layout, c) = (Layout(SHAPE), SHAPE.n_embd_padded());
        launch(|warp| {
            let update = Update::new(&optimizer, &schedule, CLIP);
            for matrix in layout.matrices() {
                for row in warp.block_stride(matrix.rows / HALF_WARP).map(|row| row * HALF_WARP) {
                    for col in half_warps(matrix.cols) {
                        update.block(warp, arrays, transposed, matrix, (row, col), HALF_WARP / 2);
                    }
                }
            }
            for pair in warp.block_stride(layout.wpe_rows() / 2) {
                for col in half_warps(c) {
                    update.row_pairs::<1>(warp, arrays, layout.wpe() + 2 * pair * c + col, c);
                }
            }
        });
    }

    /// The transposed copies are those of the matrices, padding too.
    fn assert_transposed(&self, what: &str) {
        for matrix in Layout(SHAPE).matrices() {
            for i in 0..matrix.rows * matrix.cols {
                let (row, col) = (i / matrix.cols, i % matrix.cols);
                let copy = self.transposed[matrix.offset + col * matrix.rows + row];
                let w = self.w[matrix.offset + i];
                let at = matrix.offset;
                assert_eq!(
                    copy.to_bits(),
                    w.to_bits(),
                    "{what}: the matrix at {at}, transposed[{col}, {row}]: {copy}, not {w}"
                );
            }
        }
    }

    /// What is padding has no weight and no first moment, and next to no second one. All other moments are normal
    /// numbers.
    fn assert_padding_and_normal(&self, what: &str) {
        let mut is_weight = vec![false; self.w.len()];
        for tensor in Layout(SHAPE).tensors() {
            for i in 0..tensor.numel() {
                is_weight[tensor.index(i / tensor.shape[1], i % tensor.shape[1])] = true;
            }
        }
        assert_eq!(is_weight.iter().filter(|&&is| is).count(), num_params(SHAPE));
        for (i, is_weight) in is_weight.into_iter().enumerate() {
            let (w, m, v) = (self.w[i], self.m[i], self.v[i]);
            // Denormal numbers would be slow, also where the gradient is zero.
            let right = if is_weight { m.is_normal() } else { w == 0.0 && m == 0.0 && v < 1e-22 };
            assert!(right && v.is_normal(), "{what}: at {i}, weight: {is_weight}: w {w:e}, m {m:e}, v {v:e}");
        }
    }
}

/// Every tensor in its padded layout is that of `expected`, but for so many roundings.
fn assert_tensors_close(what: &str, padded: &[f32], expected: &[f64], roundings: f64) {
    let mut rest = expected;
    for tensor in Layout(SHAPE).tensors() {
        let cols = tensor.shape[1];
        let (expected, tail) = rest.split_at(tensor.numel());
        rest = tail;
        let got: Vec<f32> = (0..expected.len()).map(|i| padded[tensor.index(i / cols, i % cols)]).collect();
        assert_close(format!("{what}: {tensor}"), cols, &got, expected, roundings * ROUNDING * norm(expected));
    }
}

#[test]
fn steps_agree_with_the_reference() {
    let weights = numbers(1, num_params(SHAPE));
    let mut memory = Memory::new(&weights);
    let shape = model::Shape {
        vocab: SHAPE.vocab(),
        block_size: SHAPE.block_size(),
        n_embd: SHAPE.n_embd(),
        n_head: SHAPE.n_head(),
        n_layer: SHAPE.n_layer(),
    };
    let mut reference = Model::new(shape, wide(&weights));
    for step in 1..=3 {
        // Of every size from 1 to 1e-11, some zero: about eps and below it, and below what is added to `v`.
        let size = |i: usize| if i.is_multiple_of(17) { 0.0 } else { 10f32.powi(-((i % 12) as i32)) };
        let gradients: Vec<f32> =
            numbers(1 + step as u64, weights.len()).iter().enumerate().map(|(i, g)| g * size(i)).collect();
        let clipped: Vec<f64> = gradients.iter().map(|&g| f64::from(g) * f64::from(CLIP)).collect();
        memory.update(&gradients, step);
        reference.step = step as u64;
        adamw(&mut reference, &clipped, &config());
        let what = format!("step {step}");
        let steps = f64::from(step);
        // Each step: the gain, its product with `g`, both multiply-adds; for `v` the gain is a product of two.
        assert_tensors_close(&format!("{what}: m"), &memory.m, &reference.m, 4.0 * steps);
        assert_tensors_close(&format!("{what}: v"), &memory.v, &reference.v, 6.0 * steps);
        // Each step: root, product, division and difference, and the roundings of the three scalars.
        assert_tensors_close(&format!("{what}: w"), &memory.w, &reference.weights, 8.0 * steps);
        memory.assert_transposed(&what);
        memory.assert_padding_and_normal(&what);
    }
}
