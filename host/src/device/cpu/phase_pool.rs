//! A pool of threads that runs the phases of a launch in lockstep.

use super::phases::Phases;

/// Runs `work(phase, item)` for every item below `items` of every phase below `phases`, on up to `items` threads. A
/// phase begins when the phase before it has ended. A thread takes the same item of each phase, whose memory is then in
/// its caches, unless it is late.
///
/// The threads stay awake between phases, since a phase takes tens of microseconds, about as long as waking a thread.
/// The calling thread takes every item that no other thread takes, so threads that are busy elsewhere delay nothing.
pub fn each_phase(phases: usize, items: usize, work: impl Fn(usize, usize) + Sync) {
    let pool = Phases::new(items);
    if items < 2 {
        pool.lead(phases, &work);
        return;
    }
    // The calling thread leads, also if it is none of the pool's. Otherwise it would wake one of them for each launch.
    rayon::in_place_scope(|scope| {
        for item in 1..items {
            let (pool, work) = (&pool, &work);
            scope.spawn(move |_| pool.help(item, work));
        }
        pool.lead(phases, &work);
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// The number of phases of a test. Miri takes milliseconds for each.
    const PHASES: usize = if cfg!(miri) { 5 } else { 1000 };

    #[test]
    fn every_item_runs_once_and_phases_run_in_order() {
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for items in [1, 2, 3, 8] {
                let seen: Vec<AtomicU64> = (0..items).map(|_| AtomicU64::new(0)).collect();
                pool.install(|| {
                    each_phase(PHASES, items, |phase, item| {
                        // Every item of the previous phase is done, and no item of the next one has begun.
                        assert!(seen.iter().all(|seen| seen.load(Ordering::SeqCst).abs_diff(phase as u64) <= 1));
                        assert_eq!(seen[item].fetch_add(1, Ordering::SeqCst), phase as u64);
                    });
                });
                assert!(seen.iter().all(|seen| seen.load(Ordering::SeqCst) == PHASES as u64));
            }
        }
    }

    #[test]
    fn the_calling_thread_takes_the_first_item_of_each_phase() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        pool.install(|| {
            let caller = std::thread::current().id();
            each_phase(PHASES, 2, |_, item| assert!(item > 0 || std::thread::current().id() == caller));
        });
    }

    #[test]
    fn busy_threads_delay_nothing() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let count = AtomicU64::new(0);
        // Both threads lead a pool at once, so neither can help the other.
        pool.broadcast(|_| {
            each_phase(PHASES, 2, |_, _| {
                count.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(count.into_inner(), (2 * PHASES * 2) as u64);
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
