//! The CUDA driver's functions on the emulated GPU (CUDA Driver API reference manual, chapter 6).
//!
//! `PTX_EMULATOR` configures it, see [`config`].

pub(crate) mod codes;
pub mod config;
mod exports;
mod launch;
mod state;
