//! A pool of threads that runs the phases of a launch in lockstep.

use std::hint;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// The number of rounds of a busy wait before a thread yields its processor.
const SPINS: usize = 2000;

/// Runs `work(phase, item)` for every item below `items` of every phase below `phases`, on up to `items` threads. A
/// phase begins when the phase before it has ended.
///
/// The threads stay awake between phases, since a phase takes tens of microseconds, about as long as waking a thread.
/// The calling thread takes every item that no other thread takes, so threads that are busy elsewhere delay nothing.
pub fn each_phase(phases: usize, items: usize, work: impl Fn(usize, usize) + Sync) {
    let pool = PhasePool {
        items,
        next: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        done: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    };
    if items < 2 {
        pool.lead(phases, &work);
        return;
    }
    rayon::scope(|scope| {
        for _ in 1..items {
            scope.spawn(|_| pool.help(&work));
        }
        pool.lead(phases, &work);
    });
}

/// The progress through the phases. Items are counted through all phases, so an item is a unique index.
struct PhasePool {
    /// The number of items of a phase.
    items: usize,
    /// The next item that no thread has taken.
    next: AtomicUsize,
    /// The end of the current phase. Only items below it may be taken.
    end: AtomicUsize,
    /// The number of items that are done.
    done: AtomicUsize,
    /// Whether no more items will come.
    over: AtomicBool,
}

impl PhasePool {
    fn lead(&self, phases: usize, work: &impl Fn(usize, usize)) {
        // The guard ends the pool if `work` panics. Otherwise the other threads would wait for ever.
        let _over = OnDrop(|| self.over.store(true, Ordering::Release));
        for phase in 1..=phases {
            let end = phase * self.items;
            self.end.store(end, Ordering::Release);
            while self.take(work) {}
            wait_until(|| self.done.load(Ordering::Acquire) >= end);
        }
    }

    fn help(&self, work: &impl Fn(usize, usize)) {
        let mut over = false;
        while !over {
            wait_until(|| {
                over = self.over.load(Ordering::Acquire);
                over || self.next.load(Ordering::Relaxed) < self.end.load(Ordering::Acquire)
            });
            while self.take(work) {}
        }
    }

    /// Runs the next item of the phase. Returns whether there was one.
    fn take(&self, work: &impl Fn(usize, usize)) -> bool {
        let end = self.end.load(Ordering::Acquire);
        let next = |item| (item < end).then_some(item + 1);
        let Ok(item) = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) else { return false };
        let _done = OnDrop(|| {
            self.done.fetch_add(1, Ordering::Release);
        });
        work(item / self.items, item % self.items);
        true
    }
}

/// A guard that runs a closure when it goes out of scope.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let mut rounds = 0;
    while !condition() {
        rounds += 1;
        if rounds < SPINS { hint::spin_loop() } else { thread::yield_now() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn every_item_runs_once_and_phases_run_in_order() {
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for items in [1, 2, 3, 8] {
                let seen: Vec<AtomicU64> = (0..items).map(|_| AtomicU64::new(0)).collect();
                pool.install(|| {
                    each_phase(1000, items, |phase, item| {
                        // Every item of the previous phase is done, and no item of the next one has begun.
                        assert!(seen.iter().all(|seen| seen.load(Ordering::SeqCst).abs_diff(phase as u64) <= 1));
                        assert_eq!(seen[item].fetch_add(1, Ordering::SeqCst), phase as u64);
                    });
                });
                assert!(seen.iter().all(|seen| seen.load(Ordering::SeqCst) == 1000));
            }
        }
    }

    #[test]
    fn busy_threads_delay_nothing() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let count = AtomicU64::new(0);
        // Both threads lead a pool at once, so neither can help the other.
        pool.broadcast(|_| {
            each_phase(100, 2, |_, _| {
                count.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(count.into_inner(), 2 * 100 * 2);
    }

    #[test]
    fn a_panic_of_an_item_reaches_the_caller() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        for guilty in 0..2 {
            let run = || pool.install(|| each_phase(10, 2, |phase, item| assert!(phase < 5 || item != guilty)));
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
        }
    }
}
