//! The messages between ranks, by MPI.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use mpi::Count;
use mpi::Threading;
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::{Universe, processor_name};
use mpi::request;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Destination, MatchedReceiveVec, Source};

use crate::device::values::Values;
use crate::error::{Error, Result};

/// The rounds of a wait without a pause. Answers of a step come within microseconds.
const SPINS: u32 = 2000;

/// The pause between two looks for a message. It is short beside the work that a message is about.
const PAUSE: Duration = Duration::from_micros(100);

/// All ranks, as one of them sees them.
pub(super) struct World {
    communicator: SimpleCommunicator,
    /// The messages that came while another was sent.
    inbox: RefCell<VecDeque<(usize, Vec<u8>)>>,
    // MPI ends when this field is dropped.
    _universe: Universe,
}

/// The values of a buffer that belong to each rank, as a number of values and the offset of the first.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares {
    counts: Vec<Count>,
    offsets: Vec<Count>,
}

impl Shares {
    /// Adds the share of the next rank.
    ///
    /// # Errors
    /// If MPI cannot count the values.
    pub(super) fn push(&mut self, count: usize, offset: usize) -> Result<()> {
        let number = |n: usize| {
            Count::try_from(n).map_err(|_| {
                let expected = format!("at most {}", Count::MAX);
                Error::argument("the values of a message between ranks", expected, &n, "start fewer ranks")
            })
        };
        self.counts.push(number(count)?);
        self.offsets.push(number(offset)?);
        Ok(())
    }

    /// Returns shares of these lengths, one after the other.
    ///
    /// # Errors
    /// Those of [`Self::push`].
    pub(super) fn of_lengths(lengths: impl Iterator<Item = usize>) -> Result<Self> {
        let (mut shares, mut offset) = (Self::default(), 0);
        for len in lengths {
            shares.push(len, offset)?;
            offset += len;
        }
        Ok(shares)
    }
}

impl World {
    /// Starts MPI. Returns `None` if it was started before.
    pub(super) fn start() -> Option<Self> {
        // Threads compute, but the one that starts MPI sends all messages.
        let (universe, _) = mpi::initialize_with_threading(Threading::Funneled)?;
        Some(Self { communicator: universe.world(), inbox: RefCell::default(), _universe: universe })
    }

    /// Returns the number of this rank, from 0.
    pub(super) fn rank(&self) -> usize {
        self.communicator.rank() as usize
    }

    /// Returns the number of ranks.
    pub(super) fn size(&self) -> usize {
        self.communicator.size() as usize
    }

    /// Returns the name of this computer.
    pub(super) fn host() -> String {
        processor_name().unwrap_or_else(|_| "an unknown host".to_owned())
    }

    /// Sends a message. Messages that come meanwhile wait for [`Self::receive`], because two ranks that send to each other
    /// would otherwise wait for ever.
    pub(super) fn send(&self, to: usize, message: &[u8]) {
        let to = self.communicator.process_at_rank(to as i32);
        request::scope(|scope| {
            let mut request = to.immediate_send(scope, message);
            let mut rounds = 0;
            while let Err(pending) = request.test() {
                request = pending;
                if let Some(message) = self.arrived() {
                    self.inbox.borrow_mut().push_back(message);
                }
                pause(&mut rounds);
            }
        });
    }

    /// Returns the next message and its sender, if one has come.
    pub(super) fn receive(&self) -> Option<(usize, Vec<u8>)> {
        let waiting = self.inbox.borrow_mut().pop_front();
        waiting.or_else(|| self.arrived())
    }

    /// Waits for the next message from a rank.
    pub(super) fn wait(&self, from: usize) -> Vec<u8> {
        let mut rounds = 0;
        loop {
            let place = self.inbox.borrow().iter().position(|(sender, _)| *sender == from);
            if let Some((_, message)) = place.and_then(|place| self.inbox.borrow_mut().remove(place)) {
                return message;
            }
            match self.arrived() {
                Some(message) => self.inbox.borrow_mut().push_back(message),
                None => pause(&mut rounds),
            }
        }
    }

    fn arrived(&self) -> Option<(usize, Vec<u8>)> {
        let (message, status) = self.communicator.any_process().immediate_matched_probe()?;
        let (bytes, _) = (message, status).matched_receive_vec::<u8>();
        Some((status.source_rank() as usize, bytes))
    }

    /// Collects as many bytes of every rank, in the order of ranks.
    pub(super) fn gather_bytes(&self, own: &[u8]) -> Vec<u8> {
        let mut all = vec![0; own.len() * self.size()];
        self.communicator.all_gather_into(own, &mut all[..]);
        all
    }

    /// Collects the values of every rank at the places of their shares.
    pub(super) fn gather(&self, own: &[f32], all: &mut [f32], shares: &Shares) {
        let mut all = PartitionMut::new(all, &shares.counts[..], &shares.offsets[..]);
        self.communicator.all_gather_varcount_into(own, &mut all);
    }

    /// Sends values to all ranks, and collects those of every rank at the places of their shares.
    pub(super) fn gather_values(&self, own: Values, mut all: Values, shares: &Shares) {
        let mut all = PartitionMut::new(&mut all, &shares.counts[..], &shares.offsets[..]);
        self.communicator.all_gather_varcount_into(&own, &mut all);
    }

    /// Sends a share to each rank, and receives one from each.
    pub(super) fn exchange(&self, sent: Values, shares: &Shares, mut received: Values, places: &Shares) {
        let sent = Partition::new(&sent, &shares.counts[..], &shares.offsets[..]);
        let mut received = PartitionMut::new(&mut received, &places.counts[..], &places.offsets[..]);
        self.communicator.all_to_all_varcount_into(&sent, &mut received);
    }

    /// Collects the ranges of an array that the other ranks have. Each rank has its own range of them.
    ///
    /// # Errors
    /// If MPI cannot count the values.
    pub(super) fn complete(&self, array: Values, ranges: &[Range<usize>]) -> Result<()> {
        let own = ranges[self.rank()].clone();
        let sent = if own.is_empty() { Values::none() } else { array.after(own.start) };
        // MPI refuses to receive where it sends from, so the first rank receives behind its own range.
        let before = if own.start == 0 { own.end } else { 0 };
        let (mut shares, mut places) = (Shares::default(), Shares::default());
        for (rank, range) in ranges.iter().enumerate() {
            let is_own = rank == self.rank();
            shares.push(if is_own { 0 } else { own.len() }, 0)?;
            let is_received = !is_own && !range.is_empty();
            places
                .push(if is_received { range.len() } else { 0 }, if is_received { range.start - before } else { 0 })?;
        }
        self.exchange(sent, &shares, array.after(before), &places);
        Ok(())
    }

    /// Ends all ranks at once.
    pub(super) fn abort(&self) -> ! {
        self.communicator.abort(1)
    }
}

/// Waits a moment, longer after many rounds.
pub(super) fn pause(rounds: &mut u32) {
    *rounds += 1;
    if *rounds < SPINS { thread::yield_now() } else { thread::sleep(PAUSE) }
}
