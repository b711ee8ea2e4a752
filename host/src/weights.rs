//! The model's parameters on the host, flat, without padding, in the layout's order.

use gpu_kernels::layout::{Init, Layout};
use gpu_kernels::shape::RuntimeShape;
use gpu_kernels::tensor::Tensor;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use crate::config::num_params;

/// One value per parameter, for the parameters themselves, their gradients, or a moment of the optimiser.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// The model's dimensions.
    pub shape: RuntimeShape,
    /// The values of [`Layout::tensors`], row-major and concatenated.
    pub values: Vec<f32>,
}

impl Weights {
    /// Returns weights of zeros.
    pub fn zeros(shape: RuntimeShape) -> Self {
        Self { shape, values: vec![0.0; num_params(shape)] }
    }

    /// Returns initial weights. Each tensor has the distribution of its [`Init`].
    pub fn init(shape: RuntimeShape, seed: u64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut weights = Self::zeros(shape);
        for (tensor, values) in weights.tensors_mut() {
            if tensor.spec.init == Init::Normal {
                let mut normal = || -> f32 { StandardNormal.sample(&mut rng) };
                values.fill_with(|| 0.02 * normal());
            }
        }
        weights
    }

    /// Returns every tensor with its values `[rows, cols]`.
    pub fn tensors(&self) -> impl Iterator<Item = (Tensor, &[f32])> {
        let mut rest = &self.values[..];
        Layout(self.shape).tensors().map(move |tensor| {
            let (values, tail) = rest.split_at(tensor.numel());
            rest = tail;
            (tensor, values)
        })
    }

    /// Returns every tensor with its mutable values `[rows, cols]`.
    pub fn tensors_mut(&mut self) -> impl Iterator<Item = (Tensor, &mut [f32])> {
        let mut rest = &mut self.values[..];
        Layout(self.shape).tensors().map(move |tensor| {
            let (values, tail) = std::mem::take(&mut rest).split_at_mut(tensor.numel());
            rest = tail;
            (tensor, values)
        })
    }
}
