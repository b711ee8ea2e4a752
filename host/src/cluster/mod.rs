//! The processes that MPI has started together, which are called ranks.
//!
//! Rank 0 runs the program. The other ranks serve it: they compute parts of a step ([`Cluster::share`]), or train the
//! members of a sweep ([`Cluster::sweep`]). So rank 0 alone reads, decides and writes, and the events of a training are those
//! of one process.
//!
//! Without the feature `mpi` there is no cluster, and [`Cluster`] is a type without values that has the same methods.

#[cfg(not(feature = "mpi"))]
mod absent;
#[cfg(feature = "mpi")]
mod exchange;
#[cfg(feature = "mpi")]
mod executor;
#[cfg(feature = "mpi")]
mod join;
mod launcher;
#[cfg(feature = "mpi")]
mod member;
#[cfg(feature = "mpi")]
mod message;
#[cfg(feature = "mpi")]
mod parallel;
#[cfg(feature = "mpi")]
mod progress;
#[cfg(feature = "mpi")]
mod rank;
#[cfg(feature = "mpi")]
mod serve;
#[cfg(feature = "mpi")]
mod slice;
#[cfg(feature = "mpi")]
mod sum;
#[cfg(feature = "mpi")]
mod sweep;
mod sweep_group;
#[cfg(feature = "mpi")]
mod world;

#[cfg(not(feature = "mpi"))]
pub use absent::Cluster;
#[cfg(feature = "mpi")]
pub use join::Cluster;
pub use sweep_group::SweepGroup;
