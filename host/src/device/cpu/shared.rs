//! Work that threads share.

/// The number of multiplications that are worth another thread. So many take a few dozen microseconds. In Miri small
/// models take several threads too, so that it sees the accesses of threads.
pub(super) const WORK_PER_THREAD: usize = if cfg!(miri) { 1 << 10 } else { 1 << 20 };

/// A kernel's arguments, shared by threads.
#[derive(Clone, Copy)]
pub(super) struct Shared<T>(pub(super) T);

// SAFETY: by the kernels' contract, blocks on different threads write disjoint elements, and read only elements that no
// other block writes.
unsafe impl<T> Sync for Shared<T> {}
