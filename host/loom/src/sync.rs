//! loom's atomics, one kind of whose accesses a test can weaken to relaxed ones.

use std::cell::Cell;

pub use loom::sync::atomic::{AtomicBool, Ordering};
pub use loom::{hint, thread};

/// A kind of access.
#[derive(Clone, Copy, PartialEq)]
pub enum Access {
    Load,
    Store,
}

thread_local! {
    /// The kind of access that is weakened. loom runs all threads of a model on one thread of the system.
    static WEAKENED: Cell<Option<Access>> = const { Cell::new(None) };
}

/// Weakens one kind of access in the models that this thread runs.
pub fn weaken(access: Access) {
    WEAKENED.set(Some(access));
}

fn ordering(access: Access, stated: Ordering) -> Ordering {
    if WEAKENED.get() == Some(access) { Ordering::Relaxed } else { stated }
}

/// loom's `AtomicUsize` with the methods that the protocol uses.
pub struct AtomicUsize(loom::sync::atomic::AtomicUsize);

impl AtomicUsize {
    pub fn new(value: usize) -> Self {
        Self(loom::sync::atomic::AtomicUsize::new(value))
    }

    pub fn load(&self, order: Ordering) -> usize {
        self.0.load(ordering(Access::Load, order))
    }

    pub fn store(&self, value: usize, order: Ordering) {
        self.0.store(value, ordering(Access::Store, order));
    }

    pub fn compare_exchange(&self, from: usize, to: usize, set: Ordering, fail: Ordering) -> Result<usize, usize> {
        self.0.compare_exchange(from, to, set, fail)
    }
}
