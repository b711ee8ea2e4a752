//! The thread team's protocol, run by loom in every order of its accesses.
#![cfg(test)]

#[path = "../../src/device/cpu/phases.rs"]
mod phases;
mod sync;
mod tests;
