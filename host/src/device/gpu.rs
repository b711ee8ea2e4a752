//! The choice of a GPU, which holds for the whole process.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The value of [`CHOSEN`] that leaves the choice to [`LOCAL_RANK`].
const AUTO: usize = usize::MAX;

/// The number of the GPU, or [`AUTO`].
static CHOSEN: AtomicUsize = AtomicUsize::new(AUTO);

/// The number of this process among those of a cluster that run on the same computer.
static LOCAL_RANK: AtomicUsize = AtomicUsize::new(0);

/// Chooses the GPU with this number, from 0. Without one, the processes of a computer take its GPUs in turn.
pub fn choose(number: Option<usize>, local_rank: usize) {
    CHOSEN.store(number.unwrap_or(AUTO), Ordering::Relaxed);
    LOCAL_RANK.store(local_rank, Ordering::Relaxed);
}

/// Returns the number of this process's GPU, if there are `count` GPUs. Returns the chosen number as the error if there is
/// no such GPU.
#[cfg(cuda)]
pub(super) fn chosen(count: usize) -> Result<usize, usize> {
    match CHOSEN.load(Ordering::Relaxed) {
        AUTO => Ok(LOCAL_RANK.load(Ordering::Relaxed) % count.max(1)),
        number if number < count => Ok(number),
        number => Err(number),
    }
}

/// Returns what a rank says of the way that values take from a GPU to the other ranks.
#[cfg(feature = "mpi")]
pub(super) fn sums_description() -> &'static str {
    if mpi_is_cuda_aware() { "sums go from GPU to GPU" } else { "sums go through the host's memory" }
}

/// Returns whether the MPI library can send a GPU's memory, as far as it can be asked.
#[cfg(all(feature = "mpi", unix))]
pub(super) fn mpi_is_cuda_aware() -> bool {
    type Query = unsafe extern "C" fn() -> std::ffi::c_int;

    let program = libloading::os::unix::Library::this();
    // SAFETY: Open MPI and MPICH declare `int MPIX_Query_cuda_support(void)`.
    unsafe { program.get::<Query>("MPIX_Query_cuda_support").is_ok_and(|query| query() == 1) }
}

#[cfg(all(feature = "mpi", not(unix)))]
pub(super) fn mpi_is_cuda_aware() -> bool {
    false
}
