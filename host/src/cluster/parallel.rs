//! A model that all ranks train together, each on its part of every step.
//!
//! A rank computes the gradients of its subtrees (see [`Sharded`](crate::device::sharded::Sharded)). Then all ranks tell each
//! other whether they have failed, and [exchange](Exchange) the sums.

use std::ops::Range;
use std::rc::Rc;

use gpu_kernels::shape::RuntimeShape;

use super::exchange::Exchange;
use super::message::{Command, Reply, decode, encode, evaluations, pairs};
use super::rank::on_rank;
use super::sum::{share, subtrees};
use super::world::{Shares, World};
use crate::config::SampleConfig;
use crate::corpus::Dataset;
use crate::device::memory::Demand;
use crate::device::{Device, DeviceKind, Evaluation, ModelSetup, Models, Sample, State, StepLog, open_sharded};
use crate::error::{Error, Result};
use crate::stop::StopHandle;

/// The values of a rank's report on a step, before its losses: whether it has failed, and whether it asks for a stop.
const REPORT: usize = 2;

/// A model on one of the ranks that train it together.
pub(super) struct Parallel {
    world: Rc<World>,
    exchange: Exchange,
    shape: RuntimeShape,
    description: String,
    /// The validation documents of all ranks, which take turns with them.
    val_documents: usize,
    stop: StopHandle,
    reports: Vec<f32>,
}

/// Waits for the answer of a rank, which may be its failure.
pub(super) fn answer(world: &World, rank: usize) -> Result<Reply> {
    match decode(&world.wait(rank)) {
        Reply::Failed { host, message, hint } => Err(Error::OnRank { rank, host, message, hint }),
        reply => Ok(reply),
    }
}

impl Parallel {
    /// Opens the model on this rank. The memory that it needs here goes to `announce` before it is allocated.
    pub(super) fn open(
        world: Rc<World>,
        kind: DeviceKind,
        dataset: &Dataset,
        setup: &ModelSetup,
        announce: &mut dyn FnMut(&Demand),
    ) -> Result<Self> {
        let val = dataset.val.every(world.rank(), world.size());
        let own = Dataset { val, ..dataset.clone() };
        let (device, description) = open_sharded(kind, &own, setup, announce)?;
        Ok(Self {
            shape: setup.state.weights.shape,
            description,
            exchange: Exchange::new(Rc::clone(&world), device),
            world,
            val_documents: dataset.val.len(),
            stop: StopHandle::default(),
            reports: Vec::new(),
        })
    }

    /// Rejects more ranks than there is work for.
    pub(super) fn validate_ranks(&self) -> Result<()> {
        let (ranks, shards) = (self.world.size(), self.exchange.device.leaves());
        if ranks <= shards {
            return Ok(());
        }
        let message = format!("{ranks} ranks share the steps of one model, but a step has {shards} shards at most");
        let hint = if shards == 1 {
            "give `--batch` several documents a step, train several models by `--seeds` or `--sweep`, or start one process"
                .to_owned()
        } else {
            format!("start at most {shards} ranks, or raise `--batch`, which has up to 128 shards")
        };
        Err(Error::usage(message, hint))
    }

    /// Takes part in the next steps, and returns their logs. A stop on rank 0 ends them early, and so does the failure of
    /// another rank, whose number is returned then.
    ///
    /// # Errors
    /// If this rank fails.
    pub(super) fn steps(&mut self, steps: usize) -> Result<(Vec<StepLog>, Option<usize>)> {
        let mut logs = Vec::with_capacity(steps);
        for _ in 0..steps {
            match self.step()? {
                Outcome::Taken(log) => logs.push(log),
                Outcome::Stopped => break,
                Outcome::Failed(rank) => return Ok((logs, Some(rank))),
            }
        }
        // The failure of the last update is known only now.
        let (own, ranks) = (f32::from(u8::from(self.exchange.failure.is_some())), self.world.size());
        let mut all = vec![0.0; ranks];
        self.world.gather(&[own], &mut all, &Shares::of_lengths((0..ranks).map(|_| 1))?);
        self.exchange.failure.take().map_or(Ok(()), Err)?;
        let failed = all.iter().position(|&failed| failed > 0.0);
        Ok((logs, failed))
    }

    fn step(&mut self) -> Result<Outcome> {
        let (rank, ranks) = (self.world.rank(), self.world.size());
        let first = match self.exchange.device.begin_step(ranks) {
            Ok(first) => first,
            Err(error) => {
                // The ranks agree on nothing before the step has begun.
                eprintln!("{}", on_rank(rank, &World::host(), &error).report());
                self.world.abort();
            }
        };
        let leaves = first.len() - 1;
        let trees: Vec<Vec<Range<usize>>> =
            (0..ranks).map(|rank| subtrees(share(leaves, rank, ranks), leaves)).collect();
        let documents: Vec<Range<usize>> = (0..ranks)
            .map(|rank| share(leaves, rank, ranks))
            .map(|leaves| first[leaves.start]..first[leaves.end])
            .collect();
        let summed = self.exchange.sum_subtrees(&trees);
        if let Some(outcome) = self.report(&documents, summed)? {
            return Ok(outcome);
        }
        self.exchange.take_step(&trees).map(Outcome::Taken)
    }

    /// Tells all ranks whether this one could compute its part, and the losses of its documents. Returns the outcome of a
    /// step that is not taken.
    fn report(&mut self, documents: &[Range<usize>], summed: Result<()>) -> Result<Option<Outcome>> {
        let (rank, stopped) = (self.world.rank(), self.stop.is_stopped());
        let mut own = vec![f32::from(u8::from(summed.is_err())), f32::from(u8::from(stopped))];
        own.extend_from_slice(&self.exchange.device.losses()[documents[rank].clone()]);
        let lengths = documents.iter().map(|documents| REPORT + documents.len());
        self.reports.resize(lengths.clone().sum(), 0.0);
        self.world.gather(&own, &mut self.reports, &Shares::of_lengths(lengths)?);
        summed?;
        let (mut rest, mut failed) = (&self.reports[..], None);
        let is_stopped = rest[1] > 0.0;
        for (rank, documents) in documents.iter().enumerate() {
            let (report, others) = rest.split_at(REPORT + documents.len());
            self.exchange.device.losses()[documents.clone()].copy_from_slice(&report[REPORT..]);
            failed = failed.or((report[0] > 0.0).then_some(rank));
            rest = others;
        }
        Ok(failed.map(Outcome::Failed).or(is_stopped.then_some(Outcome::Stopped)))
    }
}

/// The outcome of a step.
enum Outcome {
    Taken(StepLog),
    /// Rank 0 has asked for a stop, and the step is dropped.
    Stopped,
    /// The rank with this number has failed.
    Failed(usize),
}

/// The model as rank 0 has it, which commands the other ranks.
impl Parallel {
    fn command(&self, command: &Command) {
        let message = encode(command);
        (1..self.world.size()).for_each(|rank| self.world.send(rank, &message));
    }
}

impl Device for Parallel {
    fn description(&self) -> String {
        self.description.clone()
    }

    fn shape(&self) -> RuntimeShape {
        self.shape
    }

    fn stopped_by(&mut self, stop: StopHandle) {
        self.stop = stop;
    }

    fn train(&mut self, steps: usize) -> Result<Vec<StepLog>> {
        self.command(&Command::Train { steps });
        match self.steps(steps)? {
            (logs, None) => Ok(logs),
            (_, Some(rank)) => Err(answer(&self.world, rank).err().unwrap_or(Error::Stopped)),
        }
    }

    fn evaluate_each(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        let documents = documents.min(self.val_documents);
        self.command(&Command::Evaluate { documents });
        let own = self.evaluate_own(documents);
        let mut shares = vec![Vec::new()];
        let mut failure = None;
        for rank in 1..self.world.size() {
            match answer(&self.world, rank) {
                Ok(Reply::Evaluated(pairs)) => shares.push(evaluations(&pairs)),
                Ok(_) => shares.push(Vec::new()),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        shares[0] = own?;
        failure.map_or(Ok(()), Err)?;
        Ok((0..documents).map(|i| shares[i % shares.len()][i / shares.len()]).collect())
    }

    fn extend(&mut self, config: &SampleConfig, starts: &[u32], samples: Range<u64>) -> Result<Vec<Sample>> {
        self.exchange.device.device().extend(config, starts, samples)
    }

    fn download(&mut self) -> Result<State> {
        self.command(&Command::CollectMoments);
        let collected = self.exchange.collect_moments();
        let answers: Vec<Result<Reply>> = (1..self.world.size()).map(|rank| answer(&self.world, rank)).collect();
        collected?;
        answers.into_iter().collect::<Result<Vec<Reply>>>()?;
        self.exchange.device.device().download()
    }

    fn upload(&mut self, state: &State) -> Result<()> {
        self.command(&Command::Upload { state: state.clone().into() });
        self.upload_own(state)
    }
}

impl Parallel {
    /// Evaluates this rank's share of the first documents.
    pub(super) fn evaluate_own(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        let (rank, ranks) = (self.world.rank(), self.world.size());
        self.exchange.device.device().evaluate_each(documents.saturating_sub(rank).div_ceil(ranks))
    }

    /// Returns the evaluation of this rank's share, for a message.
    pub(super) fn evaluated(&mut self, documents: usize) -> Result<Reply> {
        Ok(Reply::Evaluated(pairs(&self.evaluate_own(documents)?)))
    }

    /// Collects the moments of all weights.
    pub(super) fn collect_moments(&mut self) -> Result<()> {
        self.exchange.collect_moments()
    }

    /// Replaces the state of this rank.
    pub(super) fn upload_own(&mut self, state: &State) -> Result<()> {
        self.exchange.moments_are_whole = true;
        self.exchange.device.device().upload(state)
    }
}

impl Models for Parallel {
    fn stopped_by(&mut self, stop: &StopHandle) {
        self.stop = stop.clone();
    }

    fn train(&mut self, steps: usize, active: &[bool]) -> Result<Vec<Vec<StepLog>>> {
        Ok(vec![if active[0] { Device::train(self, steps)? } else { Vec::new() }])
    }

    fn evaluate(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        Ok(vec![Device::evaluate(self, documents)?])
    }

    fn model(&mut self, _: usize) -> &mut dyn Device {
        self
    }
}
