//! The tests of each op alone. The forward pass must agree with the reference's function of the same name. The backward
//! pass must agree with the reference's gradient, and with central differences of the reference's forward pass.
//!
//! Shapes and documents are asymmetric. Memory that an op has yet to write holds NaN. Rows beyond the document hold NaN
//! too, where the op promises to ignore these rows. A bound counts roundings. An op that rounds `k` times between an
//! input and a result may be off by `k` times [`support::ROUNDING`] times the norm of the tensor.
//!
//! The ops run with shapes known at run time, compiled for the baseline instruction set. `host/tests/kernels.rs` tests
//! that constant shapes and other instruction sets give the same bits. `cargo test -p gpu-kernels --features race-check
//! --test ops` runs the same tests under the race checker.
#![allow(missing_docs)]

mod support;
mod tensors;
#[path = "../common/values.rs"]
mod values;

mod adamw;
mod attention;
mod clip;
mod cross_entropy;
mod embed;
mod linear;
mod mlp;
mod rmsnorm;
mod sample;
mod tiled_attention;
