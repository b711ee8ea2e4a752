//! The service of the ranks from 1 on, which obey rank 0.

use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use super::executor::Executor;
use super::message::{Command, Reply, decode, encode};
use super::parallel::Parallel;
use super::rank::{on_rank, start};
use super::world::{World, pause};
use crate::corpus::Dataset;
use crate::device::ModelSetup;
use crate::error::{Error, Result};

/// A rank that serves rank 0.
pub(super) struct Service {
    world: Rc<World>,
    local_rank: usize,
    sharers: usize,
    /// The model that all ranks train together.
    parallel: Option<Parallel>,
    /// The members of a sweep that this rank trains.
    executor: Executor,
}

impl Service {
    pub(super) fn new(world: Rc<World>, local_rank: usize, sharers: usize) -> Self {
        Self { world, local_rank, sharers, parallel: None, executor: Executor::default() }
    }

    /// Obeys commands until the last.
    pub(super) fn run(mut self) -> ExitCode {
        let mut rounds = 0;
        loop {
            if let Some((_, message)) = self.world.receive() {
                rounds = 0;
                match decode(&message) {
                    Command::End => return ExitCode::SUCCESS,
                    command => {
                        let reply = self.obey(command);
                        self.answer(reply);
                    }
                }
            } else if let Some(sliced) = self.executor.finished() {
                rounds = 0;
                self.answer(sliced.map(|sliced| Some(Reply::Sliced(sliced))));
            } else {
                pause(&mut rounds);
            }
        }
    }

    fn answer(&self, reply: Result<Option<Reply>>) {
        let reply = reply.unwrap_or_else(|error| {
            let Error::OnRank { host, message, hint, .. } = on_rank(self.world.rank(), &World::host(), &error) else {
                return Some(Reply::Done);
            };
            Some(Reply::Failed { host, message, hint })
        });
        if let Some(reply) = reply {
            self.world.send(0, &encode(&reply));
        }
    }

    /// Obeys a command, and returns the answer if it has one.
    fn obey(&mut self, command: Command) -> Result<Option<Reply>> {
        let model = |parallel: &mut Option<Parallel>| parallel.take().ok_or(Error::Stopped);
        match command {
            Command::Start { threads, gpu } => {
                start(threads, gpu, self.local_rank, self.sharers)?;
                Ok(None)
            }
            Command::Open { device, dataset, setup } => {
                let (dataset, setup) = (Dataset::try_from(dataset)?, ModelSetup::from(setup));
                self.parallel = Some(Parallel::open(Rc::clone(&self.world), device, &dataset, &setup, &mut |_| ())?);
                Ok(Some(Reply::Done))
            }
            Command::Train { steps } => {
                let mut parallel = model(&mut self.parallel)?;
                // Another rank's failure is its own to report.
                parallel.steps(steps)?;
                self.parallel = Some(parallel);
                Ok(None)
            }
            Command::Evaluate { documents } => {
                let parallel = self.parallel.as_mut().ok_or(Error::Stopped)?;
                parallel.evaluated(documents).map(Some)
            }
            Command::CollectMoments => {
                let parallel = self.parallel.as_mut().ok_or(Error::Stopped)?;
                parallel.collect_moments()?;
                Ok(Some(Reply::Done))
            }
            Command::Upload { state } => {
                let parallel = self.parallel.as_mut().ok_or(Error::Stopped)?;
                parallel.upload_own(&state.into())?;
                Ok(None)
            }
            Command::Keep { group, dataset } => {
                self.executor.keep(group, Arc::new(Dataset::try_from(dataset)?));
                Ok(None)
            }
            Command::Ask => Ok(Some(Reply::Ready { slices: Executor::slices() })),
            Command::Slice(task) => {
                self.executor.spawn(task);
                Ok(None)
            }
            Command::End => Ok(None),
        }
    }
}
