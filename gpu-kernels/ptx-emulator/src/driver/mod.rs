//! The functions of the CUDA Driver API on the emulated GPU.
//!
//! Sections are those of the CUDA Driver API reference manual, chapter "Modules". [`config`] has the settings.

mod codes;
pub mod config;
mod exports;
mod state;
