//! The functions that programs call, by their names in libcuda.

mod abi;
mod devices;
mod memory;
mod modules;
mod streams;
