//! The functions of the CUDA Driver API on the emulated GPU.
//!
//! Sections are those of the CUDA Driver API reference manual, chapter "Modules". [`config`] has the settings.
//!
//! `exports` has the functions by their names, and `call` the frame of each call. The files beside them have the objects
//! and the state of the driver, and what several functions do with them.

mod arrays;
mod call;
mod capture;
mod codes;
pub mod config;
mod contexts;
mod execute;
mod exports;
mod graph;
mod image;
mod joining;
mod launch;
mod linking;
mod loading;
mod memory;
mod objects;
mod operation;
mod pointer;
mod preload;
mod queue;
mod report;
mod state;
