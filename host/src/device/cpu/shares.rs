//! The shares of threads in the items of phases.

use std::iter;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

/// The items of the phases, of which each thread has a share.
///
/// Adjacent items read and write adjacent rows. A thread begins with the same share of each phase, so that most of its rows
/// are still in its caches from the phase before.
pub(super) struct Shares {
    pub(super) threads: usize,
    /// The shares of all phases. A phase has those of the first thread, then those of the next one.
    list: Vec<CachePadded<Share>>,
    /// The places of the phases' shares.
    phases: Vec<Range<usize>>,
}

/// Adjacent items of a phase.
struct Share {
    /// The first item that no thread has taken.
    next: AtomicUsize,
    end: usize,
}

impl Shares {
    /// Returns memory for this many phases.
    pub(super) fn new(phases: usize, threads: usize) -> Self {
        Self { threads, list: Vec::with_capacity(2 * threads * phases), phases: Vec::with_capacity(phases) }
    }

    /// Adds a phase with these groups of adjacent items. Each thread has a share of each group.
    pub(super) fn push(&mut self, groups: &[Range<usize>]) {
        let start = self.list.len();
        for thread in 0..self.threads {
            self.list.extend(groups.iter().map(|items| {
                let first = |thread: usize| items.start + items.len() * thread / self.threads;
                CachePadded::new(Share { next: AtomicUsize::new(first(thread)), end: first(thread + 1) })
            }));
        }
        self.phases.push(start..self.list.len());
    }

    /// Returns the shares of a phase.
    fn of_phase(&self, phase: usize) -> &[CachePadded<Share>] {
        &self.list[self.phases[phase].clone()]
    }

    /// Returns the end of a phase's items.
    pub(super) fn end(&self, phase: usize) -> usize {
        self.of_phase(phase).last().map_or(0, |share| share.end)
    }

    /// Returns the items of a phase that a thread takes, one when it has finished the one before, because items differ in
    /// their work. Those that are left of other shares follow its own.
    pub(super) fn taken_by(&self, phase: usize, thread: usize) -> impl Iterator<Item = usize> {
        let shares = self.of_phase(phase);
        let (before, from) = shares.split_at(shares.len() / self.threads * thread);
        from.iter().chain(before).flat_map(|share| {
            iter::from_fn(|| Some(share.next.fetch_add(1, Ordering::Relaxed)).filter(|&item| item < share.end))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    #[test]
    fn a_thread_takes_its_own_items_first_and_then_all_that_are_left() {
        let mut shares = Shares::new(2, 3);
        shares.push(slice::from_ref(&(0..5)));
        shares.push(&[1..4, 4..11]);
        assert_eq!((shares.end(0), shares.end(1)), (5, 11));
        assert_eq!(shares.taken_by(1, 1).take(2).collect::<Vec<_>>(), [2, 6]);
        assert_eq!(shares.taken_by(1, 2).collect::<Vec<_>>(), [3, 8, 9, 10, 1, 4, 5, 7]);
        assert_eq!(shares.taken_by(1, 0).next(), None);
        assert_eq!(shares.taken_by(0, 2).collect::<Vec<_>>(), [3, 4, 0, 1, 2]);
    }
}
