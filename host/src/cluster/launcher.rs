//! The launcher of a parallel program, which leaves the number of ranks in the environment.

use std::env;

/// The variables of a rank's number and of the number of ranks, by launcher. Slurm's are those of `srun` alone, because
/// a batch script has `SLURM_NTASKS` without being a rank.
const VARIABLES: [(&str, &str, &str); 4] = [
    ("Open MPI's mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("MPICH's mpiexec", "PMI_RANK", "PMI_SIZE"),
    ("an MVAPICH launcher", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
    ("Slurm's srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
];

/// A process's place among those of its launcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Launch {
    /// The launcher's name.
    pub(super) launcher: &'static str,
    /// The rank of this process.
    pub(super) rank: usize,
    /// The number of ranks.
    pub(super) ranks: usize,
}

impl Launch {
    /// Returns the launch that this process belongs to, if a launcher has started several.
    pub(super) fn of_this_process() -> Option<Self> {
        Self::read(|name| env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        VARIABLES.iter().find_map(|&(launcher, rank, ranks)| {
            let number = |name| variable(name)?.parse().ok();
            let launch = Self { launcher, rank: number(rank)?, ranks: number(ranks)? };
            (launch.ranks > 1).then_some(launch)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_is_read_from_the_variables_of_its_launcher() {
        let launch = |set: &[(&str, &str)]| {
            Launch::read(|name| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
        };
        let open_mpi = Launch { launcher: "Open MPI's mpirun", rank: 2, ranks: 4 };
        assert_eq!(launch(&[("OMPI_COMM_WORLD_RANK", "2"), ("OMPI_COMM_WORLD_SIZE", "4")]), Some(open_mpi));
        // One process is no cluster, and neither is a batch script of Slurm.
        assert_eq!(launch(&[("PMI_RANK", "0"), ("PMI_SIZE", "1")]), None);
        assert_eq!(launch(&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "8")]), None);
        assert_eq!(launch(&[("PMI_RANK", "zero"), ("PMI_SIZE", "2")]), None);
        let slurm = launch(&[("SLURM_PROCID", "7"), ("SLURM_STEP_NUM_TASKS", "8")]).unwrap();
        assert_eq!((slurm.rank, slurm.ranks), (7, 8));
    }
}
