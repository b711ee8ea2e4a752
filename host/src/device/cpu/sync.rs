//! The atomics and the waiting of [`phases`](super::phases), which are loom's in `host/loom`.

pub use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
pub use std::{hint, thread};
