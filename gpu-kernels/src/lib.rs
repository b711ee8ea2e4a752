//! microgpt's fused kernels, which train, evaluate and sample a GPT from one source for every device.
//!
//! The reading order is [`shape`] (the dimensions), [`layout`] and [`activations`] (the places of tensors and activations),
//! [`math`], [`ops`] (forward and backward), [`model`] (the two passes), [`kernel`] (the interface to the host), and the kernels
//! [`train`], [`train::batch`], [`evaluate`] and [`generate`]. [`tree`] is the order of a batch's sums, [`part`] the
//! part of a step that a launch computes, and [`tiled`] holds the products of the tiled executor. The host calls the functions in [`entry`]. The crate [`simt`] provides lanes, warps and
//! views.
#![no_std]
#![cfg_attr(all(target_arch = "nvptx64", not(feature = "rust-cuda")), feature(abi_ptx))]
// Ops index several arrays by one token or row, because `for t in 0..TOKENS` reads like the math.
#![allow(clippy::needless_range_loop)]

#[macro_use]
pub mod activations;
#[cfg(feature = "entries")]
pub mod entry;
pub mod evaluate;
pub mod generate;
pub mod kernel;
pub mod layout;
pub mod math;
pub mod model;
pub mod ops;
pub mod part;
pub mod shape;
pub mod tensor;
pub mod tiled;
pub mod train;
pub mod tree;
