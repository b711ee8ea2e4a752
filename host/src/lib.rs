//! microgpt: a tiny GPT, trained and sampled by kernels written in Rust.
pub mod config;
pub mod device;
pub mod error;
pub mod weights;
