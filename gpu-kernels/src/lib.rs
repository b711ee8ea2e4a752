//! microgpt's kernels: a GPT trained, evaluated and sampled by fused kernels, one source for every machine.
//!
//! In reading order: [`shape`] (the dimensions), [`layout`] and [`activations`] (where everything lies), [`simt`] (what
//! kernels are written in), [`math`], [`stages`] (the parts of the model, forward and backward), [`model`] (the two
//! passes), and the kernels [`train`], [`train::batch`], [`evaluate`] and [`generate`] with their [`args`]. [`entry`] has the
//! functions to call.
#![no_std]
#![feature(core_float_math)]
#![cfg_attr(not(target_arch = "nvptx64"), feature(portable_simd, core_intrinsics))]
#![cfg_attr(target_arch = "nvptx64", feature(asm_experimental_arch, link_llvm_intrinsics))]
#![cfg_attr(all(target_arch = "nvptx64", not(feature = "rust-cuda")), feature(abi_ptx, stdarch_nvptx))]
// Stages index several arrays by one token or row: `for t in 0..TOKENS` reads like the math.
#![allow(clippy::needless_range_loop)]

#[cfg(feature = "race-check")]
extern crate std;

pub mod activations;
pub mod args;
pub mod entry;
pub mod evaluate;
pub mod generate;
pub mod layout;
pub mod math;
pub mod model;
pub mod shape;
pub mod simt;
pub mod stages;
pub mod train;
