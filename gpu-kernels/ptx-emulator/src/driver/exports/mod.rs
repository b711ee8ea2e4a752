//! The functions that programs call, by their names in libcuda.

mod abi;
mod attributes;
mod batches;
mod captures;
mod contexts;
mod copies;
mod devices;
mod events;
mod functions;
mod graphs;
mod launches;
mod linker;
mod memory;
mod modules;
mod node_params;
mod nodes;
mod pointers;
mod pools;
mod procs;
mod streams;
mod textures;
mod unsupported;
mod versions;
