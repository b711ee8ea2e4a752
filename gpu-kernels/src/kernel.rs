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
    /// The pointers of the arguments are valid for the lengths that their docs state. Only blocks of the same launch
    /// access the arrays meanwhile.
    unsafe fn run<T: Target, S: Shape>(&self, grid: &Grid<T>, s: S);
}
