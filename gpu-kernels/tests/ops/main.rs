//! Every stage of the kernels alone: forward against the reference's function of the same name, backward against the
//! reference's gradient and against central differences of the reference's forward.
//!
//! Shapes and documents are asymmetric, memory that a stage has yet to write holds NaN, and so do the rows beyond the
//! document where a stage promises not to look at them. A bound counts roundings: a stage that rounds `k` times on the
//! way from an input to a result may be off by `k` times [`support::ROUNDING`] times the norm of the tensor.
//!
//! The stages are those of shapes known at run time, compiled for the baseline. That constant shapes and other
//! instruction sets give the same bits is a test of `kernels.rs`.
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
