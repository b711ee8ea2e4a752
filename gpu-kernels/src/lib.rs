//! microgpt's kernels.
#![no_std]
pub mod layout;
pub mod shape;
