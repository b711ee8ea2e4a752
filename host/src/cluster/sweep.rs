//! The members of a sweep, of which any rank trains a slice at a time.
//!
//! The next member is the waiting one that has taken the fewest steps, so that a stop leaves no member behind. A rank asks
//! for nothing, because rank 0 sends it a slice whenever the rank has room for one. So ranks that are faster, and members
//! that take longer, need no plan.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use super::executor::Executor;
use super::message::{Command, Reply, Setup, SliceTask, decode, encode};
use super::parallel::answer;
use super::progress::Progress;
use super::rank::on_rank;
use super::sweep_group::SweepGroup;
use super::world::{World, pause};
use crate::device::memory::Demand;
use crate::device::{self, DeviceKind, State};
use crate::error::{Error, Result};
use crate::run::RunConfig;
use crate::stop::StopHandle;
use crate::weights::Weights;

/// A sweep on rank 0.
pub(super) struct Sweep {
    world: Rc<World>,
    pub(super) device: DeviceKind,
    pub(super) groups: Vec<SweepGroup>,
    /// The members of all groups, one group after the other.
    pub(super) members: Vec<Progress>,
    /// The slices that each rank has room for.
    room: Vec<usize>,
    /// The groups whose documents a rank has.
    kept: Vec<HashSet<usize>>,
    /// The slices of rank 0.
    executor: Executor,
    pub(super) stop: StopHandle,
}

impl Sweep {
    pub(super) fn new(world: Rc<World>, device: DeviceKind, groups: Vec<SweepGroup>, stop: StopHandle) -> Self {
        let members = groups.iter().enumerate().flat_map(|(group, SweepGroup { runs, start, .. })| {
            let taken = start.as_ref().map_or(0, |state| state.step);
            (0..runs.len()).map(move |run| Progress::new(group, run, taken))
        });
        let ask = encode(&Command::Ask);
        let room = (0..world.size()).map(|rank| {
            if rank == 0 {
                return Executor::slices();
            }
            world.send(rank, &ask);
            // A failure comes again as the answer to the first slice.
            if let Ok(Reply::Ready { slices }) = answer(&world, rank) { slices } else { 1 }
        });
        Self {
            room: room.collect(),
            kept: vec![HashSet::new(); world.size()],
            members: members.collect(),
            executor: Executor::default(),
            world,
            device,
            groups,
            stop,
        }
    }

    /// Returns the bytes that one member of a group needs.
    pub(super) fn demand(&self, group: usize) -> Result<Demand> {
        let SweepGroup { runs, dataset, .. } = &self.groups[group];
        let RunConfig { model, train, .. } = &runs[0].config;
        device::demand(self.device, model.shape(dataset.tokenizer.vocab_size())?, train.batch, dataset)
    }

    /// Returns the index of the first member of a group.
    pub(super) fn first_member(&self, group: usize) -> usize {
        self.groups[..group].iter().map(|group| group.runs.len()).sum()
    }

    /// Trains members until `is_done`, or until a stop has ended every slice.
    ///
    /// # Errors
    /// If a rank fails.
    pub(super) fn run_until(&mut self, is_done: impl Fn(&Self) -> bool) -> Result<()> {
        let mut rounds = 0;
        while !is_done(self) {
            let has_begun = !self.stop.is_stopped() && self.dispatch()?;
            if has_begun || self.collect()? {
                rounds = 0;
            } else if self.members.iter().any(|member| member.is_running) {
                pause(&mut rounds);
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Sends the next slice to a rank that has room for it. Returns whether there was one.
    fn dispatch(&mut self) -> Result<bool> {
        let waiting = (0..self.members.len()).filter(|&i| {
            let member = &self.members[i];
            !member.is_running && !member.has_diverged && member.step() < self.groups[member.group].schedule.stop_after
        });
        let Some(i) = waiting.min_by_key(|&i| self.members[i].step()) else { return Ok(false) };
        let ranks = (0..self.room.len()).rev();
        let Some(rank) = ranks.max_by_key(|&rank| self.room[rank]).filter(|&rank| self.room[rank] > 0) else {
            return Ok(false);
        };
        let Progress { group, run, .. } = self.members[i];
        let state = match self.members[i].last() {
            Some(state) => state.clone(),
            None => self.start(group, run)?,
        };
        let (train, schedule) = (self.groups[group].runs[run].config.train, self.groups[group].schedule);
        let task = SliceTask {
            device: self.device,
            member: i,
            group,
            setup: Setup { train, state: state.into() },
            stop_after: schedule.stop_after,
            val_every: schedule.val_every,
            val_docs: schedule.val_docs,
            checkpoint_every: schedule.checkpoint_every,
            keep_best: schedule.keep_best,
        };
        let needs_documents = self.kept[rank].insert(group);
        let dataset = &self.groups[group].dataset;
        if rank == 0 {
            if needs_documents {
                self.executor.keep(group, Arc::new(dataset.clone()));
            }
            self.executor.spawn(task);
        } else {
            if needs_documents {
                self.world.send(rank, &encode(&Command::Keep { group, dataset: dataset.into() }));
            }
            self.world.send(rank, &encode(&Command::Slice(task)));
        }
        self.members[i].is_running = true;
        self.room[rank] -= 1;
        Ok(true)
    }

    /// Takes note of a slice that has ended, if one has.
    fn collect(&mut self) -> Result<bool> {
        if let Some(sliced) = self.executor.finished() {
            let sliced = sliced.map_err(|error| on_rank(0, &World::host(), &error))?;
            self.room[0] += 1;
            self.members[sliced.member].record(sliced);
            return Ok(true);
        }
        let Some((rank, message)) = self.world.receive() else { return Ok(false) };
        match decode(&message) {
            Reply::Sliced(sliced) => {
                self.room[rank] += 1;
                self.members[sliced.member].record(sliced);
                Ok(true)
            }
            Reply::Failed { host, message, hint } => Err(Error::OnRank { rank, host, message, hint }),
            _ => Ok(false),
        }
    }

    /// Returns the state that a member starts from.
    pub(super) fn start(&self, group: usize, run: usize) -> Result<State> {
        let SweepGroup { runs, start, dataset, .. } = &self.groups[group];
        let run = &runs[run];
        let shape = run.config.model.shape(dataset.tokenizer.vocab_size())?;
        Ok(start.clone().unwrap_or_else(|| State::new(Weights::init(shape, run.seed))))
    }
}
