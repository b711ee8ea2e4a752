//! The protocol by which threads run phases in lockstep. loom runs it in every order of its accesses (`host/loom`).

use crossbeam_utils::CachePadded;

use super::sync::{AtomicBool, AtomicUsize, Ordering, hint, thread};

/// The number of rounds of a busy wait before a thread yields its processor.
const SPINS: usize = 2000;

/// The progress through the phases, which are counted from 1.
pub struct Phases {
    /// The current phase.
    current: CachePadded<AtomicUsize>,
    /// The state of each item of a phase, which is `2 p` if it is done in phase `p`, and `2 p - 1` if a thread has taken it.
    items: Vec<CachePadded<AtomicUsize>>,
    /// Whether no more phases will come.
    over: CachePadded<AtomicBool>,
}

impl Phases {
    /// Returns the state before the first phase, of `items` items a phase.
    pub fn new(items: usize) -> Self {
        Self {
            current: CachePadded::new(AtomicUsize::new(0)),
            items: (0..items).map(|_| CachePadded::new(AtomicUsize::new(0))).collect(),
            over: CachePadded::new(AtomicBool::new(false)),
        }
    }

    /// Begins each phase when the one before has ended. One thread calls this method, once.
    pub fn lead(&self, phases: usize, work: &impl Fn(usize, usize)) {
        let _over = self.end();
        for phase in 1..=phases {
            self.run(phase, work);
        }
    }

    /// Returns a guard that ends the pool. Otherwise the other threads would wait for ever, as when `work` panics.
    pub fn end(&self) -> OnDrop<impl FnMut()> {
        OnDrop(|| self.over.store(true, Ordering::Release))
    }

    /// Runs phase `phase`, counted from 1. Takes item 0, then all items that no other thread has taken, and waits for the others.
    /// One thread calls this method, for one phase after the other.
    pub fn run(&self, phase: usize, work: &impl Fn(usize, usize)) {
        self.current.store(phase, Ordering::Release);
        // If `work` panics, the items that are left count as done, so that no thread uses `work` when it is gone.
        let _done = OnDrop(|| {
            for (item, state) in self.items.iter().enumerate() {
                self.take(phase, item, &|_, _| ());
                wait_until(|| state.load(Ordering::Acquire) == 2 * phase);
            }
        });
        for item in 0..self.items.len() {
            self.take(phase, item, work);
        }
    }

    /// Takes this item of each phase that has begun, unless another thread has taken it, until the last phase has ended. Any
    /// number of threads may call this method.
    pub fn help(&self, item: usize, work: &impl Fn(usize, usize)) {
        let (mut last, mut over) = (0, false);
        while !over {
            let mut phase = last;
            wait_until(|| {
                over = self.over.load(Ordering::Acquire);
                phase = self.current.load(Ordering::Acquire);
                over || phase > last
            });
            self.take(phase, item, work);
            last = phase;
        }
    }

    /// Runs an item of a phase, unless a thread has taken it.
    fn take(&self, phase: usize, item: usize, work: &impl Fn(usize, usize)) {
        let (state, done) = (&self.items[item], 2 * phase);
        // The load leaves the cache line to the thread that has taken the item.
        if phase == 0
            || state.load(Ordering::Relaxed) != done - 2
            || state.compare_exchange(done - 2, done - 1, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        let _done = OnDrop(|| state.store(done, Ordering::Release));
        work(phase - 1, item);
    }
}

/// A guard that runs a closure when it goes out of scope.
pub struct OnDrop<F: FnMut()>(F);

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
