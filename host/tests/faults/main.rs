//! Faults of files, pipes and the system, from which no checkpoint may suffer.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "../common/mod.rs"]
mod common;

mod calls;
mod kills;
mod pipes;
mod space;
