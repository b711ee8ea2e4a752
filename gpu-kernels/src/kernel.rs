//! The interface between a kernel and the entries that the host calls.

use simt::{Grid, Target};

use crate::shape::{RuntimeShape, Shape};

/// The arguments of a kernel, with the kernel as a method.
pub trait Kernel {
    /// Returns the model's dimensions.
    fn shape(&self) -> RuntimeShape;

    /// Runs the kernel in the blocks of `grid`. `s` equals [`Self::shape`].
    ///
    /// # Safety
    /// The arguments' pointers are valid for the lengths in their docs, and used by this launch alone.
    unsafe fn run<T: Target, S: Shape>(&self, grid: &Grid<T>, s: S);
}
