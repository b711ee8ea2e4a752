//! The functions that programs call, by their names in libcuda.

mod contexts;
mod devices;
mod memory;
mod modules;
mod pointers;
mod streams;
mod table;
