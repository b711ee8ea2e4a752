//! The state spaces of memory as types, and the kinds of accesses.

/// The state space of an array: [`GlobalMemory`], [`SharedMemory`] or [`ConstantMemory`]. On the CPU all of them are the
/// host's memory.
pub trait Space: Copy + Send + Sync + sealed::Sealed {
    /// Whether nothing writes to the array during the launch, so that a GPU may keep its elements in a read-only cache.
    #[doc(hidden)]
    const CONSTANT: bool = false;

    /// Whether only the warps of one block access the array. On the CPU these run on one thread.
    #[doc(hidden)]
    const SHARED: bool = false;
}

/// A state space that a kernel may write to.
pub trait Writable: Space {}

/// The memory of the device, which all blocks access.
#[derive(Clone, Copy, Debug)]
pub struct GlobalMemory;

/// The memory of a block, which its warps share.
#[derive(Clone, Copy, Debug)]
pub struct SharedMemory;

/// The memory of the device that nothing writes to during a launch.
#[derive(Clone, Copy, Debug)]
pub struct ConstantMemory;

impl Space for GlobalMemory {}
impl Space for SharedMemory {
    const SHARED: bool = true;
}
impl Space for ConstantMemory {
    const CONSTANT: bool = true;
}
impl Writable for GlobalMemory {}
impl Writable for SharedMemory {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::GlobalMemory {}
    impl Sealed for super::SharedMemory {}
    impl Sealed for super::ConstantMemory {}
}

/// The kind of an access.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    /// An access that reads and writes at once, and races with no other of its kind.
    Atomic,
}
