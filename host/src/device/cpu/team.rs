//! Threads that divide the work of a launch between them, again and again while it runs.

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use gpu_kernels::entry::Team;

use super::phases::Phases;

/// Runs `launch` with a team of so many threads, of which the calling one is the first.
///
/// The others stay awake until `launch` returns, since it divides work every few dozen microseconds. The calling thread does the work
/// of those that are busy elsewhere.
pub fn with_team<R>(threads: usize, launch: impl FnOnce(&dyn Team) -> R) -> R {
    let team = ThreadTeam {
        phases: Phases::new(threads),
        count: threads,
        divisions: AtomicUsize::new(0),
        is_dividing: AtomicBool::new(false),
        work: AtomicPtr::default(),
    };
    // The calling thread leads, also if it is none of the pool's.
    rayon::in_place_scope(|scope| {
        for thread in 1..threads {
            let team = &team;
            scope.spawn(move |_| team.help(thread));
        }
        let _over = team.phases.end();
        launch(&team)
    })
}

/// The threads of a team. A division of work is a phase of theirs.
struct ThreadTeam {
    phases: Phases,
    count: usize,
    /// The number of divisions so far.
    divisions: AtomicUsize,
    /// Whether a division has begun and not ended.
    is_dividing: AtomicBool,
    /// The work of the current division.
    work: AtomicPtr<Work<'static>>,
}

/// Work that runs for the index of each thread.
type Work<'a> = &'a (dyn Fn(usize) + Sync);

impl ThreadTeam {
    /// Runs this thread's part of each division.
    fn help(&self, thread: usize) {
        self.phases.help(thread, &|_, thread| {
            // SAFETY: `each` has stored the pointer before the phase began, and stays until the parts of all threads have ended.
            let work = unsafe { *self.work.load(Ordering::Relaxed) };
            work(thread);
        });
    }
}

// SAFETY: the threads are the items of a phase, each of which runs once before the phase ends.
unsafe impl Team for ThreadTeam {
    fn threads(&self) -> usize {
        self.count
    }

    fn each(&self, work: Work) {
        assert!(!self.is_dividing.swap(true, Ordering::Acquire), "a division has not ended when the next one begins");
        // The threads read the pointer after they have seen that the phase has begun.
        self.work.store((&raw const work).cast_mut().cast(), Ordering::Relaxed);
        let phase = 1 + self.divisions.fetch_add(1, Ordering::Relaxed);
        self.phases.run(phase, &|_, thread| work(thread));
        self.is_dividing.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::AtomicU64;

    use super::*;

    /// The number of divisions of a test. Miri takes milliseconds for each.
    const DIVISIONS: u64 = if cfg!(miri) { 5 } else { 1000 };

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    #[test]
    fn every_thread_has_a_part_of_each_division_before_the_next_one() {
        for (threads, members) in [(1, 1), (1, 3), (2, 2), (4, 3)] {
            let sums = pool(threads).install(|| {
                with_team(members, |team| {
                    assert_eq!(team.threads(), members);
                    let sums: Vec<AtomicU64> = (0..members).map(|_| AtomicU64::new(0)).collect();
                    for division in 0..DIVISIONS {
                        // The work is on the stack of this division alone.
                        let addend = division + 1;
                        team.each(&|thread| {
                            sums[thread].fetch_add(addend, Ordering::Relaxed);
                        });
                        let sum = (division + 1) * (division + 2) / 2;
                        assert!(sums.iter().all(|value| value.load(Ordering::Relaxed) == sum), "{division}");
                    }
                    sums.len()
                })
            });
            assert_eq!(sums, members);
        }
    }

    #[test]
    fn a_panic_of_any_thread_reaches_the_caller() {
        for guilty in 0..2 {
            let run = || {
                pool(2).install(|| {
                    with_team(2, |team| {
                        for i in 0..10 {
                            team.each(&|thread| assert!(i < 5 || thread != guilty));
                        }
                    });
                });
            };
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err(), "{guilty}");
        }
    }
}
