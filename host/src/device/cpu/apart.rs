//! Values that threads write apart from each other.

/// A value in cache lines of its own, so that a thread that writes it delays none that uses another value.
#[repr(align(128))]
pub struct Apart<T>(pub T);
