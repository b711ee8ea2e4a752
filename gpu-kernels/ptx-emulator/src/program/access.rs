//! The operands of loads and stores.

use super::registers::Register;
use crate::ptx::syntax::Space;

/// The memory order of an access (PTX ISA, section 8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Weak,
    Relaxed,
    Acquire,
    Release,
    AcquireRelease,
}

/// The threads that an access synchronises with (PTX ISA, section 8.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Block,
    Device,
}

/// A load or store.
pub struct Access {
    pub space: Space,
    pub order: Order,
    pub scope: Scope,
    /// The size of an element in bytes.
    pub width: usize,
    /// Whether elements are sign-extended.
    pub signed: bool,
    /// The register of each element, read or written.
    pub elements: Vec<Register>,
    /// The register that the offset is added to.
    pub base: Option<Register>,
    pub offset: i64,
}
