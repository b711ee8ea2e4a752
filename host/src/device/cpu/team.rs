//! Threads that go through the phases of a launch together.

use std::hint;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Rounds of waiting before a thread offers its processor to others.
const SPINS: usize = 2000;

/// Runs `work(phase, item)` for every item below `items` of every phase below `phases`, on up to `items` threads of the pool. A
/// phase begins when the one before it is over.
///
/// A phase takes tens of microseconds, about as long as it takes to wake a thread: so the threads stay awake between phases. The
/// first one needs no other: it takes what items it finds, so that threads that are busy elsewhere delay nobody.
pub fn each_phase(phases: usize, items: usize, work: impl Fn(usize, usize) + Sync) {
    let team = Team {
        items,
        next: AtomicUsize::new(0),
        open: AtomicUsize::new(0),
        done: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    };
    if items < 2 {
        team.lead(phases, &work);
        return;
    }
    rayon::scope(|scope| {
        for _ in 1..items {
            scope.spawn(|_| team.help(&work));
        }
        team.lead(phases, &work);
    });
}

/// Items are numbered through all phases, so that a number is taken once.
struct Team {
    items: usize,
    /// The next item that no thread has taken.
    next: AtomicUsize,
    /// Items below this may be taken.
    open: AtomicUsize,
    /// Items that are done.
    done: AtomicUsize,
    /// No more items will come.
    over: AtomicBool,
}

impl Team {
    fn lead(&self, phases: usize, work: &impl Fn(usize, usize)) {
        // Also if `work` panics, lest the others wait for ever.
        let _over = OnDrop(|| self.over.store(true, Ordering::Release));
        for phase in 1..=phases {
            let end = phase * self.items;
            self.open.store(end, Ordering::Release);
            while self.take(work) {}
            wait_until(|| self.done.load(Ordering::Acquire) >= end);
        }
    }

    fn help(&self, work: &impl Fn(usize, usize)) {
        let mut over = false;
        while !over {
            wait_until(|| {
                over = self.over.load(Ordering::Acquire);
                over || self.next.load(Ordering::Relaxed) < self.open.load(Ordering::Acquire)
            });
            while self.take(work) {}
        }
    }

    /// Does an item, if one is open.
    fn take(&self, work: &impl Fn(usize, usize)) -> bool {
        let open = self.open.load(Ordering::Acquire);
        let next = |item| (item < open).then_some(item + 1);
        let Ok(item) = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) else { return false };
        let _done = OnDrop(|| {
            self.done.fetch_add(1, Ordering::Release);
        });
        work(item / self.items, item % self.items);
        true
    }
}

/// Does something when it goes out of scope.
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
    fn phases_do_all_items_once_and_in_order() {
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for items in [1, 2, 3, 8] {
                let seen: Vec<AtomicU64> = (0..items).map(|_| AtomicU64::new(0)).collect();
                pool.install(|| {
                    each_phase(1000, items, |phase, item| {
                        // Every item of the phase before is done, none of the next begun.
                        assert!(seen.iter().all(|seen| seen.load(Ordering::SeqCst).abs_diff(phase as u64) <= 1));
                        assert_eq!(seen[item].fetch_add(1, Ordering::SeqCst), phase as u64);
                    });
                });
                assert!(seen.iter().all(|seen| seen.load(Ordering::SeqCst) == 1000));
            }
        }
    }

    #[test]
    fn threads_that_are_busy_delay_nobody() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let count = AtomicU64::new(0);
        // Both threads lead a team at once, and neither can help the other.
        pool.broadcast(|_| {
            each_phase(100, 2, |_, _| {
                count.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(count.into_inner(), 2 * 100 * 2);
    }

    #[test]
    fn a_panic_comes_through() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        for guilty in 0..2 {
            let run = || pool.install(|| each_phase(10, 2, |phase, item| assert!(phase < 5 || item != guilty)));
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
        }
    }
}
