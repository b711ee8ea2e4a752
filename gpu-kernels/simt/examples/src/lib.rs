//! Kernels to learn from, in the reading order [`saxpy`], [`reduction`], [`scan`], [`transpose`], [`matrix_product`],
//! [`softmax`], [`histogram`], [`attention`], [`life`].
//!
//! [`checks`] has kernels that apply every op once.
//!
//! Each file has a kernel, and a function `naive` that computes the same on one core, for the tests. The test
//! `tests/examples.rs` runs every kernel on the CPU, under the race checker, and as PTX in the emulator.
#![no_std]
#![cfg_attr(target_arch = "nvptx64", feature(abi_ptx))]
// Kernels index several arrays by one row, because `for t in 0..ROWS` reads like the math.
#![allow(clippy::needless_range_loop)]

#[cfg(not(target_arch = "nvptx64"))]
extern crate std;

pub mod attention;
pub mod checks;
pub mod histogram;
pub mod life;
pub mod matrix_product;
pub mod reduction;
pub mod saxpy;
pub mod scan;
pub mod softmax;
pub mod transpose;
