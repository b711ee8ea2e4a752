//! The tests that Miri and the sanitizers run on the library.
#![cfg(test)]

// These files hold the thread team and its tests.
#[path = "../../src/device/cpu/phase_pool.rs"]
mod phase_pool;
#[path = "../../src/device/cpu/phases.rs"]
mod phases;
#[path = "../../src/device/cpu/sync.rs"]
mod sync;
#[path = "../../src/device/cpu/team.rs"]
mod team;

#[path = "../../tests/common/models.rs"]
mod models;
#[path = "../../tests/common/steps.rs"]
mod steps;
mod training;
