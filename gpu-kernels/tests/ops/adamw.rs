//! The op `adamw` against the reference.

use gpu_kernels::layout::{Arrays, Layout, Place};
use gpu_kernels::ops::adamw::{AdamW, AdamWParams, StepCoefficients};
use gpu_kernels::shape::{RuntimeShape, Shape};
use reference::{TrainState, adamw, model};
use simt::{HALF_WARP, View};

use crate::support::{ROUNDING, launch, to_f64, values, view};
use crate::tensors::{assert_close, norm};

const SHAPE: RuntimeShape = RuntimeShape { vocab: 37, block_size: 5, n_embd: 21, n_head: 3, n_layer: 2 };

const LEARNING_RATE: f64 = 0.25;

/// The factor that clips the gradients.
const CLIP: f32 = 0.375;

/// Returns betas that are exact in `f32`, and an eps and a decay that are large enough to change the result.
fn config() -> reference::AdamW {
    reference::AdamW {
        learning_rate: LEARNING_RATE,
        beta1: f64::from(0.9f32),
        beta2: f64::from(0.95f32),
        eps: 1e-3,
        weight_decay: 0.125,
        max_grad_norm: 1.0,
    }
}

/// Copies `values`, flat and in the order of the checkpoint, to the padded layout.
fn pack(values: &[f32], padded: &mut [f32]) {
    let mut rest = values;
    for tensor in Layout(SHAPE).tensors() {
        let (values, tail) = rest.split_at(tensor.numel());
        rest = tail;
        for (i, &value) in values.iter().enumerate() {
            padded[tensor.index(i)] = value;
        }
    }
    assert!(rest.is_empty());
}

fn matrices() -> impl Iterator<Item = Place> {
    Layout(SHAPE).tensors().filter(|tensor| tensor.spec.transposed).map(|tensor| tensor.place)
}

/// The flat arrays in the kernels' padded layout.
struct FlatArrays(Arrays<Vec<f32>>);

impl FlatArrays {
    fn new(weights: &[f32]) -> Self {
        let zeros = vec![0.0; Layout(SHAPE).len()];
        let transposed = vec![f32::NAN; zeros.len()];
        let mut memory = Arrays { w: zeros.clone(), transposed, grads: zeros.clone(), m: zeros.clone(), v: zeros };
        pack(weights, &mut memory.w);
        Self(memory)
    }

    fn views(&mut self) -> Arrays<View> {
        let Arrays { w, transposed, grads, m, v } = &mut self.0;
        Arrays { w, transposed, grads, m, v }.map(|array| view(array))
    }

    /// Updates every tensor. The first `step` is 1.
    fn update(&mut self, gradients: &[f32], step: i32) {
        pack(gradients, &mut self.0.grads);
        let (adamw, views) = (AdamW { params: params(), step: coefficients(step), clip: CLIP }, self.views());
        launch(|warp| {
            for tensor in Layout(SHAPE).tensors() {
                let place = tensor.place;
                if tensor.spec.transposed {
                    for i in warp.block_stride(place.blocks(HALF_WARP)) {
                        adamw.update_block(warp, &views, place.block(HALF_WARP, i), HALF_WARP / 2);
                    }
                } else {
                    for i in warp.block_stride(place.blocks(2)) {
                        adamw.update_rows::<1>(warp, &views, place.block(2, i));
                    }
                }
            }
        });
    }

    /// Asserts that the transposed copies have the bits of the matrices, padding included.
    fn assert_transposed(&self, what: &str) {
        for matrix in matrices() {
            for i in 0..matrix.len() {
                let (row, col) = (i / matrix.cols, i % matrix.cols);
                let copy = self.0.transposed[matrix.offset + col * matrix.rows + row];
                let w = self.0.w[matrix.offset + i];
                let at = matrix.offset;
                assert_eq!(
                    copy.to_bits(),
                    w.to_bits(),
                    "{what}: the matrix at {at}, transposed[{col}, {row}]: expected {w}, got {copy}"
                );
            }
        }
    }

    /// Asserts that the padding's weights and first moments are zero, and that its second moments are below 1e-22. All
    /// other moments must be normal, because denormals are slow.
    fn assert_padding_and_normal(&self, what: &str) {
        let mut is_weight = vec![false; self.0.w.len()];
        for tensor in Layout(SHAPE).tensors() {
            for i in 0..tensor.numel() {
                is_weight[tensor.index(i)] = true;
            }
        }
        assert_eq!(is_weight.iter().filter(|&&is| is).count(), Layout(SHAPE).num_params());
        for (i, is_weight) in is_weight.into_iter().enumerate() {
            let (w, m, v) = (self.0.w[i], self.0.m[i], self.0.v[i]);
            let right = if is_weight { m.is_normal() } else { w == 0.0 && m == 0.0 && v < 1e-22 };
            assert!(right && v.is_normal(), "{what}: at {i}, weight: {is_weight}: w {w:e}, m {m:e}, v {v:e}");
        }
    }
}

/// Returns [`config`] in the kernels' format.
fn params() -> AdamWParams {
    let reference::AdamW { beta1, beta2, .. } = config();
    AdamWParams { beta1: beta1 as f32, beta2: beta2 as f32, max_grad_norm: 1.0 }
}

fn coefficients(step: i32) -> StepCoefficients {
    let reference::AdamW { beta1, beta2, eps, weight_decay, .. } = config();
    let (correct1, correct2) = (1.0 - beta1.powi(step), 1.0 - beta2.powi(step));
    StepCoefficients {
        sqrt_scale: (correct1 / (LEARNING_RATE * correct2.sqrt())) as f32,
        eps: (eps * correct1 / LEARNING_RATE) as f32,
        decay: (LEARNING_RATE * weight_decay) as f32,
    }
}

/// Asserts that every tensor of `padded` agrees with `expected` up to `roundings` roundings.
fn assert_tensors_close(what: &str, padded: &[f32], expected: &[f64], roundings: f64) {
    let mut rest = expected;
    for tensor in Layout(SHAPE).tensors() {
        let cols = tensor.shape()[1];
        let (expected, tail) = rest.split_at(tensor.numel());
        rest = tail;
        let got: Vec<f32> = (0..expected.len()).map(|i| padded[tensor.index(i)]).collect();
        assert_close(format!("{what}: {tensor}"), cols, &got, expected, roundings * ROUNDING * norm(expected));
    }
}

#[test]
#[cfg_attr(miri, ignore = "too slow in Miri")]
fn steps_agree_with_the_reference() {
    let weights = values(1, Layout(SHAPE).num_params());
    let mut memory = FlatArrays::new(&weights);
    let shape = model::Shape {
        vocab: SHAPE.vocab(),
        block_size: SHAPE.block_size(),
        n_embd: SHAPE.n_embd(),
        n_head: SHAPE.n_head(),
        n_layer: SHAPE.n_layer(),
    };
    assert_eq!(weights.len(), shape.num_params());
    let mut reference = TrainState::new(shape, to_f64(&weights));
    for step in 1..=3 {
        // Some gradients are zero. The others range from 1 to 1e-11, from above eps to below the bias that is added to
        // `v`.
        let size = |i: usize| if i.is_multiple_of(17) { 0.0 } else { 10f32.powi(-((i % 12) as i32)) };
        let gradients: Vec<f32> =
            values(1 + step as u64, weights.len()).iter().enumerate().map(|(i, g)| g * size(i)).collect();
        let clipped: Vec<f64> = gradients.iter().map(|&g| f64::from(g) * f64::from(CLIP)).collect();
        memory.update(&gradients, step);
        reference.step = step as u64;
        adamw(&mut reference, &clipped, &config());
        let what = format!("step {step}");
        let steps = f64::from(step);
        // The bound counts, for each step, the gain, the product of gain and `g`, and both multiply-adds. For `v` the
        // gain is a product.
        assert_tensors_close(&format!("{what}: m"), &memory.0.m, &reference.m, 4.0 * steps);
        assert_tensors_close(&format!("{what}: v"), &memory.0.v, &reference.v, 6.0 * steps);
        // The bound counts the root, product, division and difference of each step, and the three rounded scalars.
        assert_tensors_close(&format!("{what}: w"), &memory.0.w, &reference.weights, 8.0 * steps);
        memory.assert_transposed(&what);
        memory.assert_padding_and_normal(&what);
    }
}

#[test]
fn rows_without_decay_take_the_step_of_a_zero_decay() {
    let len = 2 * HALF_WARP;
    let update = |decays: bool, weight_decay: f32| {
        let mut memory = [values(1, len), vec![0.0; len], values(2, len), vec![0.0; len], vec![0.0; len]];
        let [w, transposed, grads, m, v] = memory.each_mut().map(|memory| view(memory));
        let views = Arrays { w, transposed, grads, m, v };
        let rows = Place { offset: 0, rows: 2, cols: HALF_WARP, decays }.block(2, 0);
        let step = StepCoefficients { decay: weight_decay, ..coefficients(1) };
        launch(|warp| {
            if warp.index == 0 {
                AdamW { params: params(), step, clip: CLIP }.update_rows::<1>(warp, &views, rows);
            }
        });
        memory.map(|memory| memory.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
    };
    assert_eq!(update(false, 0.125), update(true, 0.0));
    assert_ne!(update(true, 0.125), update(true, 0.0));
}
