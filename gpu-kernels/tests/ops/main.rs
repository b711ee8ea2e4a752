//! The tests of every op alone. Its forward pass agrees with the reference's function of the same name, and its
//! backward pass with the reference's gradient and with central differences of the reference's forward pass.
//!
//! Shapes and documents are asymmetric. Memory that an op has yet to write holds NaN, and so do the rows beyond the
//! document where an op promises to ignore them. A bound counts roundings. An op that rounds `k` times on the way from
//! an input to a result may be off by `k` times [`support::ROUNDING`] times the norm of the tensor.
//!
//! The ops run with shapes known at run time, compiled for the baseline. `host/tests/kernels.rs` tests that constant shapes
//! and other instruction sets give the same bits. `cargo test -p gpu-kernels --features race-check --test ops` runs the same
//! tests under the race checker.
#![allow(missing_docs)]

mod support;
mod tensors;

mod adamw;
mod attention;
mod clip;
mod cross_entropy;
mod embed;
mod linear;
mod mlp;
mod rmsnorm;
mod sample;
