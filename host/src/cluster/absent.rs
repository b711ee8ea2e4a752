//! The cluster of a program without MPI, which no process is part of.

use std::process::{ExitCode, exit};

use super::launcher::Launch;
use super::sweep_group::SweepGroup;
use crate::corpus::Dataset;
use crate::device::memory::Demand;
use crate::device::{DeviceKind, ModelSetup, Models};
use crate::error::{Error, Result};
use crate::stop::StopHandle;

/// A cluster, of which there is none without the feature `mpi`.
#[derive(Debug)]
pub enum Cluster {}

impl Cluster {
    /// Returns no cluster.
    ///
    /// # Errors
    /// If a launcher has started several processes, which would all train the same model.
    pub fn join() -> Result<Option<Self>> {
        let Some(Launch { launcher, rank, ranks }) = Launch::of_this_process() else { return Ok(None) };
        if rank > 0 {
            // Rank 0 reports the error for all. A launcher would end it early after a failure of another.
            exit(0);
        }
        let message = format!("{launcher} has started {ranks} processes, but this program was built without MPI");
        Err(Error::usage(message, "build it by `cargo build --release -p host --features mpi`, or start it alone"))
    }

    /// Returns the number of this process.
    pub fn rank(&self) -> usize {
        match *self {}
    }

    /// Serves rank 0.
    pub fn serve(&self) -> ExitCode {
        match *self {}
    }

    /// Returns the report of an error.
    pub fn report(&self, _: &Error) -> String {
        match *self {}
    }

    /// Returns the name of this process.
    pub fn name(&self) -> String {
        match *self {}
    }

    /// Starts the threads of every rank.
    ///
    /// # Errors
    /// Never.
    pub fn start(&self, _: Option<usize>, _: Option<usize>) -> Result<()> {
        match *self {}
    }

    /// Returns a model that all ranks train together.
    ///
    /// # Errors
    /// Never.
    pub fn share(
        &self,
        _: DeviceKind,
        _: &Dataset,
        _: &ModelSetup,
        _: &mut dyn FnMut(&Demand),
    ) -> Result<(Box<dyn Models>, String)> {
        match *self {}
    }

    /// Begins a sweep.
    pub fn begin_sweep(&self, _: DeviceKind, _: Vec<SweepGroup>, _: &StopHandle) {
        match *self {}
    }

    /// Returns the members of a group of the sweep.
    ///
    /// # Errors
    /// Never.
    pub fn sweep(&self, _: usize, _: &mut dyn FnMut(&Demand)) -> Result<(Box<dyn Models>, String)> {
        match *self {}
    }
}
