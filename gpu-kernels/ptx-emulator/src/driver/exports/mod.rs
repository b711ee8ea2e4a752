//! The functions that programs call, by their names in libcuda.

mod contexts;
mod devices;
mod errors;
mod memory;
mod modules;
mod pointers;
mod streams;
mod table;
