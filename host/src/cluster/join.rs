//! The cluster that this process is part of.

use std::cell::RefCell;
use std::fs;
use std::process::{ExitCode, exit};
use std::rc::Rc;
use std::{env, panic, process};

use super::launcher::Launch;
use super::member::Members;
use super::message::{Command, encode};
use super::parallel::{self, Parallel};
use super::rank::{on_rank, start};
use super::serve;
use super::sweep::Sweep;
use super::sweep_group::SweepGroup;
use super::world::World;
use crate::corpus::Dataset;
use crate::device::memory::Demand;
use crate::device::{Device, DeviceKind, ModelSetup, Models};
use crate::error::{Error, Result};
use crate::stop::StopHandle;

/// The bytes of a host's name, and those of a list of cores, as ranks compare them.
const NAME_LEN: usize = 256;

/// The ranks that MPI has started, as one of them sees them.
pub struct Cluster {
    world: Rc<World>,
    /// The hosts of the ranks, in their order.
    hosts: Vec<String>,
    /// The number of this rank among those of its host.
    local_rank: usize,
    /// The number of ranks that share the cores of this one.
    sharers: usize,
    sweep: RefCell<Option<Rc<RefCell<Sweep>>>>,
}

/// The properties of a rank that the other ranks must know.
struct Identity([u8; 2 * NAME_LEN + 4]);

impl Identity {
    /// Returns the properties of this process: the host, the cores that it may use, and a checksum of its program.
    fn of_this_process() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
        let program = env::current_exe().and_then(fs::read).map_or(0, |program| crc32fast::hash(&program));
        let mut identity = [0; 2 * NAME_LEN + 4];
        for (text, place) in [World::host().as_str(), cores.trim()].into_iter().zip(identity.chunks_mut(NAME_LEN)) {
            let len = text.len().min(NAME_LEN);
            place[..len].copy_from_slice(&text.as_bytes()[..len]);
        }
        identity[2 * NAME_LEN..].copy_from_slice(&program.to_le_bytes());
        Self(identity)
    }

    fn host(&self) -> String {
        String::from_utf8_lossy(&self.0[..NAME_LEN]).trim_end_matches('\0').to_owned()
    }

    /// Returns the host and the cores.
    fn place(&self) -> &[u8] {
        &self.0[..2 * NAME_LEN]
    }

    fn program(&self) -> &[u8] {
        &self.0[2 * NAME_LEN..]
    }
}

impl Cluster {
    /// Joins the ranks that a launcher has started together with this process, if it has started several.
    ///
    /// # Errors
    /// On rank 0, if the ranks do not run the same program.
    pub fn join() -> Result<Option<Self>> {
        if Launch::of_this_process().is_none() {
            return Ok(None);
        }
        let Some(world) = World::start().filter(|world| world.size() > 1) else { return Ok(None) };
        let (rank, ranks, own) = (world.rank(), world.size(), Identity::of_this_process());
        let all = world.gather_bytes(&own.0);
        let all: Vec<Identity> = all.as_chunks().0.iter().copied().map(Identity).collect();
        if let Some(other) = all.iter().position(|identity| identity.program() != all[0].program()) {
            drop(world);
            if rank > 0 {
                // Rank 0 reports the error for all. A launcher would end it early after a failure of another.
                exit(0);
            }
            let message = format!("rank {other} on {} runs another program than rank 0", all[other].host());
            return Err(Error::usage(message, "install the same build of microgpt on every host"));
        }
        let hosts: Vec<String> = all.iter().map(Identity::host).collect();
        end_with_panics(rank, &hosts[rank]);
        Ok(Some(Self {
            local_rank: hosts[..rank].iter().filter(|host| **host == hosts[rank]).count(),
            sharers: (0..ranks).filter(|&i| all[i].place() == own.place()).count(),
            world: Rc::new(world),
            hosts,
            sweep: RefCell::default(),
        }))
    }

    /// Returns the number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.world.rank()
    }

    /// Serves rank 0 until it ends. Returns the exit code.
    pub fn serve(&self) -> ExitCode {
        let serve = serve::Service::new(Rc::clone(&self.world), self.local_rank, self.sharers);
        serve.run()
    }

    /// Returns the report of an error, which names the rank that has failed and its host.
    pub fn report(&self, error: &Error) -> String {
        if matches!(error, Error::OnRank { .. }) {
            return error.report();
        }
        on_rank(self.rank(), &self.hosts[self.rank()], error).report()
    }

    /// Returns the name of this process, such as `rank 0 on node7`.
    pub fn name(&self) -> String {
        format!("rank {} on {}", self.rank(), self.hosts[self.rank()])
    }

    /// Starts as many threads on every rank, or one for each of the rank's cores, and chooses the GPU of each.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(&self, threads: Option<usize>, gpu: Option<usize>) -> Result<()> {
        self.command(&Command::Start { threads, gpu });
        start(threads, gpu, self.local_rank, self.sharers)
    }

    /// Returns a model that all ranks train together, with a description of the ranks.
    ///
    /// # Errors
    /// If a rank cannot open the model, or a step has fewer shards than there are ranks.
    pub fn share(
        &self,
        device: DeviceKind,
        dataset: &Dataset,
        setup: &ModelSetup,
        announce: &mut dyn FnMut(&Demand),
    ) -> Result<(Box<dyn Models>, String)> {
        self.command(&Command::Open { device, dataset: dataset.into(), setup: setup.clone().into() });
        let opened = Parallel::open(Rc::clone(&self.world), device, dataset, setup, announce);
        let answers = self.answers();
        let parallel = opened?;
        answers?;
        let description = format!("{}, {}", Device::description(&parallel), self.description());
        parallel.validate_ranks()?;
        Ok((Box::new(parallel), description))
    }

    /// Begins to train the members of these groups, on any rank.
    pub fn begin_sweep(&self, device: DeviceKind, groups: Vec<SweepGroup>, stop: &StopHandle) {
        let sweep = Sweep::new(Rc::clone(&self.world), device, groups, stop.clone());
        *self.sweep.borrow_mut() = Some(Rc::new(RefCell::new(sweep)));
    }

    /// Returns the members of a group of the sweep, with a description of the ranks. The memory that one member needs goes
    /// to `announce`.
    ///
    /// # Errors
    /// If no sweep has begun, or a member needs more memory than there is.
    pub fn sweep(&self, group: usize, announce: &mut dyn FnMut(&Demand)) -> Result<(Box<dyn Models>, String)> {
        let sweep = self.sweep.borrow();
        let sweep = sweep.as_ref().ok_or_else(|| Error::usage("no sweep has begun", ""))?;
        announce(&sweep.borrow().demand(group)?);
        Ok((Box::new(Members::new(sweep, group)), self.description()))
    }

    /// Returns the number of ranks and that of their hosts.
    fn description(&self) -> String {
        let mut hosts = self.hosts.clone();
        hosts.sort();
        hosts.dedup();
        format!("{} ranks on {} host{}", self.world.size(), hosts.len(), if hosts.len() > 1 { "s" } else { "" })
    }

    /// Sends a command to all other ranks.
    fn command(&self, command: &Command) {
        let message = encode(command);
        (1..self.world.size()).for_each(|rank| self.world.send(rank, &message));
    }

    /// Waits for the answers of all other ranks, and returns the first failure.
    fn answers(&self) -> Result<()> {
        let answers: Vec<Result<()>> =
            (1..self.world.size()).map(|rank| parallel::answer(&self.world, rank).map(drop)).collect();
        answers.into_iter().collect()
    }
}

impl Drop for Cluster {
    /// Ends the service of the other ranks.
    fn drop(&mut self) {
        if self.rank() == 0 {
            self.command(&Command::End);
        }
    }
}

/// Ends the process if a thread panics. Otherwise the other ranks would wait for it. The launcher then ends them.
fn end_with_panics(rank: usize, host: &str) {
    let (report, host) = (panic::take_hook(), host.to_owned());
    panic::set_hook(Box::new(move |panic| {
        eprintln!("error: rank {rank} on {host} has failed");
        report(panic);
        process::abort();
    }));
}
