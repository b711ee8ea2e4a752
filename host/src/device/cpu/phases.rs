//! The protocol by which threads run phases in lockstep. loom runs it in every order of its accesses (`host/loom`).

use super::sync::{AtomicBool, AtomicUsize, Ordering, hint, thread};

/// The number of rounds of a busy wait before a thread yields its processor.
const SPINS: usize = 2000;

/// The progress through the phases. Items are counted through all phases, so an item is a unique index.
pub struct Phases {
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

impl Phases {
    /// Returns the state before the first phase, of `items` items a phase.
    pub fn new(items: usize) -> Self {
        Self {
            items,
            next: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        }
    }

    /// Begins each phase when the one before has ended, and takes the items that no other thread takes. One thread calls
    /// this method, once.
    pub fn lead(&self, phases: usize, work: &impl Fn(usize, usize)) {
        // The guard ends the pool if `work` panics. Otherwise the other threads would wait for ever.
        let _over = OnDrop(|| self.over.store(true, Ordering::Release));
        for phase in 1..=phases {
            let end = phase * self.items;
            self.end.store(end, Ordering::Release);
            while self.take(work) {}
            wait_until(|| self.done.load(Ordering::Acquire) >= end);
        }
    }

    /// Takes items until the last phase has ended. Any number of threads may call this method.
    pub fn help(&self, work: &impl Fn(usize, usize)) {
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
