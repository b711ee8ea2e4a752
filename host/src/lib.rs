//! microgpt: a tiny GPT, trained and sampled by kernels written in Rust.
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod corpus;
pub mod device;
pub mod error;
pub mod reference;
pub mod report;
pub mod tokenizer;
pub mod trainer;
pub mod weights;
